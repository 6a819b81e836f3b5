"""Range coding of yes or no, with odds that adapt: what layers are coded with. See NCF.md."""

from __future__ import annotations

import numpy as np

from neucodec.formats.errors import NcfError

from .range_coder import TOTAL, encode_intervals, ends_as_encoded

_LIMIT = 128
"""Beyond which the past counts half."""


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
        """Of 2**24, what yes gets: at least one, and never all."""
        return TOTAL * self.yes // (self.no + self.yes)


class BinaryEncoder:
    """Takes answers, gives the payload."""

    def __init__(self) -> None:
        self._yes: list[int] = []
        self._bits: list[int] = []

    def bit(self, context: Context, bit: int) -> int:
        """Code one answer, and give it back."""
        self._yes.append(context.likely)
        self._bits.append(bit)
        context.learn(bit)
        return bit

    def even(self, count: int, value: int) -> int:
        """Code a number of so many bits, of which all are equally likely; and give it back."""
        for place in range(count - 1, -1, -1):
            self._yes.append(TOTAL // 2)
            self._bits.append(value >> place & 1)
        return value

    def check(self) -> None:
        """See `BinaryDecoder.check`; here nothing can be lacking."""

    def payload(self) -> bytes:
        """All that was coded."""
        yes, bits = np.array(self._yes, np.int64), np.array(self._bits, np.bool_)
        no = TOTAL - yes
        return encode_intervals(np.where(bits, no, 0), np.where(bits, yes, no))


class BinaryDecoder:
    """Takes a payload, gives answers; of the same methods, so that one routine asks for both."""

    __slots__ = ("_lost", "_offset", "_payload", "_size", "_span")

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._offset = int.from_bytes(payload[:8].ljust(8, b"\0"), "big")
        self._span, self._size, self._lost = 2**64 - 1, 8, False

    def bit(self, context: Context, bit: int = 0) -> int:
        """The next answer."""
        bit = self._next(context.likely)
        context.learn(bit)
        return bit

    def even(self, count: int, value: int = 0) -> int:
        """The next number of so many bits."""
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
        """Raise NcfError where more has been taken than there is, so that no questions are asked
        beyond what bytes pay for."""
        if self._lost or self._size > len(self._payload) + 8:
            raise NcfError("a layer that ends before its coefficients do")

    def is_whole(self) -> bool:
        """Whether the payload is, to its last byte, what encoding the answers so far gives."""
        return not self._lost and ends_as_encoded(
            self._payload, self._offset, self._span, self._size
        )
