"""Frequencies that adapt to what a chunk has shown so far: entropy coder 1. See NCF.md.

Nothing is learnt beforehand and nothing goes from one chunk to the next. What a second of codes
does show is how often a codebook says again what it has said before. Each codebook of each stream
is foreseen by itself, by several Dirichlet-multinomial predictors (Laplace's rule of succession,
with other numbers than his) and one that takes all codes to be equally likely, mixed by Bayes'
rule. All of it is in integers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .range_coder import SMALLEST_CODEBOOK, TOTAL, TOTAL_BITS

Integers = npt.NDArray[np.int64]
Rows = slice | npt.NDArray[np.int64]

_FEW_SEEN = 16
"""Up to this many different codes, lists are searched faster than arrays."""
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
    """The frequencies of several streams, symbol by symbol: for each frame, for each codebook.

    Holds which codes have come and how often, not how often each of all codes has: memory and time
    go by what a chunk has shown, whatever the size of its codebooks and the number of its frames.
    """

    def __init__(self, counts: Sequence[int], size: int) -> None:
        """``counts`` are the streams' codebooks, most first."""
        self._size = size
        codebooks, streams = max(counts, default=0), len(counts)
        # Streams that have each codebook: the first ones.
        self._having = [sum(count > book for count in counts) for book in range(codebooks)]
        self._weights = np.broadcast_to(_PRIOR, (codebooks, streams, len(_PRIOR))).copy()
        # The different codes that have come, smallest first, and behind them one that is none.
        self._seen = np.full((codebooks, streams, 4), size, np.int64)
        self._times = np.zeros_like(self._seen)
        self._frame = self._codebook = 0

    def _present(self) -> tuple[Integers, Integers, Integers]:
        """Weights of the next symbols, and what has come in their places."""
        place = self._codebook, slice(self._having[self._codebook])
        return self._weights[place], self._seen[place], self._times[place]

    def row(self) -> npt.NDArray[np.int32]:
        """Frequencies of the next symbols [n, size], of the n streams that have this codebook."""
        weights, seen, times = self._present()
        base, step, spare = _split(weights, self._frame, self._size)
        # What stands for no code gets a column of its own, which is cut off.
        out = np.repeat(base[:, None], self._size + 1, axis=1)
        np.add.at(out, (np.arange(len(seen))[:, None], seen), times * step[:, None])
        out[:, 0] += spare
        return out[:, :-1].astype(np.int32)

    def look(self) -> AdaptiveLook:
        """The same frequencies, to find symbols by what they are left and right of."""
        weights, seen, times = self._present()
        return AdaptiveLook(*_split(weights, self._frame, self._size), seen, times)

    def push(self, codes: Integers) -> None:
        """Tell what those symbols [n] turned out to be."""
        weights, seen, times = self._present()
        lanes, at = np.arange(len(codes)), (seen < codes[:, None]).sum(axis=1)
        known = seen[lanes, at] == codes
        before = np.where(known, times[lanes, at], 0)
        weights[:] = _reweighted(weights, _likelihoods(before, self._frame, self._size))
        times[lanes[known], at[known]] += 1
        if not known.all():
            self._insert(lanes[~known], at[~known], codes[~known])
        self._codebook += 1
        if self._codebook == len(self._having):
            self._frame, self._codebook = self._frame + 1, 0

    def _insert(self, lanes: Integers, at: Integers, codes: Integers) -> None:
        """Codes that have come for the first time, each at its place."""
        _, seen, times = self._present()
        if (seen[:, -2] < self._size).any():  # and one must be left that is none
            room = np.full_like(self._seen, self._size)
            self._seen = np.concatenate([self._seen, room], axis=2)
            self._times = np.concatenate([self._times, np.zeros_like(room)], axis=2)
            _, seen, times = self._present()
        place = np.arange(seen.shape[1])
        behind = np.where(place > at[:, None], place - 1, place)
        for held, new in ((seen, codes), (times, np.ones_like(codes))):
            moved = held[lanes[:, None], behind]
            moved[np.arange(len(lanes)), at] = new
            held[lanes] = moved


class AdaptiveLook:
    """The intervals of the next symbols of several streams."""

    def __init__(
        self, base: Integers, step: Integers, spare: Integers, seen: Integers, times: Integers
    ) -> None:
        """What `_split` gives [n]; the different codes that have come [n, m], smallest first, and
        how often. The last of them is none: the number of codes that there are."""
        until = times.cumsum(axis=1)
        self._seen, self._times, self._before = seen, times, until - times
        # What is no code ends beyond all targets.
        self._rights = base[:, None] * (seen + 1) + step[:, None] * until + spare[:, None]
        self._parts = base, step, spare
        self._lists: list[list[int]] | None = None
        self._small: list[list[list[int]]] = []
        self._most = int(seen[0, -1]) - 1 if len(seen) else 0

    def find(self, rows: Rows, targets: Integers) -> tuple[Integers, Integers, Integers]:
        """Of these streams [m] the symbols with such targets [m] in their intervals, and the left
        ends and widths of these."""
        base, step, spare = (part[rows] for part in self._parts)
        # So many of the codes that have come lie left of the target.
        passed = (self._rights[rows] <= targets[:, None]).sum(axis=1)
        lanes = np.arange(len(targets))
        next_, times, before = (
            part[rows][lanes, passed] for part in (self._seen, self._times, self._before)
        )
        between = (targets - step * before - spare) // base
        codes = np.clip(between, 0, np.minimum(next_, self._most))
        left = base * codes + step * before + spare * (codes > 0)
        width = base + step * times * (codes == next_) + spare * (codes == 0)
        return codes, left, width

    def find_one(self, row: int, target: int) -> tuple[int, int, int]:
        """The same of one stream, quickly: by lists, unless many different codes have come."""
        if self._lists is None:
            self._lists = [part.tolist() for part in self._parts]
            if self._seen.shape[1] <= _FEW_SEEN:
                arrays = self._rights, self._seen, self._before, self._times
                self._small = [array.tolist() for array in arrays]
        bases, steps, spares = self._lists
        base, step, spare = bases[row], steps[row], spares[row]
        if self._small:
            rights, seen, befores, all_times = self._small
            passed = bisect_right(rights[row], target)
            next_, before, times = seen[row][passed], befores[row][passed], all_times[row][passed]
        else:
            passed = int(self._rights[row].searchsorted(target, "right"))
            next_, before = int(self._seen[row, passed]), int(self._before[row, passed])
            times = int(self._times[row, passed])
        code = min((target - step * before - spare) // base, next_, self._most)
        if code > 0:
            left, width = base * code + step * before + spare, base
        else:
            code, left, width = 0, step * before, base + spare
        return code, left, width + step * times if code == next_ else width
