"""Range code yes or no, with odds that adapt: layers are coded with this. See NCF.md."""

from __future__ import annotations

import numpy as np

from neucodec.formats.errors import NcfError

from .range_coder import TOTAL, encode_intervals, ends_as_encoded

_LIMIT = 128
"""Largest sum of counts; beyond it both counts are halved."""


class Context:
    """How often a question has been answered with no and with yes so far."""

    __slots__ = ("no", "yes")

    def __init__(self) -> None:
        self.no, self.yes = 1, 1

    def learn(self, bit: int) -> None:
        """Count an answer."""
        no, yes = self.no, self.yes
        if bit:
            yes += 2
        else:
            no += 2
        if no + yes > _LIMIT:
            no, yes = (no + 1) >> 1, (yes + 1) >> 1
        self.no, self.yes = no, yes

    @property
    def likely(self) -> int:
        """Share of yes, of 2**24: at least one, and never all."""
        return TOTAL * self.yes // (self.no + self.yes)


class BinaryEncoder:
    """Encoder that takes answers and gives the payload."""

    def __init__(self) -> None:
        self._yes: list[int] = []
        self._bits: list[int] = []

    def bit(self, context: Context, bit: int) -> int:
        """Encode one answer and return it."""
        self._yes.append(context.likely)
        self._bits.append(bit)
        context.learn(bit)
        return bit

    def even(self, count: int, value: int) -> int:
        """Encode a number of ``count`` bits, all values being equally likely, and return it."""
        for place in range(count - 1, -1, -1):
            self._yes.append(TOTAL // 2)
            self._bits.append(value >> place & 1)
        return value

    def check(self) -> None:
        """Do nothing: see `BinaryDecoder.check`."""

    def payload(self) -> bytes:
        """Return everything that was encoded, as bytes."""
        yes, bits = np.array(self._yes, np.int64), np.array(self._bits, np.bool_)
        no = TOTAL - yes
        return encode_intervals(np.where(bits, no, 0), np.where(bits, yes, no))


class BinaryDecoder:
    """Decoder that takes a payload and gives answers.

    It has the methods of `BinaryEncoder`, so that one routine serves both.
    """

    __slots__ = ("_lost", "_offset", "_payload", "_size", "_span")

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._offset = int.from_bytes(payload[:8].ljust(8, b"\0"), "big")
        self._span, self._size, self._lost = 2**64 - 1, 8, False

    def bit(self, context: Context, bit: int = 0) -> int:
        """Return the next answer; ``bit`` is not used."""
        bit = self._next(context.likely)
        context.learn(bit)
        return bit

    def even(self, count: int, value: int = 0) -> int:
        """Return the next number of ``count`` bits; ``value`` is not used."""
        value = 0
        for _ in range(count):
            value = value << 1 | self._next(TOTAL // 2)
        return value

    def _next(self, yes: int) -> int:
        scale = self._span >> 24
        no = scale * (TOTAL - yes)
        if self._offset < no:
            span, bit = no, 0
        else:
            self._offset -= no
            span, bit = scale * yes, 1
            # At the top of an interval there is a remainder that no encoder ends in.
            if self._offset >= span:
                self._lost, self._offset = True, span - 1
        if span < 1 << 32:
            word = self._payload[self._size : self._size + 4].ljust(4, b"\0")
            self._offset = self._offset << 32 | int.from_bytes(word, "big")
            span <<= 32
            self._size += 4
        self._span = span
        return bit

    def check(self) -> None:
        """Raise NcfError where more has been decoded than the payload can hold.

        So a few bytes cannot make a reader decode for long.
        """
        if self._lost or self._size > len(self._payload) + 8:
            raise NcfError("a layer that ends before its coefficients do")

    def is_whole(self) -> bool:
        """Return whether encoding the answers so far gives the payload, to its last byte."""
        return not self._lost and ends_as_encoded(
            self._payload, self._offset, self._span, self._size
        )
