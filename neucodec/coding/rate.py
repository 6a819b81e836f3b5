"""Choose how many codebooks each chunk gets, so that a file has the bitrate that was asked for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Protocol

PACES = ((2, 2, 2), (12, 2, 3), (sys.maxsize, 6, 8))
"""``(end, delay, horizon)`` of the chunks before ``end``.

A chunk's codebooks depend on the sizes of chunks ``delay`` before it and further, so that as many
can be in work at once and the choice is the same whatever the number of threads. What was saved or
overspent is made good over ``horizon`` chunks. Both grow with a file, since nobody knows how long
what comes through a pipe will be: a short file would be over before a long horizon, and with a
short one a long file's quality would fluctuate.
"""
LEARNING = 8
"""Chunks from which is learnt what chunks cost."""
MOST_SAVED = 30
"""Chunks' worth of what silence may save up for what comes after it."""

_HEAD_BYTES = 12


class Rate(Protocol):
    """Chooses the number of codebooks of one chunk after the other.

    Safe to use in several threads.
    """

    most: int
    """The largest number that it may give."""

    def delay(self, index: int) -> int:
        """Return how many chunks from ``index`` on may be encoded at once: a choice may wait for
        the size of the chunk that many before."""
        ...

    def choose(self, index: int) -> int:
        """Return the number of codebooks of chunk ``index``; chunks are asked for in order."""
        ...

    def done(self, index: int, codebooks: int, size: int) -> None:
        """Take note that chunk ``index`` has so many codebooks, 0 for silence, and bytes."""
        ...

    def stop(self) -> None:
        """Let no chunk wait any more: one has failed."""
        ...


class NominalRate:
    """Chooses the same number for every chunk."""

    def __init__(self, codebooks: int) -> None:
        self.most = codebooks

    def delay(self, index: int) -> int:
        """See `Rate`."""
        return sys.maxsize

    def choose(self, index: int) -> int:
        """See `Rate`."""
        return self.most

    def done(self, index: int, codebooks: int, size: int) -> None:
        """See `Rate`."""

    def stop(self) -> None:
        """See `Rate`."""


class AverageRate:
    """Chooses numbers that bring a file's size to a budget per chunk.

    Where material is much alike, they are the two next to what the budget allows, in turn. What is
    saved or overspent is spread over the chunks to come. Nothing depends on how many those will be:
    a file and a pipe of the same samples get the same numbers.
    """

    def __init__(
        self, counts: Sequence[int], budget: float, book_bytes: float, left: float, spent: float
    ) -> None:
        """Take the possible numbers of codebooks, ``counts``, lowest first, and the ``budget`` in
        bytes per chunk.

        A codebook of a chunk has ``book_bytes`` raw, of which the part ``left`` is expected to
        remain, until there are chunks to tell. ``spent`` bytes go to all that is not chunks.
        """
        self.most = counts[-1]
        self._counts, self._budget = counts, budget
        # What one codebook more costs: the last ones are the hardest to foresee.
        self._step = book_bytes * (1 + left) / 2
        # Running means over chunks that are not silent, beginning as if there had been a few.
        self._mean_size = budget
        self._mean_count = max(budget - _HEAD_BYTES, 0) / (book_bytes * left)
        self._weight = 2
        self._saved, self._rest = -spent, 0.0
        self._chosen: list[int] = []
        self._learned = 0
        self._sizes: dict[int, tuple[int, int]] = {}
        self._stopped = False
        self._changed = threading.Condition()

    def delay(self, index: int) -> int:
        """See `Rate`."""
        return _pace(index)[0]

    def choose(self, index: int) -> int:
        """See `Rate`. Waits until the sizes that the choice depends on are known."""
        with self._changed:
            while len(self._chosen) <= index:
                delay, horizon = _pace(len(self._chosen))
                due = range(self._learned, len(self._chosen) - delay + 1)
                if all(chunk in self._sizes for chunk in due):
                    for chunk in due:
                        self._learn(*self._sizes.pop(chunk))
                    self._chosen.append(self._next(horizon))
                elif self._stopped:
                    return self.most
                else:
                    self._changed.wait()
            return self._chosen[index]

    def done(self, index: int, codebooks: int, size: int) -> None:
        """See `Rate`."""
        with self._changed:
            self._sizes[index] = codebooks, size
            self._changed.notify_all()

    def stop(self) -> None:
        """See `Rate`."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _next(self, horizon: int) -> int:
        in_work = self._chosen[self._learned :]
        saved = self._saved + sum(self._budget - self._expected(count) for count in in_work)
        target = self._budget + min(saved, MOST_SAVED * self._budget) / horizon
        wanted = self._mean_count + (target - self._mean_size) / self._step + self._rest
        count = min(self._counts, key=lambda count: (abs(count - wanted), count))
        # What rounding leaves over, the next chunk gets; but not what is out of reach.
        within = self._counts[0] <= wanted <= self.most
        self._rest = wanted - count if within else 0.0
        return count

    def _learn(self, count: int, size: int) -> None:
        self._learned += 1
        self._saved = min(self._saved + self._budget - size, MOST_SAVED * self._budget)
        if count:
            self._weight = min(self._weight + 1, LEARNING)
            self._mean_size += (size - self._mean_size) / self._weight
            self._mean_count += (count - self._mean_count) / self._weight

    def _expected(self, count: int) -> float:
        """Return about how many bytes a chunk with so many codebooks takes."""
        return self._mean_size + (count - self._mean_count) * self._step


def _pace(index: int) -> tuple[int, int]:
    """Return delay and horizon of a chunk, see `PACES`."""
    return next((delay, horizon) for end, delay, horizon in PACES if index < end)
