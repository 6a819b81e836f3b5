"""Run the command line, and turn how the run ends into its exit code.

0: all done. 1: something failed. 2: the command line makes no sense. 128 + n: ended by signal n, so
130 after Ctrl-C and 141 where the reader of standard output has gone.
"""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Sequence

import click

from neucodec.terminal.console import Console
from neucodec.terminal.signals import PIPE_GONE, Ended, end_if_told, leave, signals_end_the_run
from neucodec.terminal.standard_streams import forget, message, prepare, settle

from .cli import cli


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line, by default the program's own; return the exit code."""
    prepare()
    if not sys.warnoptions:
        # Those of libraries are for programmers, and would tear the progress bar apart.
        warnings.simplefilter("ignore")
    with signals_end_the_run(for_good=args is None):
        code = _ended(args)
        if args is None:
            leave(code)
    return code


def _ended(args: Sequence[str] | None) -> int:
    """Return the exit code of a command line, whatever ends it; standard output is written or given
    up.
    """
    try:
        code = _run(args)
        if (reason := settle()) and not code:
            message(f"neucodec: {reason}")
            code = 1
        end_if_told()
        return code
    except BrokenPipeError:
        code = 128 + PIPE_GONE
    except Ended as end:
        code = 128 + end.number
        if end.number == signal.SIGINT:
            _say_interrupted()
    if args is None:
        forget(sys.stdout)
    return code


def _run(args: Sequence[str] | None) -> int:
    try:
        code = cli.main(args, prog_name="neucodec", standalone_mode=False)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "neucodec"
        text = " ".join(error.format_message().split()).rstrip(".")
        Console().fail(None, f"{text}; see {command} --help")
        return error.exit_code
    except click.ClickException as error:
        end_if_told()
        Console().fail(None, error.format_message())
        return error.exit_code
    except SystemExit as end:  # of click's shell completion
        code = end.code
    except BrokenPipeError:
        raise
    except Exception as error:
        end_if_told()
        Console().fail(None, error)
        return 1
    return code if isinstance(code, int) else 0


def _say_interrupted() -> None:
    try:
        click.echo("neucodec: interrupted", err=True)
    except (OSError, ValueError):
        forget(sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
