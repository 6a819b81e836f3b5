"""Define the types of parameters that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from neucodec.coding.bitrate import parse_bitrate
from neucodec.coding.default_model import AUTO
from neucodec.errors import NeucodecError, quoted
from neucodec.files.pipes import is_special
from neucodec.models import ModelError, cards, entropy_cards, resolve
from neucodec.terminal.console import shown
from neucodec.terminal.standard_streams import PIPE
from neucodec.terminal.timecode import parse_time

_MOST = 2**32 - 1
"""Of anything that is counted."""

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
