"""Define groups of options that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

from neucodec.jobs.input_files import Selection
from neucodec.terminal.console import Console

from .batch_run import Batch
from .gather import gathered
from .parameter_types import COUNT

Command = TypeVar("Command", bound=Callable[..., Any])


def inputs_argument(command: Command) -> Command:
    """Add the argument for one input or more: files, directories or ``-``."""
    return _inputs("INPUT...", command)


def inputs_and_output_argument(command: Command) -> Command:
    """Add the argument for one input or more, or for an input and its output."""
    return _inputs("INPUT... [OUTPUT]", command)


def _inputs(metavar: str, command: Command) -> Command:
    path = click.Path(path_type=str, allow_dash=True)
    return click.argument("inputs", metavar=metavar, nargs=-1, required=True, type=path)(command)


def output_options(command: Command) -> Command:
    """Add the options that say where outputs go, and what happens to those that are there."""
    return _all(
        click.option(
            "-o",
            "--output",
            metavar="OUT",
            type=click.Path(path_type=str, allow_dash=True),
            help="Write here: a file for one input, a directory for more, '-' for standard "
            "output. Else beside each input.",
        ),
        click.option("-f", "--force", is_flag=True, help="Overwrite outputs that exist."),
        click.option(
            "--skip-existing",
            is_flag=True,
            help="Pass over inputs whose output is there and whole; make again what is damaged, "
            "older than its source, or (of encode) made with other options.",
        ),
        click.option(
            "--keep-time",
            "--keep-times",
            "keep_time",
            is_flag=True,
            help="Give outputs the modification time of their inputs.",
        ),
    )(command)


def _batch(
    selection: Selection,
    jobs: int | None,
    fail_fast: bool,
    strict_inputs: bool,
    report: str | None,
    scheduler: str | None,
) -> Batch:
    """Return how to go about many files. Raises UsageError for what does not go together."""
    if scheduler is not None and jobs is not None and jobs > 1:
        raise click.UsageError("-j is for this machine; a cluster has its own workers")
    return Batch(
        selection, jobs=jobs, fail_fast=fail_fast, strict_inputs=strict_inputs, report=report,
        scheduler=scheduler,
    )  # fmt: skip


def batch_options(command: Command) -> Command:
    """Add the options that say how to go about many files; the command gets a ``batch``."""
    return _all(
        click.option(
            "-i",
            "--include",
            metavar="PATTERN",
            multiple=True,
            help="In directories take only files of this name, as in '*.flac'. May be repeated.",
        ),
        click.option(
            "-x",
            "--exclude",
            metavar="PATTERN",
            multiple=True,
            help="In directories leave out files and directories of this name, as in '*-old*'. "
            "May be repeated.",
        ),
        click.option(
            "-L", "--follow-links", is_flag=True, help="Go into links to directories, too."
        ),
        click.option(
            "-j",
            "--jobs",
            type=COUNT,
            metavar="N",
            help="Files at once, each in a process of its own.  [default: 1; for 64 files or more "
            "one for each processor and 2 GB of memory, 4 at most]",
        ),
        click.option("--fail-fast", is_flag=True, help="Begin no other file after a failure."),
        click.option(
            "--strict-inputs",
            is_flag=True,
            help="Exit with 1 where a directory has media files that cannot be read here.",
        ),
        click.option(
            "--report",
            metavar="FILE",
            type=click.Path(path_type=str, allow_dash=True),
            help="Append a line of JSON per file: sizes, kbps, seconds, what went wrong; '-' for "
            "standard output.",
        ),
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Have a Dask cluster do the work, as in tcp://host:8786.",
        ),
    )(cast(Command, gathered("selection", Selection)(gathered("batch", _batch)(command))))


def machine_options(command: Command) -> Command:
    """Add the options that say what the work runs on."""
    threads = click.option(
        "--threads",
        type=COUNT,
        help="CPU threads per file; else the processors are shared out among files at once.",
    )
    return _all(threads, device_options)(command)


offline_option = click.option(
    "--offline", is_flag=True, help="Never fetch a model that is not here."
)
"""Of every command that could fetch one."""


def device_options(command: Command) -> Command:
    """Add the options that say where models run, and whether they may be fetched."""
    return _all(
        click.option(
            "-d",
            "--device",
            default="auto",
            show_default=True,
            help="auto, cpu, cuda, cuda:1, mps.",
        ),
        offline_option,
    )(command)


def verbosity_options(command: Command) -> Command:
    """Add ``-q`` and ``-v``."""
    return _all(
        click.option(
            "-q", "--quiet", count=True, help="Only warnings and errors; -qq: only errors."
        ),
        click.option("-v", "--verbose", count=True, help="Say more."),
    )(command)


def console_of(quiet: int, verbose: int) -> Console:
    """Return the console that ``-q`` and ``-v`` ask for, to be `gathered`."""
    return Console(verbose - quiet)


def _all(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Add options in the order in which ``--help`` is to show them."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
