"""Predict codes by frequencies that adapt to a chunk's codes so far: entropy coder 1. See NCF.md.

Nothing is learnt beforehand, and nothing goes from one chunk to the next: a second of codes shows
how often a codebook repeats its codes. Each codebook of each stream is predicted by itself, by
several Dirichlet-multinomial predictors (Laplace's rule of succession, with other numbers) and one
that takes all codes to be equally likely, mixed by Bayes' rule. All of it is computed in integers.
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
"""Longest chunk in frames: up to this all products below fit into 63 bits."""

_SUPPOSED = np.array([10, 30, 100, 300], np.int64)
"""How many evenly spread codes each predictor supposes before the first: the fewer, the sooner it
expects repetitions."""
_WEIGHT_BITS = 20
_PRIOR = np.array([4, 4, 8, 8, 40], np.int64) << _WEIGHT_BITS >> 6
"""Weights of the predictors before the first frame, of 2**20 in all; the last predictor takes all
codes to be equally likely."""


def can_adapt(size: int, frames: int) -> bool:
    """Return whether chunks of ``frames`` frames and codebooks of ``size`` can be coded."""
    return size >= SMALLEST_CODEBOOK and frames <= MAX_FRAMES


def _likelihoods(times: Integers, seen: Integers | int, size: int) -> Integers:
    """Return what each predictor, of 2**24, has given to codes: [..., predictors].

    ``times`` [...] says how often each code had come among the ``seen`` [...] codes before it.
    """
    supposed = _SUPPOSED + np.asarray(seen)[..., None]
    given = ((_SUPPOSED + times[..., None] * size) << TOTAL_BITS) // (supposed * size)
    even = np.full_like(times, TOTAL // size)
    return np.concatenate([given, even[..., None]], axis=-1)


def _reweighted(before: Integers, likelihoods: Integers) -> Integers:
    """Return the predictors' weights [..., predictors] after a code with these likelihoods."""
    shares = before * likelihoods
    total = shares.sum(axis=-1, keepdims=True)
    weights: Integers = np.maximum(shares // ((total >> _WEIGHT_BITS) + 1), 1)
    return weights


def _split(
    weights: Integers, seen: Integers | int, size: int
) -> tuple[Integers, Integers, Integers]:
    """Deal out 2**24 to the codes of a symbol: return base, step and spare, all [...].

    Every code gets ``base``, and ``step`` for each time that it has come; code 0 gets ``spare``,
    too.
    """
    supposed = _SUPPOSED + np.asarray(seen)[..., None]
    # A code that has not come may get as little as one.
    step = (weights[..., :-1] * (TOTAL - size) // supposed).sum(axis=-1) >> _WEIGHT_BITS
    base, spare = np.divmod(TOTAL - step * seen, size)
    return base, step, spare


def adaptive_intervals(codes: Integers, size: int) -> tuple[Integers, Integers]:
    """Return left ends and widths [n, F] of the intervals of codes [n, F].

    Each row is one codebook, of ``size`` entries, of one stream of a chunk.
    """
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

    It holds only the codes that have come, and how often. So memory and time depend on what a chunk
    has shown, not on the size of its codebooks or the number of its frames.
    """

    def __init__(self, counts: Sequence[int], size: int) -> None:
        """Take the streams' numbers of codebooks, the largest first, and the codebooks' size."""
        self._size = size
        codebooks, streams = max(counts, default=0), len(counts)
        # Streams that have each codebook: the first ones.
        self._having = [sum(count > book for count in counts) for book in range(codebooks)]
        self._weights = np.broadcast_to(_PRIOR, (codebooks, streams, len(_PRIOR))).copy()
        # The different codes that have come, smallest first; then ``size``, which is no code.
        self._seen = np.full((codebooks, streams, 4), size, np.int64)
        self._times = np.zeros_like(self._seen)
        self._frame = self._codebook = 0

    def _present(self) -> tuple[Integers, Integers, Integers]:
        """Return weights of the next symbols, the codes that have come for them, and how often."""
        place = self._codebook, slice(self._having[self._codebook])
        return self._weights[place], self._seen[place], self._times[place]

    def row(self) -> npt.NDArray[np.int32]:
        """Return frequencies [n, size] of the next symbols of the n streams that have them."""
        weights, seen, times = self._present()
        base, step, spare = _split(weights, self._frame, self._size)
        # ``size``, which is no code, gets a column of its own, which is cut off.
        out = np.repeat(base[:, None], self._size + 1, axis=1)
        np.add.at(out, (np.arange(len(seen))[:, None], seen), times * step[:, None])
        out[:, 0] += spare
        return out[:, :-1].astype(np.int32)

    def look(self) -> AdaptiveLook:
        """Return the same frequencies as intervals, in which symbols can be found."""
        weights, seen, times = self._present()
        return AdaptiveLook(*_split(weights, self._frame, self._size), seen, times)

    def push(self, codes: Integers) -> None:
        """Take the symbols [n] that were decoded."""
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
        """Insert codes that have come for the first time, each ``at`` its place in the order."""
        _, seen, times = self._present()
        if (seen[:, -2] < self._size).any():  # one place must be left for what is no code
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
        """Take what `_split` gives [n], the codes that have come [n, m], and how often.

        Codes are given smallest first; the last of them is no code but the number of all codes.
        """
        until = times.cumsum(axis=1)
        self._seen, self._times, self._before = seen, times, until - times
        # The last one, which is no code, ends beyond all targets.
        self._rights = base[:, None] * (seen + 1) + step[:, None] * until + spare[:, None]
        self._parts = base, step, spare
        self._lists: list[list[int]] | None = None
        self._small: list[list[list[int]]] = []
        self._most = int(seen[0, -1]) - 1 if len(seen) else 0

    def find(self, rows: Rows, targets: Integers) -> tuple[Integers, Integers, Integers]:
        """Find the symbols of streams ``rows`` [m] whose intervals hold ``targets`` [m].

        Return the symbols, and left ends and widths of their intervals, all [m].
        """
        base, step, spare = (part[rows] for part in self._parts)
        # How many of the codes that have come lie left of the target.
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
        """Do the same for one stream, fast: by lists, unless many different codes have come."""
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
