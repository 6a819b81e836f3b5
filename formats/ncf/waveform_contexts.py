"""Foresee the integers of a waveform layer from those before them. See NCF.md, "Waveform layer".

Rows of integers are coded half by half, first those with even numbers, then those with odd ones,
which have both of their neighbours known. So an array operation does half a row at a time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neucodec.formats.entropy.range_coder import TOTAL

from .waveform_shares import CLASSES, DECISIONS, PLACES, SHARES

Integers = npt.NDArray[np.int64]

LARGEST = 15
"""Magnitudes count as this much at most among what others are foreseen from."""
PLACE_HZ = 1800
"""Width of a place, a part of the spectrum that has shares of its own."""
_MARGIN = 4
_MEMORY_SHIFT = 3
_KERNELS: tuple[tuple[Integers, ...], ...] = tuple(
    tuple(np.array([*reversed(half[1:]), *half], np.int64) * factor for half, factor in weights)
    for weights in (
        (((30, 31, 7, 8, 8), 16), ((7, 4), 16), ((53, 13, 1), 1), ((), 1)),
        (((24, 10, 4), 16), ((7, 2), 16), ((47, 8), 1), ((0, 48, 0, 12), 16)),
    )
)
"""Weights of neighbours' magnitudes for even numbers, and for odd ones: of the row before, of the
one before that, of the mean and of the row itself, each from so far below to so far above."""


def _thresholds() -> Integers:
    """Return the ends of the classes of expectations: 16, and each a quarter more and one."""
    ends = [16]
    while len(ends) < CLASSES - 1:
        ends.append(ends[-1] + ends[-1] * 3 // 8 + 1)
    return np.array(ends)


_ENDS = _thresholds()


def _frequencies() -> npt.NDArray[np.int64]:
    """Return the frequencies of the symbols 0, +1, -1, +2, ... [contexts, 2 x DECISIONS + 1]."""
    shares = np.frombuffer(bytes.fromhex(SHARES), np.uint8).reshape(-1, DECISIONS).astype(np.int64)
    rows = np.zeros((len(shares), 2 * DECISIONS + 1), np.int64)
    rest = np.full(len(shares), TOTAL)
    for decision in range(DECISIONS):
        least = 4 * (DECISIONS - decision)
        more = np.minimum(np.maximum(rest * shares[:, decision] >> 8, least), rest - 4)
        _share_out(rows, decision, rest - more)
        rest = more
    _share_out(rows, DECISIONS, rest)
    return rows


def _share_out(rows: npt.NDArray[np.int64], magnitude: int, frequency: Integers) -> None:
    """Give a magnitude's frequency to its two signs."""
    if magnitude == 0:
        rows[:, 0] = frequency
        return
    rows[:, 2 * magnitude - 1] = frequency >> 1
    rows[:, 2 * magnitude] = frequency - (frequency >> 1)


FREQUENCIES = _frequencies()
"""Frequencies of the symbols of each context, [PLACES x CLASSES x 2, 2 x DECISIONS + 1]; each row
sums to 2**24."""


def places(numbers: int, block: int, sample_rate: int) -> Integers:
    """Return the place of each of a row's ``numbers`` integers, of blocks of ``block`` samples."""
    hertz = np.arange(numbers, dtype=np.int64) * sample_rate // (2 * block)
    return np.minimum(hertz // PLACE_HZ, PLACES - 1)


class Past:
    """Remembers the rows that were coded, and gives the contexts of the next row's integers."""

    def __init__(self, places: Integers) -> None:
        """Begin with no row; ``places`` [n] are those of a row's integers, see `places`."""
        width = len(places) + 2 * _MARGIN
        self._context = [places[parity::2] * (2 * CLASSES) + parity * CLASSES for parity in (0, 1)]
        self._row, self._row_before = np.zeros(width, np.int64), np.zeros(width, np.int64)
        self._sum, self._weight = np.zeros(width, np.int64), 0
        self._mean = np.zeros(width, np.int64)
        self._own = np.zeros(width, np.int64)
        self._count = len(places)

    def contexts(self, parity: int) -> Integers:
        """Return the contexts of the next row's even (0) or odd (1) integers.

        For the odd ones `see` must have been told the even ones.
        """
        expected: Integers | int = 0
        kernels = _KERNELS[parity]
        for array, kernel in zip(
            (self._row, self._row_before, self._mean, self._own), kernels, strict=True
        ):
            if len(kernel):
                beyond = _MARGIN - len(kernel) // 2
                reached = array[beyond : len(array) - beyond]
                expected = expected + np.convolve(reached, kernel, "valid")[parity::2]
        return self._context[parity] + np.searchsorted(_ENDS, expected, "right")

    def see(self, parity: int, values: Integers) -> None:
        """Take what the next row's even or odd integers turned out to be; odd ones end the row."""
        self._own[_MARGIN + parity : _MARGIN + self._count : 2] = np.minimum(
            np.abs(values), LARGEST
        )
        if parity:
            self._row_before, self._row, self._own = self._row, self._own, self._row_before
            self._own[:] = 0
            self._sum += 64 * self._row - (self._sum >> _MEMORY_SHIFT)
            self._weight += 64 - (self._weight >> _MEMORY_SHIFT)
            self._mean = 16 * self._sum // self._weight
