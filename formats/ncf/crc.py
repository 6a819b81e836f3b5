"""Compute CRC-32 of many overlapping slices of one buffer at once.

A search for chunks in garbage has to test a slice at every byte that looks like the head of a
chunk, and the garbage decides how long those slices are. CRC is linear, so the registers after all
prefixes of the buffer, computed once, give the CRC of any slice in constant time: the whole search
takes linear time whatever the heads claim.
"""

from __future__ import annotations

import zlib
from functools import cache

import numpy as np
import numpy.typing as npt

Registers = npt.NDArray[np.uint32]

_ONES = np.uint32(0xFFFFFFFF)
_POLYNOMIAL = np.uint32(0xEDB88320)
_LOW, _BYTE = np.uint32(0xFF), np.uint32(8)
_ROW = 128
"""Bytes in a row, where the registers of many rows advance together."""


@cache
def _byte_table() -> Registers:
    """Return what registers [256] that hold one byte become after eight shifts."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ np.where(table & 1, _POLYNOMIAL, np.uint32(0))
    return table


@cache
def _advance_table(power: int) -> Registers:
    """Return the effect [4, 256] of 2**power zero bytes on each byte of a register."""
    if power == 0:
        low = np.arange(256, dtype=np.uint32)
        places = np.stack([low << np.uint32(8 * place) for place in range(4)])
        moved: Registers = (places >> _BYTE) ^ _byte_table()[places & _LOW]
        return moved
    half = _advance_table(power - 1)
    return _apply(half, half)


def _apply(table: Registers, state: Registers) -> Registers:
    """Send registers through a table of _advance_table."""
    out: Registers = table[0][state & _LOW]
    for place in range(1, 4):
        out = out ^ table[place][state >> np.uint32(8 * place) & _LOW]
    return out


def registers(data: bytes | bytearray | memoryview, first: int = 0xFFFFFFFF) -> Registers:
    """Return the CRC register before every byte of ``data`` and after the last [len(data) + 1].

    ``first`` is the register before the first byte: to go on where an earlier call ended, give the
    last register of that one.
    """
    rows = -(-len(data) // _ROW)
    state = np.empty(rows, np.uint32)
    crc = first ^ 0xFFFFFFFF
    for row in range(rows):
        state[row] = crc ^ 0xFFFFFFFF
        crc = zlib.crc32(data[row * _ROW : (row + 1) * _ROW], crc)
    padded = np.zeros(rows * _ROW, np.uint8)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    columns = np.ascontiguousarray(padded.reshape(rows, _ROW).T).astype(np.uint32)
    table = _byte_table()
    for column in columns:
        state = (state >> _BYTE) ^ table[(state ^ column) & _LOW]
        column[:] = state
    return np.concatenate([[np.uint32(first)], columns.T.reshape(-1)[: len(data)]])


def slice_crcs(
    registers: Registers, start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
) -> Registers:
    """Return the CRC-32, as zlib's, of slices [start, end) of the data that gave ``registers``."""
    length = end - start
    state = registers[start] ^ _ONES
    for power in range(int(length.max(initial=0)).bit_length()):
        those = np.nonzero((length >> power) & 1)[0]
        state[those] = _apply(_advance_table(power), state[those])
    crcs: Registers = registers[end] ^ state ^ _ONES
    return crcs


class RunningRegisters:
    """CRC registers of a stream's bytes, each computed once and kept while it may be asked for.

    It takes four bytes of memory for each byte between what was forgotten and what was covered.
    """

    def __init__(self, offset: int) -> None:
        """Begin with the byte of the stream at ``offset``."""
        self._held = np.full(1, _ONES)
        self._count = 1
        self._offset = offset

    @property
    def until(self) -> int:
        """Offset of the first byte that is not covered yet."""
        return self._offset + self._count - 1

    def cover(self, data: bytes | bytearray | memoryview) -> None:
        """Compute the registers of the stream's next bytes."""
        new = registers(data, int(self._held[self._count - 1]))[1:]
        needed = self._count + len(new)
        if needed > len(self._held):
            # Room for as many more, so that every register is moved a few times at most.
            grown = np.empty(2 * needed, np.uint32)
            grown[: self._count] = self._held[: self._count]
            self._held = grown
        self._held[self._count : needed] = new
        self._count = needed

    def forget(self, offset: int) -> None:
        """Free registers before ``offset``: no slice will start there any more."""
        passed = min(offset, self.until) - self._offset
        if passed > self._count // 2:
            self._held = self._held[passed : self._count].copy()
            self._count -= passed
            self._offset += passed

    def crcs(self, start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> Registers:
        """Return the CRC-32, as zlib's, of the stream's slices [start, end), which are covered."""
        return slice_crcs(self._held, start - self._offset, end - self._offset)
