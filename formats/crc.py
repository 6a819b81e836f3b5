"""CRC-32 of many overlapping slices of one buffer at once.

A search for chunks in garbage has to test a slice at every byte that looks like the head of one,
and whoever made the garbage chooses how long those slices are. CRC is linear, so the register
after every prefix of the buffer, computed once, gives the CRC of any slice in constant time:
the whole search stays linear whatever the heads claim.
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
"""Bytes per row when registers of many rows advance together."""


@cache
def _byte_table() -> Registers:
    """What a register that holds one byte becomes after eight shifts [256]."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ np.where(table & 1, _POLYNOMIAL, np.uint32(0))
    return table


@cache
def _advance_table(power: int) -> Registers:
    """Effect of 2**power zero bytes on each byte of a register [4, 256]."""
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


def registers(data: bytes | bytearray) -> Registers:
    """CRC register before every byte of ``data`` and after the last [len(data) + 1]."""
    rows = -(-len(data) // _ROW)
    state = np.empty(rows, np.uint32)
    crc = 0
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
    return np.concatenate([[_ONES], columns.T.reshape(-1)[: len(data)]])


def slice_crcs(
    registers: Registers, start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
) -> Registers:
    """CRC-32, as zlib's, of the slices [start, end) of the data behind ``registers``."""
    length = end - start
    state = registers[start] ^ _ONES
    for power in range(int(length.max(initial=0)).bit_length()):
        those = np.nonzero((length >> power) & 1)[0]
        state[those] = _apply(_advance_table(power), state[those])
    crcs: Registers = registers[end] ^ state ^ _ONES
    return crcs
