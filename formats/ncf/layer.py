"""The layer of a chunk: a few coefficients of a lapped transform, beside the codes or instead of
them. Integers only; what they sound like is `neucodec.coding.tones`'s to say. See NCF.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neucodec.formats.entropy.binary_coder import BinaryDecoder, BinaryEncoder, Context
from neucodec.formats.errors import NcfError

from .header import Header

LAYER_SIZES = 3
"""Lengths of the transform that a stream may choose from, each a quarter of the one before."""
BAND = 16
"""Coefficients that share a flag."""
MAX_BANDS = 1024
"""In which a stream may have coefficients other than 0, in a chunk: see `most_bands`."""
_BITS = 16
"""Of a coefficient's size."""
_CLASSES = 8
"""Of neighbourhoods."""

Coefficients = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class StreamLayer:
    """What one stream of a chunk has."""

    size: int
    """Which of the lengths, 0 the longest."""
    step: int
    """Scale byte of what a coefficient of 1 stands for, from 1 to 255."""
    coefficients: Coefficients
    """[transforms, coefficients of each]."""


def transform_length(header: Header, size: int) -> int:
    """Coefficients of a transform: of the longest a fortieth of a second, or down to half of that,
    a power of two."""
    longest = 1 << (max(header.sample_rate // 40, 1 << 8).bit_length() - 1)
    return int(longest) >> 2 * size


def layer_width(header: Header, frames: int) -> int:
    """Samples of a chunk of so many frames with all that it shares with its neighbours."""
    return (frames - header.chunk_frames) * header.hop + header.chunk_stride + header.overlap


def transforms(header: Header, size: int, frames: int) -> int:
    """How many of that length a chunk of so many frames takes."""
    return -(-layer_width(header, frames) // transform_length(header, size)) + 1


def most_bands(width: int) -> int:
    """In how many bands a stream of so many samples may have coefficients other than 0: what bounds
    the work that a few bytes can make."""
    return min(MAX_BANDS, -(-width // BAND))


def bands_of(coefficients: Coefficients) -> npt.NDArray[np.int64]:
    """Which bands have any: [transforms, bands], 0 or 1."""
    count, length = coefficients.shape
    some = np.any(coefficients.reshape(count, length // BAND, BAND), axis=2)
    return np.asarray(some, np.int64)


def encode_layer(header: Header, frames: int, streams: Sequence[StreamLayer | None]) -> bytes:
    """The layer of a chunk of so many frames, of which some streams may have none. Raises NcfError
    for what it cannot hold."""
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
    """The same streams again; of no bytes none. Raises NcfError for what encoding does not give."""
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
    """Go through all coefficients. An encoder is told what they are; a decoder is given empty lists
    and puts others in the place of those that have any.

    Raises NcfError where more than ``most`` bands have any, or one has none after all.
    """
    sounding = [Context(), Context()]
    band_contexts = [Context() for _ in range(4)]
    # By how many bits the sum of neighbours has; the last class is that of all larger ones.
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
    """One that is not 0: how many bits its size has, these, its sign."""
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
