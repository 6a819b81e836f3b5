"""Share out the bits of a file with waveform layers, so that it has the bitrate asked for."""

from __future__ import annotations

from neucodec.errors import NeucodecError
from neucodec.models import Card

from .bitrate import MAX_WAVEFORM_BITRATE, format_kbps
from .options import EncodeOptions

MAX_SAVED = 30
"""Chunks' worth of what silence may save up for what comes after it."""
MAX_SHARE = 3.0
"""A chunk's layer takes at most as many times a chunk's budget."""
USED = 0.98
"""Of the bits that layers may take, they take that much on average."""
MIN_BITS = 64.0
"""Bits that a layer gets at least, of a whole chunk."""
_ROOM = 4
"""Bytes for the length of a layer, and for a chunk's entry in the trailer."""


def waveform_bitrate(card: Card, channels: int, options: EncodeOptions) -> float | None:
    """Return the bitrate of a file whose chunks have waveform layers, in bit/s; None where they
    have none.

    They have them where the options ask for no number of codebooks, and for a bitrate that is worth
    it; unless one is given, it is the card's. Raises NeucodecError for more than they can use.
    """
    if not (card.waveform_bitrate and options.layer and options.codebooks is None):
        return None
    if options.rate_mode not in (None, "average"):
        return None
    bitrate = options.bitrate or float(card.default_bitrate * channels)
    if bitrate > MAX_WAVEFORM_BITRATE * channels:
        raise NeucodecError(
            f"{card.name} cannot do {format_kbps(bitrate)} for {channels} "
            f"{'channel' if channels == 1 else 'channels'}: at most "
            f"{format_kbps(MAX_WAVEFORM_BITRATE * channels)} are possible"
        )
    return bitrate if bitrate >= card.waveform_bitrate * channels else None


class WaveformRate:
    """Says how many bits the layer of each chunk may take, chunk after chunk.

    What codes leave of a chunk's budget is the layer's. What was saved or overspent is made good
    over the chunks that follow. How much layers take of what they may is assumed, not looked at, so
    that nobody has to wait for them.
    """

    def __init__(self, budget: float, spent: float) -> None:
        """Take the ``budget`` in bytes of a whole chunk, and what was ``spent`` on all that is not
        chunks.
        """
        self._budget, self._saved, self._chunks = budget, -spent, 0

    def bits(self, coded: int, share: float, layered: bool) -> float:
        """Return the bits for the layer of the next chunk, which takes ``coded`` bytes without it.

        ``share`` is how long it is, of a whole chunk; ``layered`` whether it gets a layer at all.
        """
        horizon = 2 if self._chunks < 2 else 3 if self._chunks < 12 else 8
        self._chunks += 1
        budget = self._budget * share
        saved = min(self._saved, MAX_SAVED * self._budget) / horizon * share
        wanted = 8 * (budget + saved - coded - _ROOM)
        wanted = min(max(wanted, MIN_BITS * share), 8 * MAX_SHARE * budget) if layered else 0.0
        self._saved += budget - coded - _ROOM * layered - wanted / 8
        return wanted / USED
