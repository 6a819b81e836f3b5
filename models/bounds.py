"""Check the constructor arguments of networks against bounds, wherever they come from.

Cards, ``config.json``, checkpoints and recipes give arguments as plain data, and networks are built
by them: 10^9 layers would take hours, a width of 10^9 all memory. The bounds leave room for
networks several times as large as any that has been published.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, cast

from .errors import ModelError

C = TypeVar("C")

WIDTH = 16384
"""Largest width of a layer, a window or a latent, and largest value of what `MOST` lacks."""
MOST = {
    "codebooks": 255, "codebook_size": 65536, "codebook_dim": 1024, "segment": 1 << 24,
    "stride": 1 << 24, "frames": 65536, "encoder_blocks": 64, "decoder_blocks": 64,
    "lstm_layers": 16, "layers": 64, "heads": 256, "groups": 16, "stages": 16, "stack": 64,
    "expansion": 16, "window": 8192, "hop": 8192, "channels": WIDTH,
}  # fmt: skip
"""Largest value of an argument, and of the entries of a list, by the argument's name."""
LONGEST = 8
"""Most entries that a list may have: stages of a network."""
MOST_PRODUCT = 1 << 16
"""Largest product of the entries of a list of rates: samples of a frame."""

MOST_TEXT = 1 << 20
"""Most characters of a card or a configuration, which should be a page long."""
_BRIEF = reprlib.Repr()


class OutOfBoundsError(ModelError):
    """An argument of a network has another type, or is larger or smaller, than is allowed."""


def said(value: object) -> str:
    """Return a value as text for a message, shortened where it is long."""
    return _BRIEF.repr(value)


def short_text(path: Path) -> str:
    """Read a card or a configuration; ModelError where it is longer than `MOST_TEXT`."""
    with path.open(encoding="utf-8") as file:
        text = file.read(MOST_TEXT + 1)
    if len(text) > MOST_TEXT:
        raise ModelError(f"{path}: more than {MOST_TEXT} characters, where a page is due")
    return text


def checked(kind: Callable[..., C], arguments: Mapping[str, Any]) -> C:
    """Make a configuration ``kind``, a dataclass of numbers and lists of numbers, of plain data.

    Raises OutOfBoundsError for arguments that the dataclass does not have, that are of other types,
    or beyond their bounds.
    """
    known = {f.name: f for f in fields(cast(Any, kind))}
    unknown = [said(name) for name in arguments if name not in known]
    if unknown:
        raise OutOfBoundsError(
            f"unexpected keyword argument {unknown[0]}; known: {', '.join(known)}"
        )
    values: dict[str, Any] = {}
    for name, value in arguments.items():
        values[name] = _checked(name, str(known[name].type), value)
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise OutOfBoundsError(str(error)) from None


def _checked(name: str, wanted: str, value: Any) -> Any:
    if value is None and "None" in wanted:
        return None
    if wanted == "bool":
        if type(value) is not bool:
            raise OutOfBoundsError(f"{name} is to be true or false, not {said(value)}")
        return value
    if wanted.startswith("Sequence"):
        return whole_numbers(name, value)
    return whole_number(name, value, 0)


def whole_number(name: str, value: object, lowest: int = 1, most: int | None = None) -> int:
    """Return ``value`` if it is a whole number within its bounds; else raise OutOfBoundsError."""
    most = MOST.get(name, WIDTH) if most is None else most
    if type(value) is not int or not lowest <= value <= most:
        raise OutOfBoundsError(
            f"{name} is to be a whole number from {lowest} to {most}, not {said(value)}"
        )
    return value


def whole_numbers(name: str, values: object) -> tuple[int, ...]:
    """Return ``values`` as a tuple if they are a short list of whole numbers within their bounds.

    Raises OutOfBoundsError for anything else.
    """
    if (
        not isinstance(values, (list, tuple))
        or not 1 <= len(cast(Sequence[Any], values)) <= LONGEST
    ):
        raise OutOfBoundsError(
            f"{name} is to be a list of 1 to {LONGEST} numbers, not {said(values)}"
        )
    found = tuple(whole_number(name, value) for value in cast(Sequence[Any], values))
    if ("rate" in name or "ratio" in name) and math.prod(found) > MOST_PRODUCT:
        raise OutOfBoundsError(
            f"{name} {said(values)}: more than {MOST_PRODUCT} samples in a frame"
        )
    return found
