"""Damaged files: intact chunks come out with their right index, whatever happened elsewhere."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import ncf_examples as ncf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_ncf_golden import golden

from neucodec.formats import Chunk, EntropyCoder, Header, NcfReader

STEREO = ncf.header(channels=2, streams=2)
CHUNKS = ncf.several(STEREO, 12, silent=[4, 5, 9])
DATA = ncf.write(STEREO, CHUNKS)
SPANS = ncf.spans(DATA)
FIRST, TABLE_AT = SPANS[0][0], SPANS[-1][1]


def readers(data: bytes) -> tuple[NcfReader, NcfReader]:
    return NcfReader(io.BytesIO(data)), NcfReader(ncf.Pipe(data, most=37))


def found(data: bytes) -> list[int]:
    """Indices that come out, the same from a file and a pipe, in one pass and at random."""
    file, pipe = readers(data)
    chunks = list(file)
    assert list(pipe) == chunks
    for chunk in chunks:
        assert chunk == CHUNKS[chunk.index]
    again = NcfReader(io.BytesIO(data))
    at_random = [again.read_chunk(i) for i in reversed(range(len(CHUNKS)))][::-1]
    assert [chunk for chunk in at_random if chunk] == chunks
    count = file.chunk_count or 0
    assert sorted([*file.damaged, *(chunk.index for chunk in chunks)]) == list(range(count))
    return [chunk.index for chunk in chunks]


def without(*lost: int) -> list[int]:
    return [i for i in range(len(CHUNKS)) if i not in lost]


def test_a_file_cut_off_anywhere_gives_all_whole_chunks_before() -> None:
    for length in range(FIRST, len(DATA)):
        for reader in readers(DATA[:length]):
            whole = [i for i, (_, end) in enumerate(SPANS) if end <= length]
            assert list(reader) == [CHUNKS[i] for i in whole]
            assert not reader.complete
            assert (reader.frames, reader.chunk_count) == (None, len(whole))
            assert reader.damaged == []


@pytest.mark.parametrize("name", ["mono", "coded", "layered"])
def test_any_flipped_bit_costs_at_most_the_chunk_that_it_is_in(name: str) -> None:
    data = golden(name)
    chunks, spans = list(NcfReader(io.BytesIO(data))), ncf.spans(data)
    for bit in range(8 * spans[0][0], 8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        lost = [i for i, (start, end) in enumerate(spans) if start <= bit // 8 < end]
        for reader in readers(bytes(damaged)):
            assert list(reader) == [c for c in chunks if c.index not in lost]
            assert reader.complete == (bit // 8 < spans[-1][1])
            assert reader.damaged == lost


@settings(max_examples=50)
@given(
    st.integers(FIRST, TABLE_AT),
    st.one_of(
        st.binary(max_size=300),
        st.builds(lambda b, n: b * n, st.binary(max_size=8), st.integers(0, 60)),
    ),
)
def test_bytes_inserted_anywhere_cost_at_most_the_chunk_around_them(at: int, junk: bytes) -> None:
    torn = [i for i, (start, end) in enumerate(SPANS) if start < at < end]
    assert set(without(*torn)) <= set(found(DATA[:at] + junk + DATA[at:]))


@settings(max_examples=50)
@given(st.integers(FIRST, TABLE_AT), st.integers(1, 200))
def test_bytes_removed_anywhere_cost_only_the_chunks_that_they_were_in(at: int, size: int) -> None:
    end = min(at + size, TABLE_AT)
    torn = [i for i, (a, b) in enumerate(SPANS) if a < end and at < b]
    assert set(without(*torn)) <= set(found(DATA[:at] + DATA[end:]))


@settings(max_examples=50)
@given(st.integers(FIRST, len(DATA)), st.integers(FIRST, len(DATA)), st.integers(0, 120))
def test_a_piece_of_the_file_written_elsewhere_costs_only_what_it_covers(
    source: int, target: int, size: int
) -> None:
    piece = DATA[source : source + size]
    over = DATA[:target] + piece + DATA[target + len(piece) :]
    torn = [i for i, (a, b) in enumerate(SPANS) if a < target + len(piece) and target < b]
    assert set(without(*torn)) <= set(found(over))


def test_random_damage_of_every_kind_raises_nothing() -> None:
    rng = random.Random(0)
    for _ in range(300):
        data = bytearray(DATA)
        for _ in range(rng.randint(1, 4)):
            at, size = rng.randint(FIRST, len(data)), rng.choice([1, 3, 20, 200])
            match rng.randrange(4):
                case 0:
                    data[at : at + size] = rng.randbytes(size)
                case 1:
                    data[at:at] = rng.randbytes(size)
                case 2:
                    del data[at : at + size]
                case 3:
                    source = rng.randint(FIRST, len(data))
                    data[at : at + size] = data[source : source + size]
        for reader in readers(bytes(data)):
            for chunk in reader:
                assert chunk == CHUNKS[chunk.index]


def test_garbage_between_chunks_is_searched_to_its_end() -> None:
    at = SPANS[3][0]
    for junk in (random.Random(1).randbytes(2**18), b"\0" * 2**18, b"\x01\x80" * 2**17):
        assert found(DATA[:at] + junk + DATA[at:]) == without()


def test_lost_chunks_leave_a_gap_even_where_no_byte_of_them_is_left() -> None:
    cut = DATA[: SPANS[1][0]] + DATA[SPANS[3][0] :]
    assert found(cut) == without(1, 2)
    for reader in readers(cut):
        list(reader)
        assert (reader.damaged, reader.complete, reader.frames) == ([1, 2], True, 12 * 2048)


def test_chunks_lost_at_the_end_are_known_from_the_trailer() -> None:
    cut = DATA[: SPANS[10][0]] + DATA[TABLE_AT:]
    for reader in readers(cut):
        assert [chunk.index for chunk in reader] == list(range(10))
        assert (reader.damaged, reader.chunk_count, reader.frames) == ([10, 11], 12, 12 * 2048)


def test_the_table_is_rebuilt_where_the_trailer_is_gone() -> None:
    whole = NcfReader(io.BytesIO(DATA)).table()
    assert NcfReader(io.BytesIO(DATA[:TABLE_AT])).table() == whole
    lost = NcfReader(io.BytesIO(DATA[: SPANS[6][0]] + b"?" + DATA[SPANS[6][0] + 1 : TABLE_AT]))
    assert lost.table() == whole[:6] + whole[7:]
    assert (lost.damaged, lost.chunk_count) == ([6], 12)
    assert lost.read_chunk(6) is None
    assert lost.read_chunk(7) == CHUNKS[7]


def test_repeated_chunks_are_dropped() -> None:
    twice = DATA[: SPANS[7][1]] + DATA[SPANS[2][0] :]
    assert found(twice) == without()


def test_a_piece_from_further_on_does_not_hide_what_comes_before_it() -> None:
    at, (start, end) = SPANS[2][0], SPANS[10]
    assert found(DATA[:at] + DATA[start:end] + DATA[at:]) == without()
    assert found(DATA[:at] + DATA[TABLE_AT:] + DATA[at:]) == without()


def test_what_is_appended_is_ignored() -> None:
    for junk in (b"\0", b"junk", DATA, golden("mono")):
        assert found(DATA + junk) == without()
        for reader in readers(DATA + junk):
            list(reader)
            assert (reader.frames, reader.complete) == (12 * 2048, True)


def sealed(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.crc32(data))


def silent(index: int) -> bytes:
    return sealed(struct.pack("<HB", index % 4096, 0))


def head_of(header: Header) -> bytes:
    return ncf.write(header, [])[: -len(trailer(0, 0, b""))]


def trailer(count: int, frames: int, table: bytes) -> bytes:
    body = bytes([count]) + bytes([frames & 0x7F | 0x80, frames >> 7]) + table
    if not frames:
        body = bytes([count, 0]) + table
    data = sealed(struct.pack("<HB", 0x8000 | count, len(body)) + body)
    return data + struct.pack("<I", len(data) + 8) + b"NCFE"


def test_a_chunk_cannot_claim_more_time_than_its_file_could_hold() -> None:
    far = head_of(ncf.HEADER) + silent(0) + silent(3000) + silent(1)
    for reader in readers(far):
        assert [chunk.index for chunk in reader] == [0, 1]


def test_a_jump_back_is_not_taken_for_one_far_ahead() -> None:
    data = ncf.write(ncf.HEADER, ncf.several(ncf.HEADER, 3000))
    spans = ncf.spans(data)
    again = data[: spans[2900][0]] + data[spans[1500][0] : spans[1800][0]] + data[spans[2900][0] :]
    for reader in readers(again):
        assert [chunk.index for chunk in reader] == list(range(3000))


def test_a_long_loss_is_bridged() -> None:
    data = ncf.write(ncf.HEADER, ncf.several(ncf.HEADER, 4000))
    start, end = ncf.spans(data)[50][0], ncf.spans(data)[3500][0]
    for lost in (b"\0" * (end - start), b""):
        for reader in readers(data[:start] + lost + data[end:]):
            indices = [chunk.index for chunk in reader]
            if lost:
                assert indices == [*range(50), *range(3500, 4000)]
            assert indices == sorted(set(indices))


GOOD = silent(0) + silent(1)


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("fewer chunks than there are", trailer(1, 2048, b"\x0e")),
        ("more samples than chunks", trailer(2, 5000, b"\x0e\x00")),
        ("fewer samples than chunks", trailer(2, 1000, b"\x0e\x00")),
        ("no samples", trailer(2, 0, b"\x0e\x00")),
        ("a count without a table", trailer(9, 9 * 2048, b"\x0e\x00")),
        ("a number that its body cuts off", b"\x02\x80\x02\x02" + b"\x80" * 12),
        ("numbers beyond body and file", b"\xff\x8f\x03" + b"\xff" * 8 + b"\x7f\x81" + b"\x80" * 5),
        ("another magic", trailer(2, 4096, b"\x0e\x00")[:-1] + b"?"),
        ("another length", trailer(2, 4096, b"\x0e\x00")[:-8] + b"\x05\0\0\0NCFE"),
    ],
)
def test_a_trailer_that_contradicts_the_file_is_taken_for_damaged(name: str, end: bytes) -> None:
    for reader in readers(head_of(ncf.HEADER) + GOOD + end):
        assert [chunk.index for chunk in reader] == [0, 1], name
        assert (reader.complete, reader.frames) == (False, None)


@pytest.mark.parametrize(
    "table",
    [
        b"\x0e",
        b"\x0e\x80",
        b"\x10\x00",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00",
        b"\x0e\x0d",
        b"\x00\x1c",
    ],
)
def test_a_table_that_does_not_fit_the_file_is_not_used(table: bytes) -> None:
    data = head_of(ncf.HEADER) + GOOD + trailer(2, 4096, table)
    reader = NcfReader(io.BytesIO(data))
    assert [entry.length for entry in reader.table()] == [7, 7]
    assert reader.read_chunk(1) == Chunk(index=1, codebooks=0, frames=4)


def test_a_table_with_room_for_later_versions_is_used() -> None:
    data = head_of(ncf.HEADER) + GOOD + trailer(2, 4096, b"\x0e\x00later")
    reader = NcfReader(io.BytesIO(data))
    assert (reader.complete, reader.frames) == (True, 4096)
    assert [entry.length for entry in reader.table()] == [7, 7]


def test_nothing_but_the_trailer_follows_a_short_chunk() -> None:
    short = sealed(struct.pack("<HBB", 0x4000, 0, 2))
    for reader in readers(head_of(ncf.HEADER) + short + silent(1) + silent(2)):
        assert [(chunk.index, chunk.frames) for chunk in reader] == [(0, 2)]


# Headers whose chunks may be as large as they get, and heads that claim as much.
LARGE = ncf.header(
    channels=255,
    streams=255,
    codebooks=255,
    codebook_size=65536,
    chunk_frames=16,
    entropy=EntropyCoder.ADAPTIVE,
)
CLAIM = struct.pack("<HB", 0, 255) + b"\x01" * 255 + b"\x80\x80\xd0\x01"


@pytest.mark.parametrize(
    "body",
    [
        lambda: CLAIM * 2000,
        lambda: CLAIM + b"\0" * 500_000,
        lambda: silent(0) + CLAIM + silent(1) + CLAIM * 1000 + silent(2),
        lambda: struct.pack("<HBBBB", 0x8001, 0x80, 0x80, 0x80, 0x08) * 80_000,
    ],
)
def test_memory_stays_bounded_whatever_lengths_are_claimed(body: Callable[[], bytes]) -> None:
    data = head_of(LARGE) + body()
    tracemalloc.start()
    try:
        for reader in readers(data):
            list(reader)
        # Largest chunk and a search of it: some bytes per byte held, none per byte claimed.
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()


@settings(max_examples=50)
@given(st.binary(max_size=400))
def test_any_bytes_behind_a_header_are_read_without_an_error(body: bytes) -> None:
    for header in (ncf.HEADER, STEREO, LARGE):
        for reader in readers(head_of(header) + body):
            list(reader)
            assert not reader.complete or b"NCFE" in body
