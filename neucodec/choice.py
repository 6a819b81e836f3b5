"""Which model suits a bitrate, where nobody has named one."""

from __future__ import annotations

from .bitrate import format_kbps, reaches
from .console import counted
from .errors import NeucodecError
from .models.card import Card, find_card

AUTO = "auto"
"""In place of a model's name."""
DEFAULT_MODEL = "neu2-44khz"
"""Taken where nobody names one; it is in the package."""
ORDER = (DEFAULT_MODEL, "encodec-48khz")
"""The embedded codec, which needs no network and is the fastest; then, for what lies above its
bitrates, the one that reaches highest at full band."""


def choose_model(bitrate: float | None, channels: int) -> Card:
    """The first model in order that has a bitrate (bit/s, of all channels; None: any will do).

    Raises NeucodecError where none has.
    """
    known = [find_card(name) for name in ORDER]
    if bitrate is None:
        return known[0]
    above = 0.0  # what the model before has at most
    for card in known:
        if bitrate > above and reaches(card, channels, bitrate):
            return card
        above = card.bitrates(channels)[-1]
    ranges = (f"{card.name} {_range(card, channels)}" for card in known)
    raise NeucodecError(
        f"no model does {format_kbps(bitrate)} for {counted(channels, 'channel')}: "
        f"{', '.join(ranges)} kbps"
    )


def reason(card: Card, channels: int) -> str:
    """Why it is not the first one."""
    first = find_card(ORDER[0])
    return f"{first.name} has {_range(first, channels)} kbps"


def _range(card: Card, channels: int) -> str:
    rates = card.bitrates(channels)
    return f"{rates[0] / 1000:.3g} to {rates[-1] / 1000:.3g}"
