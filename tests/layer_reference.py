"""The layers of NCF.md written out in plain integers, one question at a time, and their sound."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import range_reference

BAND = 16
Row = tuple[int, int]


@dataclass
class Context:
    """How often the answer to a question was no and yes, at first once each."""

    no: int = 1
    yes: int = 1

    def row(self) -> Row:
        """The frequencies of both."""
        yes = 2**24 * self.yes // (self.no + self.yes)
        return 2**24 - yes, yes

    def learn(self, answer: int) -> None:
        """The answer that was given."""
        if answer:
            self.yes += 2
        else:
            self.no += 2
        if self.no + self.yes > 128:
            self.no, self.yes = (self.no + 1) // 2, (self.yes + 1) // 2


@dataclass
class Writer:
    """Takes answers down, to make a payload of them."""

    answers: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def answer(self, row: Row, expected: int) -> int:
        """What is expected, taken down."""
        self.answers.append(expected)
        self.rows.append(row)
        return expected

    def payload(self) -> bytes:
        """Of all answers so far."""
        return range_reference.encode(self.answers, self.rows)


class Reader(Writer):
    """Takes answers from a payload."""

    def __init__(self, payload: bytes) -> None:
        super().__init__()
        self._decoder = range_reference.Decoder(payload)

    def answer(self, row: Row, expected: int) -> int:
        """What the payload says, whatever is expected."""
        return super().answer(row, self._decoder.symbol(row))


def ask(answers: Writer, context: Context, expected: int) -> int:
    """A question with a context."""
    answer = answers.answer(context.row(), expected)
    context.learn(answer)
    return answer


def even(answers: Writer, bits: int, expected: int) -> int:
    """An even number."""
    number = 0
    for bit in reversed(range(bits)):
        number = 2 * number + answers.answer((2**23, 2**23), expected >> bit & 1)
    return number


@dataclass
class Stream:
    """What a layer has for a stream that has anything."""

    size: int
    step: int
    coefficients: list[list[int]]
    """Of every transform."""


@dataclass(frozen=True)
class Shape:
    """What the header and the chunk's head say about a layer."""

    streams: int
    sample_rate: int
    samples: int

    def length(self, size: int) -> int:
        """Coefficients of a transform."""
        longest = 1
        while 2 * longest <= max(256, self.sample_rate / 40):
            longest *= 2
        return longest >> 2 * size

    def transforms(self, size: int) -> int:
        """How many there are."""
        return -(-self.samples // self.length(size)) + 1

    @property
    def most_bands(self) -> int:
        """In how many a stream may have anything."""
        return min(1024, -(-self.samples // BAND))


def encode(shape: Shape, streams: list[Stream | None], most: int | None = None) -> bytes:
    """The payload of these streams, of which each may have so many bands with anything."""
    writer = Writer()
    for stream in streams:
        _stream(writer, shape, stream, most or shape.most_bands)
    return writer.payload()


def decode(shape: Shape, payload: bytes) -> list[Stream | None]:
    """The streams of a payload; AssertionError where it is damaged."""
    reader = Reader(payload)
    streams = [_stream(reader, shape, None, shape.most_bands) for _ in range(shape.streams)]
    assert reader.payload() == payload, "damaged"
    return streams


def _stream(answers: Writer, shape: Shape, expected: Stream | None, most: int) -> Stream | None:
    """All questions about a stream in their order, and what the answers come to."""
    if not even(answers, 1, expected is not None):
        return None
    size = even(answers, 2, expected.size if expected else 0)
    assert size < 3, "damaged"
    step = even(answers, 8, expected.step if expected else 0)
    assert step > 0, "damaged"
    length = shape.length(size)
    of_transform = [Context() for _ in range(2)]
    of_band = [Context() for _ in range(4)]
    of_size = [[Context() for _ in range(16)] for _ in range(8)]
    of_second = [Context() for _ in range(17)]
    found: list[list[int]] = []
    having = [0] * (length // BAND)
    left = most
    for t in range(shape.transforms(size)):
        wanted = expected.coefficients[t] if expected else [0] * length
        before = [abs(c) for c in found[-1]] if found else [0] * length
        having_before, having = having, [0] * len(having)
        found.append([0] * length)
        if not ask(answers, of_transform[any(having_before)], any(wanted)):
            continue
        for band in range(len(having)):
            last = having[band - 1] if band else 0
            inside = wanted[BAND * band : BAND * band + BAND]
            context = of_band[2 * last + having_before[band]]
            having[band] = ask(answers, context, any(inside))
        assert any(having), "damaged"
        left -= sum(having)
        assert left >= 0, "damaged"
        for k in range(length):
            if having[k // BAND]:
                near = _near([abs(c) for c in found[-1]], before, k)
                contexts = of_size[min(7, near.bit_length())]
                found[-1][k] = _coefficient(answers, contexts, of_second, wanted[k])
        for band, has in enumerate(having):
            assert any(found[-1][BAND * band : BAND * band + BAND]) == has, "damaged"
    return Stream(size, step, found)


def _near(sizes: list[int], before: list[int], k: int) -> int:
    def at(of: list[int], k: int) -> int:
        return of[k] if 0 <= k < len(of) else 0

    own = at(sizes, k - 1) + at(sizes, k - 2)
    return own + 2 * at(before, k) + at(before, k - 1) + at(before, k + 1)


def _coefficient(
    answers: Writer, of_size: list[Context], of_second: list[Context], expected: int
) -> int:
    wanted, n = abs(expected), 0
    while n < 16 and ask(answers, of_size[n], wanted.bit_length() > n):
        n += 1
    if n == 0:
        return 0
    value = 1
    if n >= 2:
        value = 2 + ask(answers, of_second[n], wanted >> (n - 2) & 1 if wanted else 0)
        rest = n - 2
        value = (value << rest) + even(answers, rest, wanted & ((1 << rest) - 1))
    return -value if even(answers, 1, expected < 0) else value


def sound(shape: Shape, stream: Stream) -> list[float]:
    """The samples 0 to W - 1 that a stream's coefficients stand for, summed as they are written."""
    length = shape.length(stream.size)
    level = 2 ** ((stream.step - 160) / 6)
    samples = [0.0] * shape.samples
    for t, coefficients in enumerate(stream.coefficients):
        for n in range(2 * length):
            at = (t - 1) * length + n
            if 0 <= at < shape.samples:
                total = sum(
                    c * level * math.cos(math.pi / length * (n + 1 / 2 + length / 2) * (k + 1 / 2))
                    for k, c in enumerate(coefficients)
                    if c
                )
                window = math.sin(math.pi * (n + 1 / 2) / (2 * length))
                samples[at] += window * math.sqrt(2 / length) * total
    return samples
