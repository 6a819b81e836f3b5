"""Writing in one pass: what is written, what is refused, what it costs."""

from __future__ import annotations

import io
from typing import Any

import ncf_examples as ncf
import pytest

from neucodec.formats import EntropyCoder, NcfError, NcfReader, NcfWriter, ScaleKind


class ShortWrites:
    """A raw pipe: nothing but write(), which takes a few bytes at a time."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> int:
        self.data += bytes(data[:5])
        return min(len(data), 5)


class SilentWriter:
    """A writer that does not say how much it took."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += bytes(data)


@pytest.mark.parametrize("sink", [ShortWrites(), SilentWriter()])
def test_one_pass_into_anything_that_writes(sink: Any) -> None:
    chunks = ncf.several(ncf.HEADER, 4)
    writer = NcfWriter(sink, ncf.HEADER)
    for chunk in chunks:
        writer.write(chunk)
    writer.close(4 * 2048)
    assert sink.data == ncf.write(ncf.HEADER, chunks)


def test_header_and_chunks_are_written_at_once() -> None:
    file = io.BytesIO()
    writer = NcfWriter(file, ncf.HEADER)
    start = file.tell()
    assert NcfReader(io.BytesIO(file.getvalue())).header == ncf.HEADER
    length = writer.write(ncf.chunk(ncf.HEADER, 0))
    assert file.tell() == start + length
    assert writer.chunk_bytes == length


def full_size(streams: int, **changes: Any) -> tuple[Any, int]:
    """Chunks of the embedded codec's size: header, and bytes of one payload."""
    head = ncf.header(
        codebooks=9, chunk_frames=86, chunk_stride=44032, channels=streams, streams=streams
    )
    return head, head.raw_bytes(streams, 9, 86)


@pytest.mark.parametrize(("streams", "most"), [(1, 12), (2, 13), (6, 17)])
def test_overhead_is_twelve_bytes_a_chunk_and_one_per_further_stream(
    streams: int, most: int
) -> None:
    head, payload = full_size(streams)
    few, many = (ncf.write(head, ncf.several(head, n)) for n in (10, 40))
    # A difference of lengths takes one byte more where silence comes in between.
    mixed = ncf.write(head, ncf.several(head, 40, silent=range(0, 40, 2)))
    silence = 20 * (7 + 2)
    assert len(many) - len(few) <= 30 * (payload + most)
    assert len(mixed) - len(ncf.write(head, [])) - silence <= 20 * (payload + most) + 2


def test_overhead_is_below_a_hundred_bits_per_second() -> None:
    head, payload = full_size(1)
    data = ncf.write(head, ncf.several(head, 60))
    seconds = 60 * 44032 / 44100
    chunks_and_table = len(data) - len(ncf.write(head, []))
    assert 8 * (chunks_and_table - 60 * payload) / seconds <= 100


def test_chunks_come_in_order() -> None:
    writer = NcfWriter(io.BytesIO(), ncf.HEADER)
    with pytest.raises(NcfError, match="chunk 1 where chunk 0 is due"):
        writer.write(ncf.chunk(ncf.HEADER, 1))


def test_only_the_last_chunk_may_be_short() -> None:
    writer = NcfWriter(io.BytesIO(), ncf.HEADER)
    writer.write(ncf.chunk(ncf.HEADER, 0, frames=3))
    with pytest.raises(NcfError, match="only the last may be short"):
        writer.write(ncf.chunk(ncf.HEADER, 1))


LOG = ncf.header(channels=2, streams=2)
FLOAT = ncf.header(scale_kind=ScaleKind.FLOAT)
ADAPTIVE = ncf.header(entropy=EntropyCoder.ADAPTIVE)


@pytest.mark.parametrize(
    ("head", "changes", "message"),
    [
        (LOG, {"codebooks": 3, "payload": b""}, "3 codebooks: 0 to 2 are possible"),
        (LOG, {"frames": 5}, "5 frames: 1 to 4 fit"),
        (LOG, {"frames": 0, "payload": b""}, "0 frames"),
        (LOG, {"scales": (1,)}, "1 scales: 2 are needed"),
        (LOG, {"scales": (1, 256), "payload": b"\0" * 20}, "bytes are needed"),
        (LOG, {"scales": (0.5, 0.5)}, "bytes are needed"),
        (LOG, {"scales": (0, 0), "payload": b""}, "write a silent chunk"),
        (LOG, {"payload": b"x" * 19}, "payload of 19 bytes: exactly 20 fit"),
        (LOG, {"raw": True}, "marked as raw although"),
        (LOG, {"codebooks": 0, "mid_side": True}, "a silent chunk has no payload"),
        (LOG, {"codebooks": 0, "payload": b"x"}, "a silent chunk has no payload"),
        (LOG, {"codebooks": 0, "scales": (1, 1)}, "2 scales: 0 are needed"),
        (ncf.HEADER, {"mid_side": True}, "mid/side needs two streams"),
        (FLOAT, {"scales": (float("nan"),)}, "0 to 2"),
        (FLOAT, {"scales": (-1.0,)}, "0 to 2"),
        (ADAPTIVE, {"payload": b"x" * 11}, "at most 10 fit"),
    ],
)
def test_what_the_header_rules_out_is_not_written(
    head: Any, changes: dict[str, Any], message: str
) -> None:
    ncf.check_not_written(head, message, **changes)


@pytest.mark.parametrize("frames", [-1, 0, 2048 - 200, 4096 + 200, 2**70])
def test_the_number_of_samples_must_take_the_chunks_written(frames: int) -> None:
    with pytest.raises(NcfError, match="do not fit 2 chunks"):
        ncf.write(ncf.HEADER, ncf.several(ncf.HEADER, 2), frames)


@pytest.mark.parametrize("frames", [2049, 3000, 4096])
@pytest.mark.parametrize("source_rate", [8000, 44100, 192000])
def test_any_number_of_samples_within_the_last_chunk_will_do(frames: int, source_rate: int) -> None:
    head = ncf.header(source_rate=source_rate)
    # One sample more or less, by how the resampler rounds, makes no difference.
    for rounding in (-1, 0, 1):
        count = max(1, frames * source_rate // 44100 + rounding)
        data = ncf.write(head, ncf.several(head, 2), count)
        assert NcfReader(io.BytesIO(data)).frames == count


def test_a_closed_writer_takes_nothing_more() -> None:
    writer = NcfWriter(io.BytesIO(), ncf.HEADER)
    writer.close(0)
    with pytest.raises(ValueError, match="closed"):
        writer.write(ncf.chunk(ncf.HEADER, 0))
    with pytest.raises(ValueError, match="closed"):
        writer.close(0)


def test_errors_of_the_file_pass_through() -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        NcfWriter(Full(), ncf.HEADER)
