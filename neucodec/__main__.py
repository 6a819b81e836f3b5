"""The entry point: from how a run ends to its exit code.

0: all done. 1: something failed. 2: the command line makes no sense. 128 + n: ended by signal
n, so 130 after Ctrl-C and 141 where the reader of standard output has gone.
"""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Sequence

import click

from .cli import cli
from .console import Console
from .ending import PIPE_GONE, Ended, end_if_told, forget_stdout, leave, signals_end_the_run


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line, by default the program's own; the exit code."""
    if not sys.warnoptions:
        # Those of libraries are for programmers, and would tear the progress bar apart.
        warnings.simplefilter("ignore")
    try:
        with signals_end_the_run():
            code = _run(args)
            end_if_told()
    except BrokenPipeError:
        code = 128 + PIPE_GONE
    except Ended as end:
        code = 128 + end.number
        if end.number == signal.SIGINT:
            click.echo("neucodec: interrupted", err=True)
    if code == 128 + PIPE_GONE:
        forget_stdout()
    if args is None:
        leave(code)
    return code


def _run(args: Sequence[str] | None) -> int:
    try:
        code = cli.main(args, prog_name="neucodec", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "neucodec"
        text = " ".join(error.format_message().split()).rstrip(".")
        Console().fail(None, f"{text}; see {command} --help")
        return error.exit_code
    except click.ClickException as error:
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


if __name__ == "__main__":
    sys.exit(main())
