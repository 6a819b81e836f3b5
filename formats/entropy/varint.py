"""Write and read integers of variable length: unsigned LEB128.

Seven bits are in a byte, least significant first; the high bit is set on all but the last byte.
Values are below 2**63, in at most ten bytes; longer forms than needed are read, too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neucodec.formats.errors import NcfError

MAX_VARINT_BYTES = 10
VARINT_LIMIT = 1 << 63


def encode_varint(value: int) -> bytes:
    """Return the shortest form of an integer, 0 <= value < 2**63; NcfError for others."""
    if not 0 <= value < VARINT_LIMIT:
        raise NcfError(f"{value} does not fit into a varint: 0 to 2**63 - 1 are possible")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Read the varint that starts at ``at``; return its value and where the next byte stands.

    Raises EOFError where the data end inside it and NcfError where it is none.
    """
    value = 0
    for position in range(MAX_VARINT_BYTES):
        if at + position >= len(data):
            raise EOFError("varint is cut off")
        byte = data[at + position]
        value |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            if value >= VARINT_LIMIT:
                break
            return value, at + position + 1
    raise NcfError("varint is longer than ten bytes or not below 2**63")


def read_varints(
    data: npt.NDArray[np.uint8], at: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Read varints that start at many places: their values, their ends, and whether they are valid.

    ``data`` must go on for ten bytes after the last place.
    """
    value = np.zeros(len(at), np.int64)
    end = at.copy()
    valid = np.zeros(len(at), np.bool_)
    open_ = np.arange(len(at))
    for position in range(MAX_VARINT_BYTES):
        byte = data[at[open_] + position].astype(np.int64)
        if position == MAX_VARINT_BYTES - 1:
            # Only a byte of zero can follow without reaching 2**63.
            open_, byte = open_[byte == 0], byte[byte == 0]
        value[open_] |= (byte & 0x7F) << 7 * position
        last = byte < 0x80
        closed = open_[last]
        valid[closed] = True
        end[closed] += position + 1
        open_ = open_[~last]
        if not len(open_):
            break
    return value, end, valid


def zigzag(value: int) -> int:
    """Map a signed integer to an unsigned one: 0, -1, 1, -2, 2 ... become 0, 1, 2, 3, 4 ..."""
    return 2 * value if value >= 0 else -2 * value - 1


def unzigzag(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Undo `zigzag`, for arrays."""
    return (values >> 1) ^ -(values & 1)
