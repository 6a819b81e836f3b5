"""Reading undamaged files, in one pass and at random."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import ncf_examples as ncf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_ncf_golden import golden

from neucodec.formats import Chunk, EntropyCoder, Header, NcfReader, ScaleKind, coded_streams


@st.composite
def files(draw: st.DrawFn) -> tuple[Header, list[Chunk]]:
    """A header of any kind and chunks that fit it."""
    kind, entropy = draw(st.sampled_from(ScaleKind)), draw(st.sampled_from([0, 1]))
    streams = draw(st.integers(1, 3))
    head = ncf.header(
        channels=streams,
        streams=streams,
        scale_kind=kind,
        entropy=EntropyCoder(entropy),
        codebooks=draw(st.integers(1, 4)),
    )
    chunks = []
    count = draw(st.integers(0, 6))
    for index in range(count):
        frames = draw(st.integers(1, 4)) if index == count - 1 else 4
        changes: dict[str, Any] = {"frames": frames}
        changes["codebooks"] = draw(st.integers(0, head.codebooks))
        if changes["codebooks"]:
            if kind == ScaleKind.LOG:
                levels = st.lists(st.integers(0, 255), min_size=streams, max_size=streams)
                changes["scales"] = tuple(draw(levels.filter(any)))
            elif kind == ScaleKind.FLOAT:
                changes["scales"] = tuple(
                    draw(st.floats(0, 1000, width=32)) for _ in range(streams)
                )
            changes["mid_side"] = streams > 1 and draw(st.booleans())
            changes["raw"] = bool(entropy)
            if entropy and draw(st.booleans()):
                changes |= {"raw": False, "payload": draw(st.binary(max_size=frames))}
        chunks.append(ncf.chunk(head, index, **changes))
    return head, chunks


@given(files(), st.integers(1, 40))
def test_chunks_come_back_through_pipes_and_files(
    file: tuple[Header, list[Chunk]], most: int
) -> None:
    head, chunks = file
    data = ncf.write(head, chunks)
    pipe, seekable = NcfReader(ncf.Pipe(data, most)), NcfReader(io.BytesIO(data))
    assert list(pipe) == list(seekable) == chunks
    assert pipe.header == seekable.header == head
    assert pipe.frames == seekable.frames == len(chunks) * 2048
    assert (pipe.complete, pipe.damaged, pipe.chunk_count) == (True, [], len(chunks))
    assert [seekable.read_chunk(i) for i in range(len(chunks))] == chunks


def test_one_byte_at_a_time_is_enough() -> None:
    for name in ("mono", "stereo", "coded", "silence", "tags"):
        data = golden(name)
        assert list(NcfReader(ncf.Pipe(data, most=1))) == list(NcfReader(io.BytesIO(data)))


def test_a_chunk_comes_out_before_more_of_the_pipe_is_read() -> None:
    head = ncf.HEADER
    data = ncf.write(head, ncf.several(head, 4, silent=[1]))
    pipe = ncf.Pipe(data)
    reader = NcfReader(pipe)
    first = ncf.spans(data)[0][0]
    assert pipe.taken == first
    for chunk, (_, end) in zip(reader, ncf.spans(data), strict=True):
        assert pipe.taken == end, chunk.index


def test_nothing_behind_the_trailer_is_read_from_a_pipe() -> None:
    data = golden("mono")
    pipe = ncf.Pipe(data + b"what follows")
    assert len(list(NcfReader(pipe))) == 3
    assert pipe.taken == len(data)


def test_a_file_knows_its_length_at_once_and_a_pipe_at_its_end() -> None:
    data = golden("mono")
    assert NcfReader(io.BytesIO(data)).frames == 5000
    reader = NcfReader(ncf.Pipe(data))
    assert (reader.frames, reader.chunk_count, reader.complete) == (None, None, False)
    list(reader)
    assert (reader.frames, reader.chunk_count, reader.complete) == (5000, 3, True)


def test_the_headers_hint_stands_in_for_the_length() -> None:
    assert NcfReader(ncf.Pipe(golden("stereo"))).frames == 6000


def test_random_access_reads_only_the_chunk_that_is_asked_for(tmp_path: Path) -> None:
    data = ncf.write(ncf.HEADER, ncf.several(ncf.HEADER, 5000))

    class Counting(io.BytesIO):
        read_so_far = 0

        def read(self, size: int | None = -1, /) -> bytes:
            block = super().read(size)
            self.read_so_far += len(block)
            return block

    file = Counting(data)
    reader = NcfReader(file)
    before = file.read_so_far
    assert reader.read_chunk(4711) == ncf.chunk(ncf.HEADER, 4711)
    assert file.read_so_far - before == reader.table()[4711].length
    assert before < len(data) / 10  # header and table


def test_chunks_that_do_not_exist_are_none() -> None:
    reader = NcfReader(io.BytesIO(golden("mono")))
    assert (reader.read_chunk(3), reader.read_chunk(-1)) == (None, None)


def test_the_table_says_where_chunks_stand() -> None:
    data = golden("mono")
    for entry in NcfReader(io.BytesIO(data)).table():
        assert data[entry.offset] == entry.index
    assert [entry.length for entry in NcfReader(io.BytesIO(data)).table()] == [19, 7, 13]


def test_a_file_can_be_read_again_and_at_random_meanwhile() -> None:
    data = ncf.write(ncf.HEADER, ncf.several(ncf.HEADER, 5))
    reader = NcfReader(io.BytesIO(data))
    for chunk in reader:
        assert reader.read_chunk(4 - chunk.index) == ncf.chunk(ncf.HEADER, 4 - chunk.index)
    assert len(list(reader)) == 5


def test_a_pipe_is_read_once_and_in_order() -> None:
    reader = NcfReader(ncf.Pipe(golden("mono")))
    assert not reader.seekable
    with pytest.raises(io.UnsupportedOperation, match="pipe"):
        reader.table()
    with pytest.raises(io.UnsupportedOperation, match="pipe"):
        reader.read_chunk(0)
    list(reader)
    with pytest.raises(io.UnsupportedOperation, match="once"):
        list(reader)


def test_an_ncf_may_start_in_the_middle_of_a_file() -> None:
    file = io.BytesIO(b"something else" + golden("mono"))
    file.seek(14)
    reader = NcfReader(file)
    assert reader.complete
    assert list(reader) == list(NcfReader(io.BytesIO(golden("mono"))))
    assert reader.table()[0].offset == 14 + 85


def test_indices_go_on_beyond_their_twelve_bits() -> None:
    head = ncf.HEADER
    data = ncf.write(head, ncf.several(head, 9000, silent=range(9000)))
    for file in (io.BytesIO(data), ncf.Pipe(data)):
        assert [chunk.index for chunk in NcfReader(file)] == list(range(9000))
    assert NcfReader(io.BytesIO(data)).read_chunk(8500) == ncf.chunk(head, 8500, codebooks=0)


def test_silent_streams_have_no_codes() -> None:
    head = ncf.header(channels=3, streams=3)
    chunk = ncf.chunk(head, 0, scales=(9, 0, 200))
    assert coded_streams(head, chunk) == (0, 2)
    assert coded_streams(head, ncf.chunk(head, 0, codebooks=0)) == ()


def test_errors_of_the_file_pass_through() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 90:
                raise OSError("input/output error")
            return super().read(size)

    class Waiting:
        def read(self, size: int) -> None:
            return None

    with pytest.raises(OSError, match="input/output error"):
        list(NcfReader(Broken(golden("mono"))))
    with pytest.raises(BlockingIOError, match="no data yet"):
        NcfReader(Waiting())
