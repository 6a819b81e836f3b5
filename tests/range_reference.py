"""The entropy coders of NCF.md written out in plain integers, one symbol at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Row = Sequence[int]


def encode(symbols: Sequence[int], rows: Sequence[Row]) -> bytes:
    """The payload of symbols with these frequencies."""
    low, span, size = 0, 2**64 - 1, 8
    for symbol, row in zip(symbols, rows, strict=True):
        scale = span // 2**24
        low += scale * sum(row[:symbol])
        span = scale * row[symbol]
        if span < 2**32:
            low, span, size = low * 2**32, span * 2**32, size + 4
    for length in range(size - 8, size + 1):
        unit = 256 ** (size - length)
        value = -(-low // unit)
        if value * unit < low + span:
            return value.to_bytes(length, "big")
    raise AssertionError("the interval is empty")


class Decoder:
    """Symbols of one payload."""

    def __init__(self, payload: bytes) -> None:
        self._rest = iter(payload)
        self.offset, self.span = self._take(8), 2**64 - 1

    def _take(self, count: int) -> int:
        return int.from_bytes(bytes(next(self._rest, 0) for _ in range(count)), "big")

    def symbol(self, row: Row) -> int:
        """The next symbol, which has these frequencies."""
        scale = self.span // 2**24
        target = self.offset // scale
        assert target < 2**24, "damaged"
        symbol, left = 0, 0
        while left + row[symbol] <= target:
            left, symbol = left + row[symbol], symbol + 1
        self.offset -= scale * left
        self.span = scale * row[symbol]
        if self.span < 2**32:
            self.offset = self.offset * 2**32 + self._take(4)
            self.span *= 2**32
        return symbol


def adaptive_rows(codes: Sequence[int], size: int) -> Iterator[list[int]]:
    """The frequencies of each code of one codebook of one stream, from those before it."""
    supposed = (10, 30, 100, 300)
    weights = [65536, 65536, 131072, 131072, 655360]
    times = [0] * size
    for seen, code in enumerate(codes):
        step = (
            sum(w * (2**24 - size) // (s + seen) for w, s in zip(weights, supposed, strict=False))
            // 2**20
        )
        base, spare = divmod(2**24 - step * seen, size)
        row = [base + step * count for count in times]
        row[0] += spare
        yield row
        given = [(s + times[code] * size) * 2**24 // ((s + seen) * size) for s in supposed]
        given.append(2**24 // size)
        shares = [w * p for w, p in zip(weights, given, strict=True)]
        weights = [max(1, q // (sum(shares) // 2**20 + 1)) for q in shares]
        times[code] += 1
