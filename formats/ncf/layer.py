"""Write and read the layer of a chunk: a few coefficients of a lapped transform.

They stand beside the codes or instead of them. Here they are integers only; `neucodec.coding.tones`
turns them into sound. See NCF.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neucodec.formats.entropy.binary_coder import BinaryDecoder, BinaryEncoder, Context
from neucodec.formats.errors import NcfError

from .header import Header

LAYER_SIZES = 3
"""From how many lengths of the transform a stream may choose, each a quarter of the one before."""
BAND = 16
"""How many coefficients share a flag."""
MAX_BANDS = 1024
"""In how many bands of a chunk a stream may have coefficients other than 0, see `most_bands`."""
_BITS = 16
"""How many bits the size of a coefficient may have."""
_CLASSES = 8
"""In how many classes coefficients are put by the sizes of their neighbours."""

Coefficients = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class StreamLayer:
    """Coefficients of one stream of a chunk."""

    size: int
    """Number of the transform's length, 0 for the longest."""
    step: int
    """Scale byte, from 1 to 255, of the amplitude that a coefficient of 1 stands for."""
    coefficients: Coefficients
    """Coefficients [transforms, length]."""


def transform_length(header: Header, size: int) -> int:
    """Return how many coefficients a transform of size number ``size`` has.

    The longest has the largest power of two within a fortieth of a second.
    """
    longest = 1 << (max(header.sample_rate // 40, 1 << 8).bit_length() - 1)
    return int(longest) >> 2 * size


def layer_width(header: Header, frames: int) -> int:
    """Return the samples of a chunk of ``frames`` frames with all that it shares with others."""
    return (frames - header.chunk_frames) * header.hop + header.chunk_stride + header.overlap


def transforms(header: Header, size: int, frames: int) -> int:
    """Return how many transforms of size number ``size`` a chunk of ``frames`` frames takes."""
    return -(-layer_width(header, frames) // transform_length(header, size)) + 1


def most_bands(width: int) -> int:
    """Return in how many bands a stream of ``width`` samples may have coefficients other than 0.

    This bounds the work that a few bytes can make.
    """
    return min(MAX_BANDS, -(-width // BAND))


def bands_of(coefficients: Coefficients) -> npt.NDArray[np.int64]:
    """Return which bands have coefficients other than 0: [transforms, bands], 0 or 1."""
    count, length = coefficients.shape
    some = np.any(coefficients.reshape(count, length // BAND, BAND), axis=2)
    return np.asarray(some, np.int64)


def encode_layer(header: Header, frames: int, streams: Sequence[StreamLayer | None]) -> bytes:
    """Return the bytes of the layer of a chunk of ``frames`` frames; None for streams without one.

    Raises NcfError for what a layer cannot hold.
    """
    if len(streams) != header.streams:
        raise NcfError(f"a layer of {len(streams)} streams: {header.streams} are needed")
    coder, most = BinaryEncoder(), most_bands(layer_width(header, frames))
    for stream in streams:
        coder.even(1, stream is not None)
        if stream is None:
            continue
        if not 0 <= stream.size < LAYER_SIZES:
            raise NcfError(f"a layer of size {stream.size}: 0 to {LAYER_SIZES - 1} are possible")
        shape = (
            transforms(header, stream.size, frames), transform_length(header, stream.size)
        )  # fmt: skip
        if stream.coefficients.shape != shape or not 1 <= stream.step <= 255:
            raise NcfError(f"a layer of {stream.coefficients.shape} where {shape} is needed")
        if np.abs(stream.coefficients.astype(np.int64)).max() >= 1 << _BITS:
            raise NcfError(f"a layer holds coefficients below {1 << _BITS}")
        bands = bands_of(stream.coefficients)
        if bands.sum() > most:
            raise NcfError(f"a layer of so many samples holds {most} bands of each stream")
        coder.even(2, stream.size)
        coder.even(8, stream.step)
        _walk(coder, stream.coefficients.tolist(), bands.tolist(), shape[1], most)
    return coder.payload()


def decode_layer(header: Header, frames: int, payload: bytes) -> list[StreamLayer | None]:
    """Undo `encode_layer`; no bytes give no streams. Raises NcfError for other bytes."""
    if not payload:
        return []
    coder, most = BinaryDecoder(payload), most_bands(layer_width(header, frames))
    streams: list[StreamLayer | None] = []
    for _ in range(header.streams):
        if not coder.even(1):
            streams.append(None)
            continue
        size, step = coder.even(2), coder.even(8)
        if size >= LAYER_SIZES or not step:
            raise NcfError("a layer of no known kind")
        count, length = transforms(header, size, frames), transform_length(header, size)
        rows: list[list[int]] = [[]] * count
        _walk(coder, rows, [[]] * count, length, most)
        coefficients = np.zeros((count, length), np.int32)
        for transform, row in enumerate(rows):
            if row:
                coefficients[transform] = row
        streams.append(StreamLayer(size, step, coefficients))
    if not coder.is_whole():
        raise NcfError("a layer that is not what encoding gives")
    return streams


def _walk(
    coder: BinaryEncoder | BinaryDecoder,
    rows: list[list[int]],
    bands: list[list[int]],
    length: int,
    most: int,
) -> None:
    """Go through all coefficients of a stream, to encode or to decode them.

    An encoder reads ``rows`` and ``bands``. For a decoder their lists are empty, and transforms
    with coefficients replace the lists in ``rows``. Raises NcfError where more than ``most`` bands
    have coefficients, or a band that should have some has none.
    """
    sounding = [Context(), Context()]
    band_contexts = [Context() for _ in range(4)]
    # Classes are by how many bits the sum of the neighbours has; the last is for all larger sums.
    size_contexts = [[Context() for _ in range(_BITS)] for _ in range(_CLASSES)]
    size_contexts += [size_contexts[-1]] * (_BITS + 4 - _CLASSES)
    half_contexts = [Context() for _ in range(_BITS + 1)]
    silent, silent_bands = [0] * (length + 2), [0] * (length // BAND)
    before, before_bands, sounded, left = silent, silent_bands, 0, most
    for transform, (row, flags) in enumerate(zip(rows, bands, strict=True)):
        coder.check()
        sounded = coder.bit(sounding[sounded], int(any(flags)))
        if not sounded:
            before, before_bands = silent, silent_bands
            continue
        if not row:
            rows[transform] = row = [0] * length
            flags = silent_bands.copy()
        last = 0
        for band, flag in enumerate(flags):
            flags[band] = last = coder.bit(band_contexts[2 * last + before_bands[band]], flag)
        left -= sum(flags)
        if left < 0 or not any(flags):
            raise NcfError("a layer with too many bands, or with none where there are said to be")
        # Sizes with two zeros behind them, so that what lies outside is silent on either side.
        sizes = [0] * (length + 2)
        for band in [band for band, flag in enumerate(flags) if flag]:
            some = False
            for k in range(BAND * band, BAND * band + BAND):
                near = sizes[k - 1] + sizes[k - 2]
                near += 2 * before[k] + before[k - 1] + before[k + 1]
                contexts = size_contexts[near.bit_length()]
                if coder.bit(contexts[0], int(row[k] != 0)):
                    row[k] = value = _coefficient(coder, row[k], contexts, half_contexts)
                    sizes[k], some = abs(value), True
            if not some:
                raise NcfError("a layer with a band that has nothing although it is said to have")
        before, before_bands = sizes, flags


def _coefficient(
    coder: BinaryEncoder | BinaryDecoder, value: int, contexts: list[Context], half: list[Context]
) -> int:
    """Code a coefficient other than 0: how many bits its size has, those bits, its sign."""
    wanted, bits = abs(value), 1
    most = wanted.bit_length()
    while bits < _BITS and coder.bit(contexts[bits], int(most > bits)):
        bits += 1
    size = 1
    if bits > 1:
        size = 2 + coder.bit(half[bits], wanted >> max(most - 2, 0) & 1)
    if bits > 2:
        rest = bits - 2
        size = size << rest | coder.even(rest, wanted & ((1 << rest) - 1))
    return -size if coder.even(1, int(value < 0)) else size
