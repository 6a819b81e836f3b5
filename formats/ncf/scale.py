"""Write the level of a stream as one byte, in steps of about 1 dB."""

from __future__ import annotations

import math

SCALE_ONE = 160
"""Byte that stands for 1.0."""
STEPS_PER_OCTAVE = 6
"""How many bytes further a level is twice as high."""


def scale_to_byte(rms: float) -> int:
    """Return the nearest byte for a level: 1 (-159.6 dB) to 255 (+95.3 dB), 0 for silence only.

    Raises ValueError unless the level is 0 or more and finite.
    """
    if not (math.isfinite(rms) and rms >= 0):
        raise ValueError(f"scale {rms} is not a finite level: give 0 or more")
    if rms == 0:
        return 0
    return min(255, max(1, round(SCALE_ONE + STEPS_PER_OCTAVE * math.log2(rms))))


def byte_to_scale(byte: int) -> float:
    """Return the level that a byte stands for: 2 ** ((byte - 160) / 6), and 0.0 for the byte 0."""
    if not 0 <= byte <= 255:
        raise ValueError(f"scale byte {byte} is out of range: 0 to 255 are possible")
    return 2.0 ** ((byte - SCALE_ONE) / STEPS_PER_OCTAVE) if byte else 0.0
