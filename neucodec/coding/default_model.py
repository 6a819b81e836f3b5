"""Choose the model that suits a bitrate, where nobody has named one."""

from __future__ import annotations

from neucodec.errors import NeucodecError
from neucodec.models import Card, find_card
from neucodec.terminal.console import counted

from .bitrate import format_kbps, highest_bitrate, reaches

AUTO = "auto"
"""In place of a model's name."""
DEFAULT_MODEL = "neu2-44khz"
"""Taken where nobody names one; it is in the package."""
LOWER, HIGHER = "neu-16khz", "encodec-48khz"
"""For what lies below its bitrates: one for speech, in the package, too. For what lies above: the
one that reaches highest at full band."""


def choose_model(bitrate: float | None, channels: int) -> Card:
    """Return the default model where it has a bitrate (bit/s, of all channels; None: any will do),
    else the one below or above it.

    Raises NeucodecError where none of them has it.
    """
    default = find_card(DEFAULT_MODEL)
    if bitrate is None:
        return default
    lower, higher = find_card(LOWER), find_card(HIGHER)
    if bitrate < default.bitrates(channels)[0]:
        card = lower
    else:
        card = default if reaches(default, channels, bitrate) else higher
    if reaches(card, channels, bitrate):
        return card
    ranges = (f"{card.name} {_range(card, channels)}" for card in (lower, default, higher))
    raise NeucodecError(
        f"no model does {format_kbps(bitrate)} for {counted(channels, 'channel')}: "
        f"{', '.join(ranges)} kbps"
    )


def reason(channels: int) -> str:
    """Say why a model is chosen that is not the default."""
    return f"{DEFAULT_MODEL} has {_range(find_card(DEFAULT_MODEL), channels)} kbps"


def _range(card: Card, channels: int) -> str:
    lowest, highest = card.bitrates(channels)[0], highest_bitrate(card, channels)
    return f"{lowest / 1000:.3g} to {highest / 1000:.3g}"
