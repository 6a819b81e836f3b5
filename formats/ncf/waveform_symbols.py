"""Code the symbols of a waveform layer by the frequencies of their contexts, see NCF.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import constriction
import numpy as np
import numpy.typing as npt

from neucodec.formats.entropy.range_coder import TOTAL_BITS, encode_intervals
from neucodec.formats.errors import NcfError

from .waveform_contexts import FREQUENCIES

_LAST_BITS = 128
"""Bits that symbols may take beyond those of the payload: its last eight bytes may be left out, and
rounding goes into each."""
_LEFT = (np.cumsum(FREQUENCIES, axis=1) - FREQUENCIES).astype(np.int32)
_BITS = TOTAL_BITS - np.log2(FREQUENCIES)
# Given frequencies less one each, constriction makes exactly these integers of its float weights.
_ROWS = FREQUENCIES.astype(np.float64) - 1
_SYMBOLS = constriction.stream.model.Categorical(lazy=True)


@dataclass
class Intervals:
    """Gathers the intervals of symbols."""

    _left: list[npt.NDArray[np.int32]] = field(default_factory=list)
    _width: list[npt.NDArray[np.int32]] = field(default_factory=list)

    def symbols(self, contexts: npt.NDArray[np.int64], symbols: npt.NDArray[np.int64]) -> float:
        """Take symbols [n] of contexts [n]; return how many bits they take."""
        self._left.append(_LEFT[contexts, symbols])
        self._width.append(FREQUENCIES[contexts, symbols].astype(np.int32))
        return float(_BITS[contexts, symbols].sum())

    def even(self, bits: int, value: int) -> None:
        """Take a number of ``bits`` bits, all of whose values are equally likely."""
        if bits:
            width = 1 << (TOTAL_BITS - bits)
            self._left.append(np.array([int(value) * width], np.int32))
            self._width.append(np.array([width], np.int32))

    def bits(self) -> float:
        """Return how many bits these symbols take."""
        widths = np.concatenate(self._width)
        return float(TOTAL_BITS * len(widths) - np.log2(widths).sum())

    def payload(self) -> bytes:
        """Return the payload of all symbols."""
        return encode_intervals(np.concatenate(self._left), np.concatenate(self._width))


class Symbols:
    """Reads symbols out of a payload."""

    def __init__(self, payload: bytes) -> None:
        # Behind its end a payload reads as zeros; of its last eight bytes some may be left out.
        self._words = -(-len(payload) // 4) + 3
        data = np.frombuffer(payload.ljust(4 * self._words, b"\0"), ">u4").astype(np.uint32)
        self._decoder = constriction.stream.queue.RangeDecoder(data)
        self.read = Intervals()
        """Those of the symbols so far, from which the payload can be made again."""
        self._left = 8.0 * len(payload) + _LAST_BITS

    def symbols(self, contexts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Read the symbols of contexts [n]."""
        if not len(contexts):
            return np.zeros(0, np.int64)
        symbols = np.asarray(self._decode(_SYMBOLS, _ROWS[contexts]), np.int64)
        self._left -= self.read.symbols(contexts, symbols)
        if self._left < 0:
            raise NcfError("a waveform layer that goes on behind its last byte")
        return symbols

    def even(self, bits: int) -> int:
        """Read a number of ``bits`` bits, all of whose values are equally likely."""
        value = int(self._decode(constriction.stream.model.Uniform(1 << bits)))
        self.read.even(bits, value)
        return value

    def _decode(self, *model: object) -> Any:
        try:
            return self._decoder.decode(*model)
        except AssertionError:
            raise NcfError("a waveform layer that nothing encodes to") from None
