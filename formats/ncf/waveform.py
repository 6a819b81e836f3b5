"""Write and read the waveform layer of a chunk: integers, half a row at a time. See NCF.md.

Here they are integers only; `neucodec.coding.waveform` turns them into sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neucodec.formats.errors import NcfError

from .header import Header
from .waveform_contexts import Past, places
from .waveform_grid import PARTS, WaveformGrid
from .waveform_shares import DECISIONS
from .waveform_symbols import Intervals, Symbols

MAX_MAGNITUDE = DECISIONS + (1 << 16) - 2
"""The largest magnitude that can be written."""
GAIN_ONE = 512
"""Number of a gain of 1."""
MAX_GAIN = 1023
GAINS_PER_OCTAVE = 16
"""How much larger the number of a gain is that is twice as high."""
WIDTH = PARTS[-1]
"""Integers of a row for each of a sixteenth of a block."""
MAX_STRENGTH = 15
"""Largest number of a strength, which stands for 1."""

FREE_ROWS = 8
"""Rows that a layer may have beside one for each of its bytes. Rows without anything take hardly a
bit for every hundred integers, and work all the same."""


@dataclass(frozen=True, eq=False)
class StreamWaveform:
    """Integers of one stream of a chunk, and how they are to be taken."""

    gain: int
    """Number that says how large the steps are, see `waveform_gain`."""
    top: int
    """Integers of a sixteenth of a block; a row has sixteen times as many."""
    split: npt.NDArray[np.uint8]
    """How each block [blocks] is split: not (0), into 4 parts (1) or into 16 (2). The first and the
    last block are not split into 16."""
    values: npt.NDArray[np.int32]
    """Integers [blocks, 16 x top]; number p k + j of a block of p parts is number k of part j."""
    fill_low: int = 7
    fill_high: int = 12
    """How strongly the codes' own coefficients stand in for zeros, below and above a frequency, of
    `MAX_STRENGTH`."""
    prediction: int = 13
    """How much of the codes' own coefficients the lowest integers are over, of `MAX_STRENGTH`."""
    above: int = MAX_STRENGTH
    """How much is left of the codes' own coefficients above the layer, of `MAX_STRENGTH`."""


@dataclass(frozen=True)
class ChunkWaveform:
    """The waveform layer of a chunk."""

    last: bool
    """Whether it is said that no chunk follows: then the blocks cover all that the chunk has."""
    streams: Sequence[StreamWaveform | None]
    """One for each stream of the file; None where nothing is changed."""


def waveform_gain(number: float) -> float:
    """Return the gain with that number: 2 ** ((number - 512) / 16)."""
    return float(2.0 ** ((number - GAIN_ONE) / GAINS_PER_OCTAVE))


def waveform_grid(header: Header) -> WaveformGrid:
    """Return the grid of a file's waveform layers."""
    return WaveformGrid.of(header.chunk_stride, header.sample_rate)


def waveform_places(grid: WaveformGrid, sample_rate: int, top: int) -> npt.NDArray[np.int64]:
    """Return the places of a row's integers, see `places`."""
    return places(WIDTH * top, grid.block, sample_rate)


def waveform_bits(stream: StreamWaveform, places: npt.NDArray[np.int64]) -> float:
    """Return about how many bits a stream takes. ``places``: see `waveform_places`."""
    out = Intervals()
    _encode_stream(out, stream, places)
    return out.bits()


def encode_waveform(header: Header, frames: int, layer: ChunkWaveform) -> bytes:
    """Return the bytes of the layer of a chunk of ``frames`` frames.

    Raises NcfError for what a layer cannot hold.
    """
    if len(layer.streams) != header.streams:
        raise NcfError(f"a layer of {len(layer.streams)} streams: {header.streams} are needed")
    grid = waveform_grid(header)
    count = grid.count(frames * header.hop, last=layer.last)
    out = Intervals()
    out.even(1, layer.last)
    for stream in layer.streams:
        out.even(1, stream is not None)
        if stream is not None:
            _check(stream, grid, count)
            _encode_stream(out, stream, waveform_places(grid, header.sample_rate, stream.top))
    payload = out.payload()
    _check_rows(count * sum(stream is not None for stream in layer.streams), payload)
    return payload


def _check(stream: StreamWaveform, grid: WaveformGrid, count: int) -> None:
    """Raise NcfError for a stream that could not be read again."""
    if not 1 <= stream.top <= grid.fine:
        raise NcfError(f"a waveform layer up to {stream.top}: 1 to {grid.fine} are possible")
    shape = (count, WIDTH * stream.top)
    if stream.values.shape != shape or stream.split.shape != (count,):
        raise NcfError(f"a waveform layer of {stream.values.shape}: {shape} is needed")
    if any(split > _most_split(block, count) for block, split in enumerate(stream.split)):
        raise NcfError("a waveform layer with blocks of more parts than they may have")
    if count and int(np.abs(stream.values.astype(np.int64)).max()) > MAX_MAGNITUDE:
        raise NcfError(f"a waveform layer holds integers up to {MAX_MAGNITUDE}")
    if not 0 <= stream.gain <= MAX_GAIN:
        raise NcfError(f"a gain numbered {stream.gain}: 0 to {MAX_GAIN} are possible")
    if not all(
        0 <= strength <= MAX_STRENGTH
        for strength in (stream.fill_low, stream.fill_high, stream.prediction, stream.above)
    ):
        raise NcfError(f"strengths of a waveform layer are from 0 to {MAX_STRENGTH}")


def _check_rows(rows: int, payload: bytes) -> None:
    """Raise NcfError for more rows than a payload may stand for."""
    most = FREE_ROWS + len(payload)
    if rows > most:
        raise NcfError(f"a waveform layer of {len(payload)} bytes with {rows} rows: {most} fit")


def _encode_stream(out: Intervals, stream: StreamWaveform, places: npt.NDArray[np.int64]) -> None:
    for bits, value in _head(stream):
        out.even(bits, value)
    for block, split in enumerate(stream.split):
        out.even(1, int(split > 0))
        if split and _most_split(block, len(stream.split)) == 2:
            out.even(1, int(split) - 1)
    past = Past(places)
    for row in stream.values:
        for parity in (0, 1):
            values = row[parity::2].astype(np.int64)
            contexts = past.contexts(parity)
            past.see(parity, values)
            sizes = np.abs(values)
            capped = np.minimum(sizes, DECISIONS)
            out.symbols(contexts, 2 * capped - (values > 0))
            for size in sizes[sizes >= DECISIONS]:
                beyond = int(size) - DECISIONS + 1
                bits = beyond.bit_length() - 1
                out.even(4, bits)
                out.even(bits, beyond - (1 << bits))


def _most_split(block: int, count: int) -> int:
    """Return the finest split that a block may have: where chunks meet, slopes are too long for
    sixteenths.
    """
    return 2 if 0 < block < count - 1 else 1


def _head(stream: StreamWaveform) -> Iterator[tuple[int, int]]:
    """Give the numbers before a stream's blocks, each with its bits."""
    yield 10, stream.gain
    yield 16, stream.top
    yield 4, stream.fill_low
    yield 4, stream.fill_high
    yield 4, stream.prediction
    yield 4, stream.above


def decode_waveform(header: Header, frames: int, payload: bytes) -> ChunkWaveform:
    """Undo `encode_waveform`. Raises NcfError for bytes that encoding does not give."""
    grid, reader = waveform_grid(header), Symbols(payload)
    last = bool(reader.even(1))
    if frames != header.chunk_frames and not last:
        raise NcfError("a waveform layer of a short chunk that is not the last")
    count = grid.count(frames * header.hop, last=last)
    streams: list[StreamWaveform | None] = []
    for _ in range(header.streams):
        has = reader.even(1)
        _check_rows(count * (sum(stream is not None for stream in streams) + has), payload)
        streams.append(_decode_stream(reader, header, grid, count) if has else None)
    # There is one way to write a layer, and what is cut off or goes on is not it.
    if reader.read.payload() != payload:
        raise NcfError("a waveform layer that is not what encoding gives")
    return ChunkWaveform(last, streams)


def _decode_stream(
    reader: Symbols, header: Header, grid: WaveformGrid, count: int
) -> StreamWaveform:
    gain, top = reader.even(10), reader.even(16)
    low, high, prediction, above = (reader.even(4) for _ in range(4))
    if not 1 <= top <= grid.fine:
        raise NcfError(f"a waveform layer up to {top}: 1 to {grid.fine} are possible")
    split = np.zeros(count, np.uint8)
    for block in range(count):
        if reader.even(1):
            split[block] = 1 + (reader.even(1) if _most_split(block, count) == 2 else 0)
    values = np.zeros((count, WIDTH * top), np.int32)
    past = Past(waveform_places(grid, header.sample_rate, top))
    for row in values:
        for parity in (0, 1):
            symbols = reader.symbols(past.contexts(parity))
            sizes = (symbols + 1) // 2
            for at in np.nonzero(sizes == DECISIONS)[0]:
                bits = reader.even(4)
                sizes[at] += (1 << bits) - 1 + (reader.even(bits) if bits else 0)
            half = np.where(symbols % 2, sizes, -sizes)
            past.see(parity, half)
            row[parity::2] = half
    return StreamWaveform(gain, top, split, values, low, high, prediction, above)
