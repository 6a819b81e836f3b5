"""Samples of audio: their type, and which of them are any."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.float32]
"""Samples with full scale at 1, mostly [n, channels] or [channels, n]."""

LOUDEST = 2.0**16
"""Samples beyond this (96 dB over full scale) are no audio: a file's levels end there, and
16-bit integers that were taken for floats do not reach it."""


def audible(block: Audio) -> tuple[Audio, int, int]:
    """Replace samples that are no audio by 0.

    Returns the block, how many samples were NaN or infinite, and how many others were beyond
    `LOUDEST`.
    """
    fine = np.abs(block) <= LOUDEST
    if fine.all():
        return block, 0, 0
    nonfinite = int(np.count_nonzero(~np.isfinite(block)))
    excessive = int(np.count_nonzero(~fine)) - nonfinite
    return np.where(fine, block, np.float32(0)), nonfinite, excessive
