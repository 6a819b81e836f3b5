"""Pack codes into fixed-width integers, most significant bit first: the raw payload."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neucodec.formats.errors import NcfError

MAX_CODE_BITS = 16
_BLOCK = 2**20
"""How many codes are unpacked at once, a multiple of 8: each takes 32 bytes meanwhile."""


def code_bits(codebook_size: int) -> int:
    """Return the width in bits of one raw code: ceil(log2(codebook_size))."""
    return (codebook_size - 1).bit_length()


def payload_bytes(codes: int, bits: int) -> int:
    """Return the length in bytes of the raw payload of ``codes`` codes of ``bits`` bits."""
    return (codes * bits + 7) // 8


def pack_codes(codes: npt.NDArray[np.integer[Any]], bits: int) -> bytes:
    """Pack codes [streams, codebooks, frames] into a raw payload of ``bits`` bits per code.

    Streams that are silent have no codes and are not among ``streams``. Raises NcfError for
    codes that do not fit.
    """
    if not 1 <= bits <= MAX_CODE_BITS:
        raise NcfError(f"codes of {bits} bits: 1 to {MAX_CODE_BITS} are possible")
    if codes.ndim != 3 or codes.dtype.kind not in "iu":
        raise NcfError(
            f"codes are {codes.dtype} of shape {codes.shape}: "
            "they must be integers of shape (streams, codebooks, frames)"
        )
    flat = codes.reshape(-1)
    if flat.size and (flat.min() < 0 or flat.max() >= 1 << bits):
        raise NcfError(f"codes from {flat.min()} to {flat.max()} do not fit into {bits} bits")
    planes = np.unpackbits(flat.astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)
    return np.packbits(planes[:, MAX_CODE_BITS - bits :]).tobytes()


def unpack_codes(
    payload: bytes, streams: int, codebooks: int, frames: int, codebook_size: int
) -> npt.NDArray[np.int64]:
    """Unpack a raw payload to codes [streams, codebooks, frames].

    ``streams`` counts those that are not silent. Raises NcfError where the payload's length or
    a code does not fit.
    """
    bits, count = code_bits(codebook_size), streams * codebooks * frames
    if not 1 <= bits <= MAX_CODE_BITS:
        raise NcfError(f"codebooks of {codebook_size} entries: 2 to 65536 are possible")
    if len(payload) != payload_bytes(count, bits):
        raise NcfError(
            f"raw payload of {len(payload)} bytes: {streams} x {codebooks} x {frames} codes of "
            f"{bits} bits take {payload_bytes(count, bits)}"
        )
    codes, packed = np.empty(count, np.int64), np.frombuffer(payload, np.uint8)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        planes = np.zeros((size, MAX_CODE_BITS), np.uint8)
        block = np.unpackbits(packed[start * bits // 8 :], count=size * bits)
        planes[:, MAX_CODE_BITS - bits :] = block.reshape(-1, bits)
        codes[start : start + size] = np.packbits(planes, axis=1).view(">u2")[:, 0]
    if count and codes.max() >= codebook_size:
        raise NcfError(f"code {codes.max()} in a codebook of {codebook_size} entries")
    return codes.reshape(streams, codebooks, frames)
