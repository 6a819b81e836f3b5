"""Define what several commands take: types of parameters, and groups of options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from neucodec.coding.bitrate import parse_bitrate
from neucodec.coding.default_model import AUTO
from neucodec.errors import NeucodecError, quoted
from neucodec.files.pipes import is_special
from neucodec.jobs.input_files import Selection
from neucodec.models import ModelError, cards, entropy_cards, resolve
from neucodec.terminal.console import Console, shown
from neucodec.terminal.standard_streams import PIPE
from neucodec.terminal.timecode import parse_time

from .batch_run import Batch
from .gather import gathered

_MOST = 2**32 - 1
"""Of anything that is counted."""

Command = TypeVar("Command", bound=Callable[..., Any])


if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:  # generic for type checkers only, before click 8.4
    ParamType = click.ParamType


class Parsed(ParamType):
    """Has a function of the library read a text; what it refuses is a usage error."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the text; other values have been read before."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except NeucodecError as error:
            self.fail(str(error), param, ctx)


class File(click.Path):
    """Takes a file that is read more than once, which a pipe cannot be."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is no file."""
        if is_special(value):
            self.fail(f"{shown_pipe(value)} is read more than once; give a file", param, ctx)
        return super().convert(value, param, ctx)


class Folder(click.Path):
    """Takes a directory for several files, which standard output or a pipe cannot be."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse pipes and devices."""
        if is_special(value):
            self.fail(
                f"{shown_pipe(value)} cannot take several files; give a directory", param, ctx
            )
        return super().convert(value, param, ctx)


def shown_pipe(value: str | Path) -> str:
    """Return the name of a pipe or device as it was given, to be shown."""
    return PIPE if str(value) == PIPE else shown(str(value))


class Model(ParamType):
    """Takes a model by its name or as a path to a checkpoint; the value is its card."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Find the card."""
        if is_special(value):
            self.fail(f"{shown_pipe(value)} is read more than once; give a file", param, ctx)
        try:
            return resolve(value)
        except ModelError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return names that begin so, with their titles; where there are none, paths."""
        found = [card for card in cards().values() if card.name.startswith(incomplete)]
        names = [CompletionItem(card.name, help=card.title) for card in found]
        return names or [CompletionItem(incomplete, type="file")]


class ModelOrAuto(Model):
    """Takes a model, or "auto", whose value is None: the one that suits each file."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Find the card."""
        return None if value == AUTO else super().convert(value, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the same as for `Model`, and "auto"."""
        found = super().shell_complete(ctx, param, incomplete)
        if AUTO.startswith(incomplete):
            found.insert(0, CompletionItem(AUTO, help="By the bitrate"))
        return found


class Weights(Model):
    """Takes a model or the entropy model of one by name; the value is its card."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Find the card."""
        found = entropy_cards().get(value) if isinstance(value, str) else value
        return found or super().convert(value, param, ctx)


def _parse_tag(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not all(" " <= c <= "}" for c in name):
        raise NeucodecError(f"{quoted(text)} is no tag: write it as NAME=VALUE, as in ARTIST=Nina")
    return name.upper(), value


def _parse_count(text: str) -> int:
    if not text.isdecimal() or not text.strip("0"):
        raise NeucodecError(f"{quoted(text)} is not a whole number of 1 or more")
    if len(text) > len(str(_MOST)) or int(text) > _MOST:
        raise NeucodecError(f"{quoted(text)} is too much: at most {_MOST} is possible")
    return int(text)


BITRATE = Parsed("rate", parse_bitrate)
TIME = Parsed("time", parse_time)
TAG = Parsed("name=value", _parse_tag)
COUNT = Parsed("n", _parse_count)


def inputs_argument(command: Command) -> Command:
    """Add the argument for one input or more: files, directories or ``-``."""
    path = click.Path(path_type=str, allow_dash=True)
    return click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=path)(command)


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
            help="Pass over inputs whose output is there and whole; make damaged outputs again.",
        ),
        click.option(
            "--keep-time", is_flag=True, help="Give outputs the modification time of their inputs."
        ),
    )(command)


def _batch(
    selection: Selection,
    jobs: int | None,
    fail_fast: bool,
    report: str | None,
    scheduler: str | None,
) -> Batch:
    """Return how to go about many files. Raises UsageError for what does not go together."""
    if scheduler is not None and jobs is not None and jobs > 1:
        raise click.UsageError("-j is for this machine; a cluster has its own workers")
    return Batch(selection, jobs=jobs, fail_fast=fail_fast, report=report, scheduler=scheduler)


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
