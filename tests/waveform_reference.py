"""The waveform layer of NCF.md written out one integer and one sample at a time, in float64."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import range_reference

import neucodec.formats

Row = tuple[int, ...]
Signal = npt.NDArray[np.float64]


@lru_cache
def shares() -> bytes:
    """Return the 1344 shares that the specification prints."""
    text = (Path(neucodec.formats.__file__).parent / "NCF.md").read_text(encoding="utf-8")
    printed = text.split("### Contexts")[1].split("### Waveform")[0]
    found = bytes.fromhex("".join(re.findall(r"^    ([0-9a-f]{84})$", printed, re.MULTILINE)))
    assert len(found) == 1344
    return found


@lru_cache(maxsize=256)
def frequencies(context: int) -> Row:
    """Return the frequencies of the 15 symbols in a context."""
    rest, row = 2**24, []
    for d, share in enumerate(shares()[7 * context : 7 * context + 7]):
        more = min(max(rest * share // 256, 4 * (7 - d)), rest - 4)
        row += _signs(d, rest - more)
        rest = more
    return (*row, *_signs(7, rest))


def _signs(magnitude: int, frequency: int) -> list[int]:
    half = frequency // 2
    return [half, frequency - half] if magnitude else [frequency]


@lru_cache
def ends() -> list[int]:
    """Return the 23 ends of classes."""
    found = [16]
    while len(found) < 23:
        found.append(found[-1] + 3 * found[-1] // 8 + 1)
    return found


@dataclass(frozen=True)
class Shape:
    """What a header says about layers."""

    streams: int
    sample_rate: int
    stride: int
    hop: int
    chunk_frames: int

    @property
    def blocks(self) -> int:
        """Return n, the blocks of a chunk that is not the last."""
        possible = [n for n in range(1, 4097) if self.stride % (16 * n) == 0]
        return min(
            possible, key=lambda n: (abs(n * self.sample_rate - 25 * self.stride), n), default=0
        )

    @property
    def possible(self) -> bool:
        """Tell whether blocks divide the stride, as they must."""
        return self.blocks > 0 and 5 * self.stride <= self.blocks * self.sample_rate

    @property
    def block(self) -> int:
        """Return B."""
        return self.stride // self.blocks

    def count(self, frames: int, last: bool) -> int:
        """Return the blocks of a chunk."""
        return math.ceil(frames * self.hop / self.block) if last else self.blocks


@dataclass
class Stream:
    """What a layer has for a stream."""

    gain: int
    top: int
    fill_low: int
    fill_high: int
    prediction: int
    above: int
    parts: list[int]
    """Of every block: 1, 4 or 16."""
    rows: list[list[int]]


@dataclass
class Layer:
    """The layer of a chunk."""

    last: bool
    streams: list[Stream | None]


@dataclass
class Writer:
    """Takes symbols down, to make a payload of them."""

    symbols: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def symbol(self, row: Row, expected: int) -> int:
        """Take down what is expected."""
        self.symbols.append(expected)
        self.rows.append(row)
        return expected

    def even(self, bits: int, expected: int) -> int:
        """Take an even number."""
        return self.symbol(_even_row(bits), expected) if bits else 0

    def payload(self) -> bytes:
        """Return the payload of all symbols so far."""
        return range_reference.encode(self.symbols, self.rows)


class Reader(Writer):
    """Takes symbols from a payload."""

    def __init__(self, payload: bytes) -> None:
        super().__init__()
        self._decoder = range_reference.Decoder(payload)

    def symbol(self, row: Row, expected: int) -> int:
        """Take what the payload says, whatever is expected."""
        return super().symbol(row, self._decoder.symbol(row))


@lru_cache
def _even_row(bits: int) -> Row:
    return (2 ** (24 - bits),) * 2**bits


def encode(shape: Shape, frames: int, layer: Layer, checked: bool = True) -> bytes:
    """Return the payload of a layer; not ``checked``, even of one that must not be."""
    writer = Writer()
    _layer(writer, shape, frames, layer, checked)
    return writer.payload()


def decode(shape: Shape, frames: int, payload: bytes) -> Layer:
    """Return the layer of a payload; AssertionError where it is damaged."""
    reader = Reader(payload)
    layer = _layer(reader, shape, frames, None, checked=True)
    assert reader.payload() == payload, "damaged"
    rows = sum(len(stream.rows) for stream in layer.streams if stream)
    assert rows <= 8 + len(payload), "damaged"
    return layer


def _layer(
    symbols: Writer, shape: Shape, frames: int, wanted: Layer | None, checked: bool
) -> Layer:
    last = bool(symbols.even(1, wanted.last if wanted else 0))
    assert last or frames == shape.chunk_frames or not checked, "damaged"
    streams: list[Stream | None] = []
    for number in range(shape.streams):
        own = wanted.streams[number] if wanted else None
        has = symbols.even(1, own is not None)
        streams.append(
            _stream(symbols, shape, shape.count(frames, last), own, checked) if has else None
        )
    return Layer(last, streams)


def _stream(
    symbols: Writer, shape: Shape, count: int, wanted: Stream | None, checked: bool
) -> Stream:
    gain = symbols.even(10, wanted.gain if wanted else 0)
    top = symbols.even(16, wanted.top if wanted else 0)
    assert 1 <= top <= shape.block // 16 or not checked, "damaged"
    names = ("fill_low", "fill_high", "prediction", "above")
    strengths = [symbols.even(4, getattr(wanted, name) if wanted else 0) for name in names]
    parts = []
    for block in range(count):
        own = wanted.parts[block] if wanted else 1
        finest = 16 if 0 < block < count - 1 or (not checked and own == 16) else 4
        split = symbols.even(1, own > 1)
        parts.append(4 if split else 1)
        if split and finest == 16:
            parts[-1] = 16 if symbols.even(1, own == 16) else 4
    rows = _rows(symbols, shape, count, 16 * top, wanted.rows if wanted else None)
    return Stream(gain, top, *strengths, parts, rows)


def _rows(
    symbols: Writer, shape: Shape, count: int, width: int, wanted: list[list[int]] | None
) -> list[list[int]]:
    rows: list[list[int]] = []
    before, before_that = [0] * width, [0] * width
    sums, weight, means = [0] * width, 0, [0] * width
    for block in range(count):
        own = wanted[block] if wanted else [0] * width
        row, sizes = [0] * width, [0] * width
        for odd in (0, 1):
            large = []
            for i in range(odd, width, 2):
                expected = _expectation(i, sizes, before, before_that, means)
                kind = bisect_right(ends(), expected)
                place = min(3, i * shape.sample_rate // (2 * shape.block) // 1800)
                magnitude = min(7, abs(own[i]))
                symbol = symbols.symbol(
                    frequencies((2 * place + odd) * 24 + kind),
                    2 * magnitude - (own[i] > 0),
                )
                row[i] = (symbol + 1) // 2 * (1 if symbol % 2 else -1)
                if abs(row[i]) == 7:
                    large.append(i)
            for i in large:
                more = abs(own[i]) - 7
                n = symbols.even(4, (more + 1).bit_length() - 1)
                more = 2**n - 1 + symbols.even(n, more + 1 - 2**n)
                row[i] += more if row[i] > 0 else -more
            for i in range(odd, width, 2):
                sizes[i] = min(15, abs(row[i]))
        rows.append(row)
        before, before_that = sizes, before
        sums = [s + 64 * m - s // 8 for s, m in zip(sums, sizes, strict=True)]
        weight = weight + 64 - weight // 8
        means = [16 * s // weight for s in sums]
    return rows


def _expectation(i: int, m: list[int], p: list[int], q: list[int], mean: list[int]) -> int:
    """Return the expectation of integer i."""

    def at(of: list[int], i: int) -> int:
        return of[i] if 0 <= i < len(of) else 0

    def pair(of: list[int], distance: int) -> int:
        return at(of, i - distance) + at(of, i + distance)

    if i % 2 == 0:
        rows = 30 * p[i] + 31 * pair(p, 1) + 7 * pair(p, 2) + 8 * (pair(p, 3) + pair(p, 4))
        rows += 7 * q[i] + 4 * pair(q, 1)
        return 16 * rows + 53 * mean[i] + 13 * pair(mean, 1) + pair(mean, 2)
    rows = 24 * p[i] + 10 * pair(p, 1) + 4 * pair(p, 2) + 7 * q[i] + 2 * pair(q, 1)
    rows += 48 * pair(m, 1) + 12 * pair(m, 3)
    return 16 * rows + 47 * mean[i] + 8 * pair(mean, 1)


@dataclass(frozen=True)
class Placed:
    """A layer where it stands in the file."""

    index: int
    frames: int
    layer: Layer
    mid_side: bool
    open_before: bool
    """Whether the chunk before it has a layer, too, and does not say that it is the last."""
    open_behind: bool
    """Whether it does not say so itself, and the chunk behind it has a layer, too."""


def added(shape: Shape, sound: Signal, placed: Placed) -> tuple[int, Signal]:
    """Return what a layer adds to the joined ``sound`` [channels, n] of the codes, and the sample
    that this begins at.
    """
    block = shape.block
    start, margin = placed.index * shape.stride, block // 8
    count = shape.count(placed.frames, placed.layer.last)
    end = start + placed.frames * shape.hop
    first = start - margin
    source = [
        _mirrored(n, first, end) if placed.layer.last else n
        for n in range(first, start + count * block + margin)
    ]
    taken = np.array(
        [[row[n] if 0 <= n < len(row) else 0.0 for n in source] for row in sound], np.float64
    )
    if placed.mid_side:
        taken[:2] = (taken[0] + taken[1]) / 2, (taken[0] - taken[1]) / 2
    out = np.zeros_like(taken)
    for number, stream in enumerate(placed.layer.streams):
        if stream is not None:
            out[number] = _of_stream(shape, taken[number], stream, placed)
    if placed.mid_side:
        out[:2] = out[0] + out[1], out[0] - out[1]
    return first, out


def _mirrored(n: int, first: int, end: int) -> int:
    """Return which sample stands for sample n, beyond ``end`` and back to ``first``."""
    away = (n - first) % (2 * (end - first))
    return first + (away if away < end - first else 2 * (end - first) - 1 - away)


def _of_stream(shape: Shape, samples: Signal, stream: Stream, placed: Placed) -> Signal:
    block, margin = shape.block, shape.block // 8
    meetings = list(_meetings(shape, stream.parts, placed))
    turned = samples.copy()
    for at, slope in meetings:
        _turn(turned, at, slope, 1)
    result = np.zeros_like(turned)
    for number, (parts, integers) in enumerate(zip(stream.parts, stream.rows, strict=True)):
        inside = slice(margin + number * block, margin + (number + 1) * block)
        size = block // parts
        pieces = turned[inside].reshape(parts, size)
        old = np.array([_cosines(piece) for piece in pieces]).T.reshape(-1)
        change = _changed(shape, old, parts, stream, integers) - old
        pieces = change.reshape(size, parts).T
        result[inside] = np.concatenate([_cosines(piece) for piece in pieces])
    for at, slope in meetings:
        _turn(result, at, slope, -1)
    return result


def _meetings(shape: Shape, parts: Sequence[int], placed: Placed) -> list[tuple[int, int]]:
    """Return where blocks and parts meet, and the length of the slope there."""
    block, margin = shape.block, shape.block // 8
    found = []
    for number, own in enumerate(parts):
        at = margin + number * block
        if number:
            found.append((at, min(block // own, block // parts[number - 1])))
        found += [(at + k * (block // own), block // own) for k in range(1, own)]
    if placed.open_before:
        found.append((margin, block // 4))
    if placed.open_behind:
        found.append((margin + len(parts) * block, block // 4))
    return [(at, slope - slope % 2) for at, slope in found]


def _turn(y: Signal, t: int, slope: int, sign: int) -> None:
    for j in range(slope // 2):
        v = math.pi / (2 * slope) * (slope / 2 + j + 1 / 2)
        sin, cos = math.sin(v), sign * math.cos(v)
        a, c = y[t - 1 - j], y[t + j]
        y[t + j] = c * sin + a * cos
        y[t - 1 - j] = a * sin - c * cos


def _cosines(y: Signal) -> Signal:
    out: Signal = _matrix(len(y)) @ y
    return out


@lru_cache
def _matrix(size: int) -> Signal:
    at = np.arange(size) + 1 / 2
    table: Signal = math.sqrt(2 / size) * np.cos(math.pi / size * at[:, None] * at)
    return table


def _edges(stream: Stream, parts: int) -> list[int]:
    fine = parts == 16
    number, numbers, last = 0, [0], stream.top if fine else 4 * stream.top
    while number < last:
        number = min(last, number + max(1 if fine else 2, 12 * number // 100))
        numbers.append(number)
    return [(16 if fine else 4) * each for each in numbers]


def _energies(old: Signal, parts: int, stream: Stream) -> list[float]:
    """Return the energy that holds for each integer."""
    edges = _edges(stream, parts)
    result = [0.0] * (16 * stream.top)

    def half(i: int) -> int:
        return i % parts * 2 // parts if parts > 1 else 0

    for which in range(2 if parts > 1 else 1):
        bands = [[i for i in range(low, high) if half(i) == which] for low, high in pairwise(edges)]
        energy = [sum(old[i] ** 2 for i in band) / len(band) for band in bands]
        for b in range(1, len(bands)):
            energy[b] = max(energy[b], 0.16 * energy[b - 1])
        for b in reversed(range(len(bands) - 1)):
            energy[b] = max(energy[b], 0.01 * energy[b + 1])
        for band, value in zip(bands, energy, strict=True):
            for i in band:
                result[i] = value
    return result


def steps(shape: Shape, old: Signal, parts: int, stream: Stream) -> list[float]:
    """Return the step of each integer of a block with these coefficients."""
    hertz = 2 * shape.sample_rate / shape.block
    return [
        2 ** ((stream.gain - 512) / 16)
        * max(energy, 1e-10) ** (1 / 4)
        * (max((i // 4 + 1 / 2) * hertz, 300) / 1000) ** (1 / 5)
        for i, energy in enumerate(_energies(old, parts, stream))
    ]


def _changed(
    shape: Shape, old: Signal, parts: int, stream: Stream, integers: Sequence[int]
) -> Signal:
    """Return the new coefficients of a block."""
    predicted, low = (4 * (hertz * shape.block // (2 * shape.sample_rate)) for hertz in (800, 2500))
    size = steps(shape, old, parts, stream)
    new = np.zeros_like(old)
    for i, own in enumerate(old):
        if i >= 16 * stream.top:
            new[i] = stream.above / 15 * own
        elif i < predicted:
            new[i] = integers[i] * size[i] + stream.prediction / 15 * own
        elif integers[i]:
            new[i] = integers[i] * size[i]
        else:
            strength = stream.fill_low if i < low else stream.fill_high
            new[i] = strength / 15 * min(max(own, -size[i] / 2), size[i] / 2)
    return new


Opened = Callable[[int], bool]


def joined(
    shape: Shape, sound: Signal, layers: Sequence[tuple[int, Layer, bool] | None], lost: set[int]
) -> Signal:
    """Return the ``sound`` of a file's codes with the layers of its chunks: of each its frames, its
    layer and whether it is mid and side; None where a chunk has no layer or is ``lost``.
    """

    def layered(index: int) -> bool:
        return 0 <= index < len(layers) and (layers[index] is not None or index in lost)

    def closes(index: int) -> bool:
        held = layers[index] if 0 <= index < len(layers) else None
        return held is not None and held[1].last

    out = sound.copy()
    for index, held in enumerate(layers):
        if held is None:
            continue
        frames, layer, mid_side = held
        placed = Placed(
            index, frames, layer, mid_side,
            open_before=layered(index - 1) and not closes(index - 1),
            open_behind=layered(index + 1) and not layer.last,
        )  # fmt: skip
        first, change = added(shape, sound, placed)
        for n in range(change.shape[1]):
            if 0 <= first + n < out.shape[1]:
                out[:, first + n] += change[:, n]
    return out
