"""Write files of weights for the portable decoder: docs/portable.md has the layout."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from neucodec.models.errors import ModelError

Array = npt.NDArray[np.generic]

SIGNATURE = b"\x89NCW\r\n\x1a\n"
VERSION = 1
ALIGNMENT = 64
"""Tensors begin at multiples of this many bytes, so that a mapped file can be read as it lies."""
MAX_TENSORS = 4096
MAX_NAME = 55
"""Bytes of a tensor's name."""
KINDS = {"<f4": 1, "<f2": 2, "|i1": 3, "<i4": 4, "|u1": 5}
"""Numbers by which the file names types of values, by NumPy's names of these types."""

_HEAD = struct.Struct("<8sIIQQ")  # signature, version, tensors, length of the file, reserved
_ENTRY = struct.Struct("<56sBBH4IIQQ")  # name, kind, dimensions, reserved, shape, CRC, offset, -


def flat_weights(tensors: Mapping[str, Array]) -> bytes:
    """Return the bytes of a file that holds these arrays by their names, in the order of names.

    Raises ModelError for names, types, dimensions or numbers of arrays that such a file cannot
    hold.
    """
    if len(tensors) > MAX_TENSORS:
        raise ModelError(f"{len(tensors)} tensors: a portable file holds {MAX_TENSORS}")
    directory, data = bytearray(), bytearray()
    first = _aligned(_HEAD.size + len(tensors) * _ENTRY.size + 4)
    for name, array in sorted(tensors.items()):
        values = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        kind, label = KINDS.get(values.dtype.str), name.encode()
        if kind is None or values.ndim > 4 or len(label) > MAX_NAME:
            raise ModelError(f"{name}, {values.dtype} {values.shape}, fits no portable file")
        data += bytes(_aligned(len(data)) - len(data))
        shape = (*array.shape, 0, 0, 0, 0)[:4]
        held = values.tobytes()
        directory += _ENTRY.pack(
            label, kind, array.ndim, 0, *shape, zlib.crc32(held), first + len(data), 0
        )
        data += held
    head = _HEAD.pack(SIGNATURE, VERSION, len(tensors), first + len(data), 0) + directory
    head += struct.pack("<I", zlib.crc32(head))
    return bytes(head.ljust(first, b"\0") + data)


def _aligned(place: int) -> int:
    return -(-place // ALIGNMENT) * ALIGNMENT
