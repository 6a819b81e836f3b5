"""Frequencies that adapt to what a chunk has shown so far: entropy coder 1. See NCF.md.

Nothing is learnt beforehand and nothing goes from one chunk to the next. What a second of codes
does show is how often a codebook says again what it has said before. Each codebook of each stream
is foreseen by itself, by several Dirichlet-multinomial predictors (Laplace's rule of succession,
with other numbers than his) and one that takes all codes to be equally likely, mixed by Bayes'
rule. All of it is in integers.
"""

from __future__ import annotations

from collections.abc import Sequence

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

    def __init__(self, counts: Sequence[int], size: int) -> None:
        """``counts`` are the streams' codebooks, most first."""
        self._size = size
        codebooks, streams = max(counts, default=0), len(counts)
        # Streams that have each codebook: the first ones.
        self._having = [sum(count > book for count in counts) for book in range(codebooks)]
        self._weights = np.broadcast_to(_PRIOR, (codebooks, streams, len(_PRIOR))).copy()
        self._times = np.zeros((codebooks, streams, size), np.int32)
        self._streams = np.arange(streams)
        self._frame = self._codebook = 0

    def _present(self) -> tuple[Integers, npt.NDArray[np.int32]]:
        """Weights and times of the next symbols."""
        having = self._having[self._codebook]
        return self._weights[self._codebook, :having], self._times[self._codebook, :having]

    def row(self) -> npt.NDArray[np.int32]:
        """Frequencies of the next symbols [n, size], of the n streams that have this codebook."""
        weights, times = self._present()
        split = _split(weights, self._frame, self._size)
        base, step, spare = (part.astype(np.int32) for part in split)
        out: npt.NDArray[np.int32] = times * step[:, None]
        out += base[:, None]
        out[:, 0] += spare
        return out

    def push(self, codes: Integers) -> None:
        """Tell what those symbols [n] turned out to be."""
        weights, times = self._present()
        at = self._streams[: len(codes)], codes
        seen = times[at].astype(np.int64)
        weights[:] = _reweighted(weights, _likelihoods(seen, self._frame, self._size))
        times[at] += 1
        self._codebook += 1
        if self._codebook == len(self._having):
            self._frame, self._codebook = self._frame + 1, 0
