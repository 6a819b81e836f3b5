"""Bitrates that files average: codebooks chosen chunk by chunk."""

from __future__ import annotations

import io
import json
import random
import threading
from collections import Counter
from collections.abc import Callable

import pytest
from conftest import PATIENCE, MakeClip, Run
from test_encode_decode import sound

import neucodec
from neucodec.api import ArraySource
from neucodec.coding.encoder import encode as encode_source
from neucodec.coding.options import EncodeOptions
from neucodec.coding.rate import AverageRate
from neucodec.errors import NeucodecError
from neucodec.formats import NcfReader

COUNTS = range(1, 17)


def rate(budget: float, left: float = 0.9) -> AverageRate:
    return AverageRate(COUNTS, budget, book_bytes=107.5, left=left, spent=0)


def run_through(
    rate: AverageRate, size: Callable[[int, int], int], chunks: int
) -> tuple[list[int], float]:
    """The codebooks of every chunk, and the mean size of chunks of the given sizes."""
    books, total = [], 0
    for index in range(chunks):
        books.append(rate.choose(index))
        total += size(index, books[-1])
        rate.done(index, books[-1], size(index, books[-1]))
    return books, total / chunks


@pytest.mark.parametrize("budget", [250, 500, 1000, 1450])
@pytest.mark.parametrize("left", [0.7, 0.85, 1.0])
def test_alike_chunks_average_the_budget_with_two_adjacent_counts(
    budget: float, left: float
) -> None:
    books, mean = run_through(rate(budget), lambda _, n: round(12 + n * 107.5 * left), 60)
    reachable = min(budget, 12 + 16 * 107.5 * left)
    assert mean == pytest.approx(reachable, rel=0.01)
    (one, most), (other, second) = (Counter(books[18:]) + Counter([0])).most_common(2)
    assert (abs(one - other) == 1 or other == 0) and most + second > 0.9 * len(books[18:])


def test_chunks_of_all_kinds_average_the_budget() -> None:
    """Every few seconds another kind, that takes up to two thirds more or less."""
    for seed in range(20):
        rng = random.Random(seed)
        parts = [rng.uniform(0.6, 1.0) for _ in range(8)]

        def size(index: int, books: int, parts: list[float] = parts) -> int:
            return round(12 + books * 107.5 * parts[index // 8 % 8])

        _, mean = run_through(rate(1000), size, 64)
        assert mean == pytest.approx(1000, rel=0.04)


def test_what_silence_saves_is_spent_after_it() -> None:
    def size(index: int, books: int) -> int:
        return 9 if index < 10 else round(12 + books * 95)

    _, mean = run_through(rate(800), size, 80)
    assert mean == pytest.approx(800, rel=0.02)
    books, _ = run_through(rate(300), lambda i, n: 9 if i < 500 else 12 + n * 95, 580)
    # An hour of it does not buy an hour at the highest rate.
    assert books[-1] <= 4


def test_a_choice_waits_for_the_sizes_that_it_depends_on_and_no_others() -> None:
    for index, delay in ((2, 2), (8, 2), (20, 6)):
        one = rate(800)
        first = index - delay  # the last whose size the choice depends on
        for earlier in range(index):
            one.choose(earlier)
            if earlier < first:
                one.done(earlier, 8, 700)
        chosen: list[int] = []
        waiting = threading.Thread(target=lambda: chosen.append(one.choose(index)))  # noqa: B023
        waiting.start()
        one.done(first + 1, 8, 700)
        waiting.join(0.05)
        assert waiting.is_alive()
        one.done(first, 8, 700)
        waiting.join(PATIENCE)
        assert chosen and not waiting.is_alive()


def test_a_failure_lets_nobody_wait() -> None:
    one = rate(800)
    waiting = threading.Thread(target=lambda: one.choose(6))
    waiting.start()
    one.stop()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()


@pytest.mark.parametrize("kbps", [4, 8])
def test_a_few_seconds_come_close(kbps: int) -> None:
    audio = sound(6)
    data = neucodec.encode(audio, 44100, bitrate=1000 * kbps)
    assert len(data) * 8 / 6 == pytest.approx(1000 * kbps, rel=0.06)


@pytest.mark.parametrize(("kbps", "entropy"), [(3, "adaptive"), (8, "none")])
def test_a_minute_averages_its_bitrate_within_two_percent(kbps: int, entropy: str) -> None:
    audio = sound(61)
    data = neucodec.encode(audio, 44100, bitrate=1000 * kbps, entropy=entropy, rate_mode="average")
    assert len(data) * 8 / 61 == pytest.approx(1000 * kbps, rel=0.02)
    header = NcfReader(io.BytesIO(data)).header
    assert (header.average_bitrate, header.nominal_bitrate) == (1000 * kbps, None)
    decoded, _ = neucodec.decode(data)
    assert decoded.shape == audio.shape


def test_the_bytes_do_not_depend_on_the_threads() -> None:
    outputs = set()
    for threads in (1, 2, 12):
        target = io.BytesIO()
        options = EncodeOptions(bitrate=5000, rate_mode="average", threads=threads)
        encode_source(ArraySource(sound(13), 44100), target, neucodec.load_model().codec, options)
        outputs.add(target.getvalue())
    assert len(outputs) == 1


def test_a_bitrate_is_the_average_where_codes_are_squeezed() -> None:
    def header(**options: object) -> tuple[int | None, int | None]:
        data = neucodec.encode(sound(2), 44100, **options)  # type: ignore[arg-type]
        found = NcfReader(io.BytesIO(data)).header
        return found.average_bitrate, found.nominal_bitrate

    assert header(bitrate=8000) == (8000, None)
    assert header(bitrate=8000, entropy="none", layer=False) == (None, 7937)
    assert header(bitrate=4000, entropy="none") == (None, 4409)
    assert header(bitrate=8000, rate_mode="nominal") == (None, 7937)
    assert header(codebooks=4) == (None, 3527)
    assert header(layer=False) == (None, 7937)
    assert header(rate_mode="average", layer=False) == (7937, None)


def test_with_a_waveform_layer_a_bitrate_is_always_the_average() -> None:
    for options in ({}, {"bitrate": 8000, "entropy": "none"}):
        data = neucodec.encode(sound(2), 44100, **options)  # type: ignore[arg-type]
        assert NcfReader(io.BytesIO(data)).header.average_bitrate == 8000


def test_what_cannot_average_is_refused(run: Run, clip: MakeClip) -> None:
    with pytest.raises(NeucodecError, match="cannot average a bitrate: give either"):
        neucodec.encode(sound(1), 44100, codebooks=3, rate_mode="average")
    with pytest.raises(NeucodecError, match="'variable': give nominal or average"):
        neucodec.encode(sound(1), 44100, rate_mode="variable")
    with pytest.raises(NeucodecError, match="possible are 0.882"):
        neucodec.encode(sound(1), 44100, bitrate=50000, model="neu2-44khz", layer=False)
    with pytest.raises(NeucodecError, match="at most 32 kbps are possible"):
        neucodec.encode(sound(1), 44100, bitrate=50000, model="neu2-44khz")
    ran = run("encode", clip(), "-n", "3", "--rate-mode", "average")
    assert ran.code == 2 and "--rate-mode average needs -b" in ran.err


def test_the_command_line_says_what_was_aimed_at(run: Run, clip: MakeClip) -> None:
    path = clip(seconds=5, rate=44100)
    ran = run("encode", path, "-b", "6kbps")
    assert " kbps (6 asked for), " in ran.err
    target = path.with_suffix(".ncf")
    assert " kbps, 6.00 asked for" in run("info", target).out.decode()
    assert json.loads(run("info", "--json", target).out)["average_bitrate"] == 6000
