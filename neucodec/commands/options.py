"""What several commands take: their types of parameters, and groups of options."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ..bitrate import parse_bitrate
from ..clock import parse_time
from ..errors import NeucodecError
from ..models.card import cards
from ..models.errors import ModelError
from ..models.registry import resolve

Command = TypeVar("Command", bound=Callable[..., Any])


if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:  # generic for type checkers only, before click 8.4
    ParamType = click.ParamType


class Parsed(ParamType):
    """Text that a function of the library reads; what it refuses is a usage error."""

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


class Model(ParamType):
    """A model, by its name or as the path of a checkpoint of one's own; the value is its card."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Find the card."""
        try:
            return resolve(value)
        except ModelError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names that begin so, with their titles; where there are none, paths."""
        found = [card for card in cards().values() if card.name.startswith(incomplete)]
        names = [CompletionItem(card.name, help=card.title) for card in found]
        return names or [CompletionItem(incomplete, type="file")]


def _parse_tag(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not all(" " <= c <= "}" for c in name):
        raise NeucodecError(f"{text!r} is no tag: write it as NAME=VALUE, as in ARTIST=Nina")
    return name.upper(), value


def _parse_count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise NeucodecError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


BITRATE = Parsed("rate", parse_bitrate)
TIME = Parsed("time", parse_time)
TAG = Parsed("name=value", _parse_tag)
COUNT = Parsed("n", _parse_count)


def inputs_argument(command: Command) -> Command:
    """One input or more: files, directories or ``-``."""
    path = click.Path(path_type=str, allow_dash=True)
    return click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=path)(command)


def output_options(command: Command) -> Command:
    """Where outputs go, and what happens to those that are there."""
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
            "-x",
            "--exclude",
            metavar="PATTERN",
            multiple=True,
            help="In directories leave out files and directories of this name, as in '*-old*'. "
            "May be repeated.",
        ),
    )(command)


def machine_options(command: Command) -> Command:
    """What the work runs on."""
    return _all(
        click.option("-j", "--threads", type=COUNT, help="CPU threads; else as many as there are."),
        click.option(
            "-d",
            "--device",
            default="auto",
            show_default=True,
            help="auto, cpu, cuda, cuda:1, mps.",
        ),
        click.option("--offline", is_flag=True, help="Never fetch a model that is not here."),
    )(command)


def verbosity_options(command: Command) -> Command:
    """``-q`` and ``-v``."""
    return _all(
        click.option(
            "-q", "--quiet", count=True, help="Only warnings and errors; -qq: only errors."
        ),
        click.option("-v", "--verbose", count=True, help="Say more."),
    )(command)


def _all(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """The options in the order in which ``--help`` is to show them."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
