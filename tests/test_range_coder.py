"""Range coding and adaptive frequencies, against the specification written out in integers."""

from __future__ import annotations

import constriction
import numpy as np
import numpy.typing as npt
import pytest
import range_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from neucodec.formats import (
    AdaptiveStepper,
    RangeDecoder,
    adaptive_intervals,
    encode_intervals,
    intervals_of,
)

# A busy machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

Rows = npt.NDArray[np.int32]
Codes = npt.NDArray[np.int64]


def frequencies(symbols: int, size: int, seed: int) -> Rows:
    """Rows [symbols, size] that sum to 2**24, some flat and some with one symbol almost certain."""
    rng = np.random.default_rng(seed)
    weights = rng.random((symbols, size)) ** rng.choice([0.1, 1, 30], (symbols, 1)) + 1e-9
    spread = weights / weights.sum(axis=1, keepdims=True) * (2**24 - size)
    rows = 1 + spread.astype(np.int64)
    rows[np.arange(symbols), weights.argmax(axis=1)] += 2**24 - rows.sum(axis=1)
    return rows.astype(np.int32)


def drawn(rows: Rows, seed: int) -> Codes:
    """Symbols as often as the rows have them, and now and then one that is rare."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 2**24, len(rows))
    common = (np.cumsum(rows, axis=1) <= targets[:, None]).sum(axis=1)
    rare = rng.choice([0, 1, rows.shape[1] - 1], len(rows))
    return np.where(rng.random(len(rows)) < 0.8, common, rare)


def encoded(rows: Rows, symbols: Codes) -> bytes:
    return encode_intervals(*intervals_of(rows, symbols))


@given(st.integers(0, 60), st.sampled_from([3, 4, 17, 1024]), st.integers(0, 2**32))
def test_payloads_are_those_of_the_specification(count: int, size: int, seed: int) -> None:
    rows = frequencies(count, size, seed)
    symbols = drawn(rows, seed)
    payload = encoded(rows, symbols)
    assert payload == reference.encode(symbols.tolist(), rows.tolist())
    decoder = reference.Decoder(payload)
    assert [decoder.symbol(row) for row in rows.tolist()] == symbols.tolist()


@given(st.integers(1, 300), st.integers(0, 2**32))
def test_constriction_decodes_them(count: int, seed: int) -> None:
    rows = frequencies(count, 50, seed)
    symbols = drawn(rows, seed)
    payload = encoded(rows, symbols)
    words = np.frombuffer(payload + bytes(-len(payload) % 4), ">u4").astype(np.uint32)
    decoder = constriction.stream.queue.RangeDecoder(words)
    family = constriction.stream.model.Categorical(lazy=True)
    assert np.array_equal(decoder.decode(family, rows.astype(np.float64) - 1), symbols)


@pytest.mark.parametrize("lanes", [1, 3, 64, 200])
def test_payloads_decode_in_step_as_they_do_alone(lanes: int) -> None:
    rows = np.stack([frequencies(40, 100, seed) for seed in range(lanes)])
    symbols = np.stack([drawn(lane, seed) for seed, lane in enumerate(rows)])
    decoder = RangeDecoder([encoded(*lane) for lane in zip(rows, symbols, strict=True)])
    found = np.stack([decoder.decode(rows[:, at]) for at in range(40)], axis=1)
    assert np.array_equal(found, symbols)
    assert all(decoder.is_whole(lane) for lane in range(lanes))


def test_later_payloads_may_end_sooner() -> None:
    rows = np.stack([frequencies(30, 100, seed) for seed in range(3)])
    symbols = np.stack([drawn(lane, seed) for seed, lane in enumerate(rows)])
    lengths = (30, 30, 10)
    parts = zip(rows, symbols, lengths, strict=True)
    decoder = RangeDecoder([encoded(r[:n], s[:n]) for r, s, n in parts])
    for at in range(10):
        assert np.array_equal(decoder.decode(rows[:, at]), symbols[:, at])
    assert decoder.is_whole(2)
    for at in range(10, 30):
        assert np.array_equal(decoder.decode(rows[:2, at]), symbols[:2, at])
    assert decoder.is_whole(0) and decoder.is_whole(1)


def test_payloads_cost_what_their_frequencies_say_and_half_a_byte() -> None:
    over = []
    for seed in range(50):
        rows = frequencies(200, 1024, seed)
        symbols = drawn(rows, seed)
        bits = 24 * 200 - np.log2(rows[np.arange(200), symbols]).sum()
        over.append(len(encoded(rows, symbols)) - bits / 8)
    assert min(over) > -1 and max(over) < 1.01 and np.mean(over) == pytest.approx(0.4, abs=0.2)


def test_what_another_encoder_would_have_written_is_noticed() -> None:
    rows = frequencies(100, 1024, seed=1)
    symbols = drawn(rows, seed=1)
    payload = encoded(rows, symbols)
    number = int.from_bytes(payload, "big")
    flipped = [(number ^ 1 << bit).to_bytes(len(payload), "big") for bit in range(8 * len(payload))]
    decoder, noticed = RangeDecoder(flipped), 0
    found = [decoder.decode(np.broadcast_to(row, (len(flipped), 1024))) for row in rows]
    for lane, codes in enumerate(np.stack(found, axis=1)):
        # Either its end does not fit or it is the payload of other codes, as it must be.
        if decoder.is_whole(lane):
            assert encoded(rows, codes) == flipped[lane]
        else:
            noticed += 1
    assert noticed > 4 * len(payload)
    for other in (payload + b"\0", payload + b"\1", payload[:-9], b""):
        decoder = RangeDecoder([other])
        for row in rows:
            decoder.decode(row[None])
        assert not decoder.is_whole(0)


def test_other_frequencies_than_the_encoders_are_noticed() -> None:
    for seed in range(20):
        rows = frequencies(100, 1024, seed)
        decoder = RangeDecoder([encoded(rows, drawn(rows, seed))])
        for row in frequencies(100, 1024, seed + 1):
            decoder.decode(row[None])
        assert not decoder.is_whole(0)


def test_frequencies_of_another_sum_are_refused() -> None:
    with pytest.raises(ValueError, match=r"do not sum to 2\*\*24"):
        RangeDecoder([b"abc"]).decode(np.full((1, 1024), 2**13, np.int32))


def test_the_coder_writes_the_same_bytes_for_ever() -> None:
    # 20 codes by a formula, with frequencies by another.
    size, order = 16, np.arange(20)
    weights = 1 + (order[:, None] * 7919 + np.arange(size) * 104729) % 65521
    rows = (weights * 2**4).astype(np.int64)
    rows[:, 5] += 2**24 - rows.sum(axis=1)
    payload = encoded(rows.astype(np.int32), order * 389 % size)
    assert payload.hex() == "000009db4d94cbbb7af54e408ed5"


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=30),
    st.sampled_from([5, 6, 1000, 1024, 4099]),
)
def test_adaptive_frequencies_are_those_of_the_specification(codes: list[int], size: int) -> None:
    expected = list(reference.adaptive_rows(codes, size))
    assert all(sum(row) == 2**24 and min(row) >= 1 for row in expected)
    stepper = AdaptiveStepper([1], size)
    for code, row in zip(codes, expected, strict=True):
        assert stepper.row().tolist() == [row]
        stepper.push(np.array([code]))
    left, width = adaptive_intervals(np.array([codes]), size)
    pairs = zip(codes, expected, strict=True)
    assert [(sum(row[:code]), row[code]) for code, row in pairs] == list(
        zip(left[0].tolist(), width[0].tolist(), strict=True)
    )


def test_codebooks_and_streams_are_foreseen_each_by_itself() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 6, (3, 2, 20))
    stepper = AdaptiveStepper([2] * 3, 1024)
    alone = [[reference.adaptive_rows(book.tolist(), 1024) for book in one] for one in codes]
    for frame in range(20):
        for book in range(2):
            assert stepper.row().tolist() == [next(one[book]) for one in alone]
            stepper.push(codes[:, book, frame])


def test_repetitions_cost_little_and_the_unforeseeable_hardly_more_than_raw() -> None:
    rng = np.random.default_rng(0)

    def payload(codes: Codes) -> int:
        left, width = adaptive_intervals(codes, 1024)
        return len(encode_intervals(left.T.reshape(-1), width.T.reshape(-1)))

    raw = 9 * 86 * 10 / 8
    assert payload(np.full((9, 86), 517)) < 0.14 * raw
    assert payload(rng.integers(0, 40, (9, 86))) < 0.8 * raw
    assert payload(rng.integers(0, 1024, (9, 86))) < raw + 3


def test_an_adaptive_chunk_may_have_as_many_frames_as_the_format_allows() -> None:
    stepper = AdaptiveStepper([1], 3)
    stepper._frame = 2**16 - 1
    stepper._seen[0, 0, 0], stepper._times[0, 0, 0] = 1, 2**16 - 1
    stepper._weights[:] = np.array([2**20, 1, 1, 1, 1])
    (row,) = stepper.row().tolist()
    assert sum(row) == 2**24 and min(row) >= 1
    stepper.push(np.array([1]))
    assert stepper._weights.min() >= 1 and stepper._weights.sum() < 2**20 + 5
