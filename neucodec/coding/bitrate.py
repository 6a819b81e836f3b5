"""Read bitrates as people write them, and find the number of codebooks that comes nearest."""

from __future__ import annotations

import re

from neucodec.errors import NeucodecError, quoted
from neucodec.models import Card

_PATTERN = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(k?)(?:bps|bit/s|b)?", re.IGNORECASE)
_LARGEST = 1e12  # bit/s
MAX_WAVEFORM_BITRATE = 32000
"""Bit/s of a channel, up to which waveform layers go."""


def parse_bitrate(text: str) -> float:
    """Turn ``8kbps``, ``8k``, ``8000``, ``1.5kbps`` or ``8000bps`` into bit/s. Raises NeucodecError
    for anything else.
    """
    match = _PATTERN.fullmatch(text.strip())
    rate = float(match[1]) * (1000 if match[2] else 1) if match else 0.0
    if not 0 < rate <= _LARGEST:
        raise NeucodecError(f"{quoted(text)} is no bitrate: write it as 8kbps, 8k, 8000 or 1.5kbps")
    return rate


def format_kbps(bits_per_second: float) -> str:
    """Write bit/s as a short number of kbps with its unit: ``7.75 kbps``."""
    return f"{bits_per_second / 1000:.3g} kbps"


def reaches(card: Card, channels: int, bitrate: float) -> bool:
    """Tell whether a model has a bitrate (bit/s, of all channels), by its codes alone or with a
    waveform layer.
    """
    least = card.waveform_bitrate * channels
    if least and least <= bitrate <= highest_bitrate(card, channels):
        return True
    return _has_codes_for(card, channels, bitrate)


def highest_bitrate(card: Card, channels: int) -> float:
    """Return the highest bitrate of a model (bit/s, of all channels), with a waveform layer where
    it may have one.
    """
    if card.waveform_bitrate:
        return float(MAX_WAVEFORM_BITRATE * channels)
    return card.bitrates(channels)[-1]


def _has_codes_for(card: Card, channels: int, bitrate: float) -> bool:
    """Tell whether a number of codebooks has a bitrate, give or take half a codebook."""
    rates = card.bitrates(channels)
    step = card.bitrate(1, channels)
    return rates[0] - step / 2 <= bitrate <= rates[-1] + step / 2


def codebooks_for(card: Card, channels: int, bitrate: float) -> int:
    """Return the number of codebooks whose nominal bitrate is nearest to ``bitrate`` (bit/s).

    The bitrate is that of the whole file, all channels together. It must lie between the lowest and
    the highest possible one, give or take half a codebook.
    """
    rates = card.bitrates(channels)
    if not _has_codes_for(card, channels, bitrate):
        plural = "channel" if channels == 1 else "channels"
        raise NeucodecError(
            f"{card.name} cannot do {format_kbps(bitrate)} for {channels} {plural}: "
            f"possible are {', '.join(f'{r / 1000:.3g}' for r in rates)} kbps"
        )
    nearest = min(range(len(rates)), key=lambda k: (abs(rates[k] - bitrate), k))
    return card.counts[nearest]
