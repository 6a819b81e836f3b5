"""Frequencies that adapt to what a chunk has shown so far: entropy coder 1. See NCF.md.

Nothing is learnt beforehand and nothing goes from one chunk to the next. What a second of codes
does show is how often a codebook says again what it has said before. Each codebook of each stream
is foreseen by itself, by several Dirichlet-multinomial predictors (Laplace's rule of succession,
with other numbers than his) and one that takes all codes to be equally likely, mixed by Bayes'
rule. All of it is in integers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .range_coder import SMALLEST_CODEBOOK, TOTAL, TOTAL_BITS

Integers = npt.NDArray[np.int64]

MAX_FRAMES = 2**16
"""Frames of a chunk for which all products below fit into 63 bits."""

_SUPPOSED = np.array([10, 30, 100, 300], np.int64)
"""How many codes each predictor supposes to have seen, evenly spread, before the first: the fewer,
the sooner it believes in repetitions."""
_WEIGHT_BITS = 20
_PRIOR = np.array([4, 4, 8, 8, 40], np.int64) << _WEIGHT_BITS >> 6
"""Weights of the predictors before the first frame, out of 2**20; the last is the even one."""


def can_adapt(size: int, frames: int) -> bool:
    """Whether chunks of so many frames, of codebooks of that size, may be coded like this."""
    return size >= SMALLEST_CODEBOOK and frames <= MAX_FRAMES


def _likelihoods(times: Integers, seen: Integers | int, size: int) -> Integers:
    """What each predictor gave, of 2**24, to codes [...] that had come so many ``times`` among
    those ``seen`` [...]: [..., predictors]."""
    supposed = _SUPPOSED + np.asarray(seen)[..., None]
    given = ((_SUPPOSED + times[..., None] * size) << TOTAL_BITS) // (supposed * size)
    even = np.full_like(times, TOTAL // size)
    return np.concatenate([given, even[..., None]], axis=-1)


def _reweighted(before: Integers, likelihoods: Integers) -> Integers:
    """Weights [..., predictors] after a code."""
    shares = before * likelihoods
    total = shares.sum(axis=-1, keepdims=True)
    weights: Integers = np.maximum(shares // ((total >> _WEIGHT_BITS) + 1), 1)
    return weights


def _split(
    weights: Integers, seen: Integers | int, size: int
) -> tuple[Integers, Integers, Integers]:
    """How 2**24 is dealt out to the codes: every one gets ``base``, ``step`` for each time that it
    has come, and code 0 what is ``spare``; all [...]."""
    supposed = _SUPPOSED + np.asarray(seen)[..., None]
    # A code that has not come may be left with the least there is, one.
    step = (weights[..., :-1] * (TOTAL - size) // supposed).sum(axis=-1) >> _WEIGHT_BITS
    base, spare = np.divmod(TOTAL - step * seen, size)
    return base, step, spare


def adaptive_intervals(codes: Integers, size: int) -> tuple[Integers, Integers]:
    """Left ends and widths [n, F] of the intervals of codes [n, F], each row of them a codebook of
    one stream of a chunk, with ``size`` entries."""
    rows, frames = codes.shape
    seen = np.arange(frames)
    earlier = seen < seen[:, None]
    times = ((codes[:, None] == codes[..., None]) & earlier).sum(axis=-1)
    below = ((codes[:, None] < codes[..., None]) & earlier).sum(axis=-1)
    likelihoods = _likelihoods(times, seen, size)
    weights = np.empty_like(likelihoods)
    now = np.broadcast_to(_PRIOR, (rows, len(_PRIOR)))
    for frame in range(frames):
        weights[:, frame] = now
        now = _reweighted(now, likelihoods[:, frame])
    base, step, spare = _split(weights, seen, size)
    left = base * codes + step * below + spare * (codes > 0)
    return left, base + step * times + spare * (codes == 0)


class AdaptiveStepper:
    """The frequencies of several streams, symbol by symbol: for each frame, for each codebook."""

    def __init__(self, streams: int, codebooks: int, size: int) -> None:
        self._size = size
        self._weights = np.broadcast_to(_PRIOR, (codebooks, streams, len(_PRIOR))).copy()
        self._counts = np.zeros((codebooks, streams, size), np.int32)
        self._streams = np.arange(streams)
        self._frame = self._codebook = 0

    def row(self) -> npt.NDArray[np.int32]:
        """Frequencies [streams, size] of the next symbols."""
        weights, counts = self._weights[self._codebook], self._counts[self._codebook]
        split = _split(weights, self._frame, self._size)
        base, step, spare = (part.astype(np.int32) for part in split)
        out: npt.NDArray[np.int32] = counts * step[:, None]
        out += base[:, None]
        out[:, 0] += spare
        return out

    def push(self, codes: Integers) -> None:
        """Tell what the symbols [streams] turned out to be."""
        weights, counts = self._weights[self._codebook], self._counts[self._codebook]
        times = counts[self._streams, codes].astype(np.int64)
        weights[:] = _reweighted(weights, _likelihoods(times, self._frame, self._size))
        counts[self._streams, codes] += 1
        self._codebook += 1
        if self._codebook == len(self._counts):
            self._frame, self._codebook = self._frame + 1, 0
