"""Chunks with layers: what the container takes, gives back, refuses and loses."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import ncf_examples as ncf
import pytest
from test_ncf_golden import patched_header

from neucodec.formats import (
    Chunk,
    EntropyCoder,
    Header,
    LayerKind,
    NcfError,
    NcfReader,
    ScaleKind,
    encode_chunk,
)
from neucodec.formats.ncf.chunk import parse_chunk

MONO = ncf.header(layer=LayerKind.MDCT)
STEREO = ncf.header(channels=2, streams=2, overlap=512, layer=LayerKind.MDCT)
ADAPTIVE = ncf.header(entropy=EntropyCoder.ADAPTIVE, layer=LayerKind.MDCT)


def mixed(header: Header) -> list[Chunk]:
    """Codes, codes and a layer, a layer alone, silence, and a short end of both."""
    layers = [b"", b"beside", b"alone", b"", b"behind"]
    books = [2, 1, 0, 0, 2]
    frames = [*[header.chunk_frames] * 4, 3]
    kinds = zip(books, frames, layers, strict=True)
    return [
        ncf.chunk(header, i, codebooks=k, frames=n, layer=layer)
        for i, (k, n, layer) in enumerate(kinds)
    ]


def readers(data: bytes) -> tuple[NcfReader, NcfReader]:
    return NcfReader(io.BytesIO(data)), NcfReader(ncf.Pipe(data, most=7))


def resealed(data: bytes) -> bytes:
    """A chunk with the CRC that its bytes need now."""
    return data[:-4] + struct.pack("<I", zlib.crc32(data[:-4]))


@pytest.mark.parametrize("header", [MONO, STEREO, ADAPTIVE])
def test_chunks_with_and_without_layers_come_back(header: Header) -> None:
    data = ncf.write(header, mixed(header), 4 * 2048 + 1500)
    file, pipe = readers(data)
    assert file.header == pipe.header == header
    assert list(file) == list(pipe) == mixed(header)
    assert [file.read_chunk(i) for i in range(5)] == mixed(header)
    assert file.complete and not file.damaged


def test_a_layer_costs_its_bytes_and_its_length() -> None:
    for codebooks, length in ((2, 1), (0, 10)):
        without = ncf.chunk(MONO, 0, codebooks=codebooks)
        layered = ncf.chunk(MONO, 0, codebooks=codebooks, layer=bytes(length))
        assert len(encode_chunk(MONO, layered)) == len(encode_chunk(MONO, without)) + 1 + length


def test_a_layer_stands_behind_the_payload() -> None:
    data = encode_chunk(MONO, ncf.chunk(MONO, 5, layer=b"layer"))
    payload = ncf.chunk(MONO, 5).payload
    assert data[:-4] == b"\x05\x00\x82\x8c\x0a" + payload + b"\x05layer"
    alone = encode_chunk(MONO, ncf.chunk(MONO, 5, codebooks=0, layer=b"layer", frames=2))
    assert alone[:-4] == b"\x05\x40\x80\x02\x05layer"


def test_a_layer_alone_may_be_mid_and_side() -> None:
    chunk = ncf.chunk(STEREO, 0, codebooks=0, layer=b"layer", mid_side=True)
    for reader in readers(ncf.write(STEREO, [chunk])):
        assert list(reader) == [chunk]


@pytest.mark.parametrize(
    ("header", "changes", "message"),
    [
        (ncf.HEADER, {"layer": b"x"}, "a layer in a file whose chunks have none"),
        (ncf.HEADER, {"layer": b"x", "codebooks": 0}, "a layer in a file whose chunks have none"),
        (MONO, {"layer": bytes(11)}, "a layer of 11 bytes: 1 to 10 fit"),
        # It has as much room in a chunk that is short, or uses fewer codebooks.
        (STEREO, {"layer": bytes(21), "codebooks": 0}, "a layer of 21 bytes: 1 to 20 fit"),
        (STEREO, {"layer": bytes(21), "frames": 1}, "a layer of 21 bytes: 1 to 20 fit"),
        (MONO, {"layer": b"x", "codebooks": 0, "mid_side": True}, "mid/side needs two streams"),
        (STEREO, {"codebooks": 0, "mid_side": True}, "neither raw nor mid/side"),
        (ADAPTIVE, {"layer": b"x", "codebooks": 0, "raw": True}, "neither raw nor mid/side"),
        (MONO, {"layer": b"x", "codebooks": 0, "payload": b"x"}, "has no payload"),
        (MONO, {"layer": b"x", "codebooks": 0, "scales": (140,)}, "1 scales: 0 are needed"),
        (MONO, {"layer": b"x", "scales": (0,), "payload": b""}, "every stream is silent"),
    ],
)
def test_what_the_header_rules_out_is_not_written(
    header: Header, changes: dict[str, Any], message: str
) -> None:
    ncf.check_not_written(header, message, **changes)


@pytest.mark.parametrize("changes", [{}, {"frames": 1}, {"codebooks": 1}, {"codebooks": 0}])
def test_the_longest_layer_is_as_long_as_the_largest_payload(changes: dict[str, Any]) -> None:
    chunk = ncf.chunk(STEREO, 0, layer=bytes(20), **changes)
    for reader in readers(ncf.write(STEREO, [chunk], 400)):
        assert list(reader) == [chunk]


@pytest.mark.parametrize("length", [0, 11, 2**40])
def test_a_layer_of_another_length_is_no_chunk(length: int) -> None:
    data = encode_chunk(MONO, ncf.chunk(MONO, 0, layer=b"x"))
    claimed = {0: b"\0", 11: b"\x0b", 2**40: b"\x80\x80\x80\x80\x80\x20"}[length]
    with pytest.raises(NcfError, match=f"a layer of {length} bytes: 1 to 10 fit"):
        parse_chunk(MONO, resealed(data[:-6] + claimed + b"x" * 4))


def test_the_bit_that_says_so_is_no_codebook() -> None:
    # A file without layers may have chunks of 128 codebooks and more.
    many = ncf.header(codebooks=255)
    chunk = ncf.chunk(many, 0, codebooks=130)
    assert list(NcfReader(io.BytesIO(ncf.write(many, [chunk])))) == [chunk]
    most = ncf.header(codebooks=127, layer=LayerKind.MDCT)
    layered = ncf.chunk(most, 0, layer=b"x")
    assert encode_chunk(most, layered)[2] == 255
    assert list(NcfReader(io.BytesIO(ncf.write(most, [layered])))) == [layered]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codebooks": 128}, "128 codebooks .* at most 127"),
        ({"sample_rate": 2**19 + 1}, "524289 Hz with layers: at most 524288 fit"),
        (
            {"channels": 2, "streams": 2, "chunk_frames": 2**14, "chunk_stride": 2**23,
             "overlap": 1},
            "16777218 samples over all streams .* 16777216",
        ),
        ({"channels": 2}, "a stream for each channel"),
        ({"streams": 2}, "a stream for each channel"),
        ({"scale_kind": ScaleKind.NONE}, "scales of a byte"),
        ({"scale_kind": ScaleKind.FLOAT}, "scales of a byte"),
        ({"chunk_stride": 2000, "overlap": 47}, "must cover the 48 by"),
        ({"overlap": 2049}, "must .* be within the stride, 2048"),
        (
            {"hop": 1, "chunk_frames": 8300, "chunk_stride": 8300, "codebooks": 127,
             "codebook_size": 65536},
            "chunks of up to 42",
        ),
    ],
)  # fmt: skip
def test_headers_that_layers_do_not_go_with_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    ncf.header(**changes)
    with pytest.raises(NcfError, match=message):
        ncf.header(layer=LayerKind.MDCT, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"codebooks": 127},
        {"sample_rate": 2**19},
        {"channels": 2, "streams": 2, "chunk_frames": 1024, "chunk_stride": 2**19},
        {"chunk_stride": 2000, "overlap": 48},
        {"overlap": 2048},
        {"channels": 255, "streams": 255},
        {"hop": 1, "chunk_frames": 8200, "chunk_stride": 8200, "codebooks": 127,
         "codebook_size": 65536},
    ],
)  # fmt: skip
def test_headers_at_the_limits_of_layers_are_read_as_written(changes: dict[str, Any]) -> None:
    header = ncf.header(layer=LayerKind.MDCT, **changes)
    assert NcfReader(io.BytesIO(ncf.write(header, []))).header == header


@pytest.mark.parametrize("entropy", [EntropyCoder.NONE, EntropyCoder.ADAPTIVE])
def test_only_files_that_may_have_layers_need_version_1_2(entropy: EntropyCoder) -> None:
    for layer, version in ((LayerKind.MDCT, (1, 2)), (LayerKind.NONE, (1, int(entropy)))):
        data = ncf.write(ncf.header(entropy=entropy, layer=layer), [])
        assert NcfReader(io.BytesIO(data)).version == version


@pytest.mark.parametrize("kind", [3, 127])
def test_other_kinds_of_layers_are_refused(kind: int) -> None:
    data = patched_header(ncf.write(ncf.HEADER, []), minor=2, field=bytes([35, 1, kind]))
    with pytest.raises(NcfError, match=rf"\(layer\): .* does not know kind of layer {kind}: up"):
        NcfReader(io.BytesIO(data))


def test_a_damaged_byte_costs_only_the_chunk_that_it_is_in() -> None:
    chunks = mixed(STEREO)
    data = ncf.write(STEREO, chunks, 4 * 2048 + 1500)
    spans = ncf.spans(data)
    for at in range(spans[0][0], spans[-1][1]):
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        lost = [i for i, (start, end) in enumerate(spans) if start <= at < end]
        for reader in readers(bytes(damaged)):
            assert list(reader) == [chunk for chunk in chunks if chunk.index not in lost]
            assert reader.damaged == lost


def test_a_file_cut_off_anywhere_gives_all_whole_chunks_before() -> None:
    data = ncf.write(STEREO, mixed(STEREO), 4 * 2048 + 1500)
    spans = ncf.spans(data)
    for length in range(spans[0][0], len(data)):
        whole = [i for i, (_, end) in enumerate(spans) if end <= length]
        for reader in readers(data[:length]):
            assert list(reader) == [mixed(STEREO)[i] for i in whole]


def test_layered_chunks_are_found_behind_garbage() -> None:
    chunks = mixed(STEREO)
    data = ncf.write(STEREO, chunks, 4 * 2048 + 1500)
    for at, _ in ncf.spans(data):
        for junk in (b"\x01\x80" * 500, b"\x80" * 1000, b"\x00\x00\x80\x05layer" * 100):
            for reader in readers(data[:at] + junk + data[at:]):
                assert list(reader) == chunks
