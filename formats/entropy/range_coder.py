"""Range code codes by integer frequencies, into the entropy coded payload. See NCF.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import constriction
import numpy as np
import numpy.typing as npt

TOTAL_BITS = 24
TOTAL = 1 << TOTAL_BITS
"""Sum of the frequencies of all codes of a symbol."""
SMALLEST_CODEBOOK = 3
"""How many entries a codebook must have to be range coded."""

Integers = npt.NDArray[np.integer[Any]]
Symbols = npt.NDArray[np.int64]
Rows = slice | Symbols

_WORD_BITS = 32
_STATE_BYTES = 8
_AT_ONCE = 1 << 16
"""Symbols that are encoded at once; each takes some hundred bytes of memory meanwhile."""
# Given frequencies less one each, constriction makes exactly these integers of its float weights.
_INTERVALS = constriction.stream.model.Categorical(lazy=True)


def intervals_of(
    rows: npt.NDArray[np.int32], codes: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return left ends and widths [...] of codes' intervals, given frequencies [..., size]."""
    flat = rows.reshape(-1)
    # Rows are laid end to end; the sum may wrap around, since 2**24 divides 2**32.
    ends = np.cumsum(flat, dtype=np.uint32)
    at = np.arange(codes.size) * rows.shape[-1] + codes.reshape(-1)
    width = flat[at].astype(np.int64)
    left = (ends[at] - width) % TOTAL
    return left.reshape(codes.shape), width.reshape(codes.shape)


def encode_intervals(left: Integers, width: Integers) -> bytes:
    """Return the shortest payload from which symbols with these intervals [n] are decoded.

    A symbol's interval, within 0 to 2**24, begins at ``left`` and is as wide as its frequency.
    """
    coder = constriction.stream.queue.RangeEncoder()
    for start in range(0, len(left), _AT_ONCE):
        _encode(coder, left[start : start + _AT_ONCE], width[start : start + _AT_ONCE])
    words, (low_end, span) = coder.pos()
    size = 4 * words + _STATE_BYTES
    # What constriction would write lies within the final interval; its state has the last 64 bits
    # of the interval's low end.
    within = int.from_bytes(
        coder.get_compressed().astype(">u4").tobytes().ljust(size, b"\0"), "big"
    )
    return _shortest(within - (within - low_end) % 2**64, span, size)


def _encode(coder: Any, left: Integers, width: Integers) -> None:
    """Put symbols with these intervals [n], at least one, through constriction's encoder."""
    # Only the symbol's own interval matters. Where nothing lies on one side of it, the other
    # side is cut in two, so that there always are three.
    right = TOTAL - left - width
    rows = np.stack([left, width, right], axis=1)
    symbols = np.ones(len(rows), np.int32)
    first, last = left == 0, right == 0
    one = np.ones_like(left)
    rows[first] = np.stack([width, right - 1, one], axis=1)[first]
    rows[last] = np.stack([one, left - 1, width], axis=1)[last]
    symbols[first], symbols[last] = 0, 2
    if rows.min() < 1 or np.any(first & last):
        raise ValueError("intervals of codebooks with fewer than three entries cannot be coded")
    coder.encode(symbols, _INTERVALS, rows.astype(np.float64) - 1)


def _shortest(low: int, span: int, size: int) -> bytes:
    """Return the fewest bytes that, with zeros behind them, lie within the final interval.

    The interval is [low, low + span) / 256**size. At most the last eight bytes are left out.
    """
    for spare in range(_STATE_BYTES, 0, -1):
        value = -(-low >> 8 * spare)
        if value << 8 * spare < low + span:
            return value.to_bytes(size - spare, "big")
    return low.to_bytes(size, "big")


def ends_as_encoded(payload: bytes, offset: int, span: int, size: int) -> bool:
    """Return whether a payload is the shortest one for what was decoded from it.

    ``offset`` says where it is in the final interval, ``span`` how wide that is, after ``size``
    bytes have been taken.
    """
    if len(payload) > size:
        return False
    value = int.from_bytes(payload.ljust(size, b"\0"), "big")
    return _shortest(value - offset, span, size) == payload


class Look(Protocol):
    """The intervals of the next symbols of several rows; each has frequencies that sum to 2**24."""

    def find(self, rows: Rows, targets: Symbols) -> tuple[Symbols, Symbols, Symbols]:
        """Find the symbols of ``rows`` [m] whose intervals hold ``targets`` [m].

        Return the symbols, and left ends and widths of their intervals, all [m].
        """
        ...

    def find_one(self, row: int, target: int) -> tuple[int, int, int]:
        """Find the symbol of one row."""
        ...


class RowLook:
    """Intervals of symbols whose frequencies are all given, [n, size]."""

    def __init__(self, rows: npt.NDArray[np.int32]) -> None:
        self._rows = rows
        self._ends = np.cumsum(rows, axis=1, dtype=np.int32)
        if np.any(self._ends[:, -1] != TOTAL):
            raise ValueError("frequencies do not sum to 2**24")

    def find(self, rows: Rows, targets: Symbols) -> tuple[Symbols, Symbols, Symbols]:
        """See `Look`."""
        ends, lanes = self._ends[rows], np.arange(len(targets))
        symbols: Symbols = np.argmax(ends > targets[:, None], axis=1)
        width = self._rows[rows][lanes, symbols].astype(np.int64)
        return symbols, ends[lanes, symbols] - width, width

    def find_one(self, row: int, target: int) -> tuple[int, int, int]:
        """See `Look`."""
        symbol = int(self._ends[row].searchsorted(target, "right"))
        width = int(self._rows[row, symbol])
        return symbol, int(self._ends[row, symbol]) - width, width


class RangeDecoder:
    """Decoder of many payloads in step, one symbol of each at a time.

    `constriction` would decode the same one by one, but its calls alone take longer than this.
    """

    def __init__(self, payloads: Sequence[bytes]) -> None:
        self._payloads = list(payloads)
        lengths = np.array([len(payload) for payload in payloads], np.int64)
        # Behind its end a payload reads as zeros; the last column stands for all that follows.
        width = -(-int(lengths.max(initial=0)) // 4) + 3
        data = b"".join(payload.ljust(4 * width, b"\0") for payload in payloads)
        self._words = np.frombuffer(data, ">u4").reshape(-1, width).astype(np.uint64)
        count = len(self._payloads)
        self._lanes = np.arange(count)
        self._taken = np.full(count, 2)
        # Encoding gives all bytes of an interval's low end but the last eight.
        self._most = (lengths + _STATE_BYTES) // 4
        # Where in the present interval the payload's value is, and how wide that interval is.
        self._offset = self._words[:, 0] << np.uint64(_WORD_BITS) | self._words[:, 1]
        self._span = np.full(count, 2**64 - 1, np.uint64)
        self._lost = np.zeros(count, np.bool_)

    def decode(self, rows: npt.NDArray[np.int32]) -> Symbols:
        """Return the next symbols [n] of the first n payloads, given frequencies [n, size].

        Every frequency is at least 1 and every row sums to 2**24.
        """
        return self.take(RowLook(rows), slice(None), slice(len(rows)))

    def take(self, look: Look, rows: Rows, lanes: Rows) -> Symbols:
        """Return the next symbols of payloads ``lanes``; ``rows`` of ``look`` have intervals."""
        offset, span = self._offset[lanes], self._span[lanes]
        if not len(offset):
            return np.zeros(0, np.int64)
        scale = span >> np.uint64(TOTAL_BITS)
        target = offset // scale
        # At the top of an interval there is a remainder that no encoder ends in.
        self._lost[lanes] |= target >= TOTAL
        within = np.minimum(target, np.uint64(TOTAL - 1)).astype(np.int64)
        symbols, left, width = look.find(rows, within)
        offset = offset - scale * left.astype(np.uint64)
        span = scale * width.astype(np.uint64)
        (short,) = np.nonzero(span < 2**_WORD_BITS)
        if len(short):
            which = self._lanes[lanes][short]
            column = np.minimum(self._taken[which], self._words.shape[1] - 1)
            offset[short] = offset[short] << np.uint64(_WORD_BITS) | self._words[which, column]
            span[short] <<= np.uint64(_WORD_BITS)
            self._taken[which] += 1
        self._offset[lanes], self._span[lanes] = offset, span
        return symbols

    def lost(self) -> npt.NDArray[np.bool_]:
        """Return which payloads [n] cannot be whole any more, whatever follows.

        What has been decoded takes more bytes than they have, or nothing encodes to them.
        """
        return self._lost | (self._taken > self._most)

    def is_whole(self, lane: int) -> bool:
        """Return whether encoding the symbols so far gives a payload, to its last byte."""
        return not self._lost[lane] and ends_as_encoded(
            self._payloads[lane],
            int(self._offset[lane]),
            int(self._span[lane]),
            4 * int(self._taken[lane]),
        )


class SingleDecoder:
    """Decoder of one payload, in a tenth of the time that `RangeDecoder` takes for one.

    For a chunk of many streams, whose symbols have to wait for each other.
    """

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._offset = int.from_bytes(payload[:_STATE_BYTES].ljust(_STATE_BYTES, b"\0"), "big")
        self._span, self._size, self._beyond = 2**64 - 1, _STATE_BYTES, False
        self._most = len(payload) + _STATE_BYTES

    def take(self, look: Look, row: int) -> int:
        """Return the next symbol; a row of ``look`` has its intervals. 0 if the payload is lost."""
        if self._size > self._most:
            return 0
        scale = self._span >> TOTAL_BITS
        target = self._offset // scale
        if target >= TOTAL:
            self._beyond, target = True, TOTAL - 1
        symbol, left, width = look.find_one(row, target)
        # Beyond the last interval it goes on within 64 bits, as `RangeDecoder` does.
        offset, span = (self._offset - scale * left) % 2**64, scale * width
        if span < 1 << _WORD_BITS:
            word = self._payload[self._size : self._size + 4].ljust(4, b"\0")
            offset = (offset << _WORD_BITS | int.from_bytes(word, "big")) % 2**64
            span <<= _WORD_BITS
            self._size += 4
        self._offset, self._span = offset, span
        return symbol

    def lost(self) -> bool:
        """Return whether the payload cannot be whole any more; see `RangeDecoder.lost`."""
        return self._beyond or self._size > self._most

    def is_whole(self) -> bool:
        """Return whether encoding the symbols so far gives the payload, to its last byte."""
        return not self._beyond and ends_as_encoded(
            self._payload, self._offset, self._span, self._size
        )
