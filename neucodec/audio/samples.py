"""The type of audio samples, and a check for values that cannot be audio."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.float32]
"""float32 samples of full scale 1.0, [n, channels] or [channels, n]."""

LOUDEST = 2.0**16
"""The largest absolute value of a sample, 96 dB over full scale. The levels that an .ncf can hold
end there. 16-bit integers that were taken for floats do not reach it."""


def audible(block: Audio) -> tuple[Audio, int, int]:
    """Replace samples that cannot be audio by 0.

    Returns the block, of the same shape, the number of samples that were NaN or infinite, and the
    number of others that were beyond `LOUDEST`.
    """
    fine = np.abs(block) <= LOUDEST
    if fine.all():
        return block, 0, 0
    nonfinite = int(np.count_nonzero(~np.isfinite(block)))
    excessive = int(np.count_nonzero(~fine)) - nonfinite
    return np.where(fine, block, np.float32(0)), nonfinite, excessive
