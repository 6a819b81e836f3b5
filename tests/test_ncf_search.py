"""The search for intact chunks in damage: many places at once give what one gives by itself."""

from __future__ import annotations

import zlib
from dataclasses import replace

import ncf_examples as ncf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neucodec.formats import EntropyCoder, Header, LayerKind, NcfError, ScaleKind
from neucodec.formats.entropy.varint import (
    encode_varint,
    read_varint,
    read_varints,
    unzigzag,
    zigzag,
)
from neucodec.formats.ncf.chunk import ChunkHead, parse_chunk
from neucodec.formats.ncf.crc import registers, slice_crcs
from neucodec.formats.ncf.recovery.candidates import candidates, lookahead

# Bytes as heads are made of: small numbers, flags, varints that go on; and heads of chunks with
# layers, which would come about too seldom.
LIKELY = st.lists(
    st.one_of(
        st.one_of(
            st.integers(0, 4), st.integers(0, 255), st.sampled_from([0x20, 0x40, 0x50, 0x80, 0x81])
        ).map(lambda byte: bytes([byte])),
        st.sampled_from(
            [
                b"\0\0\x80",
                b"\0\x20\x80",
                b"\0\0\x81\x8c\2ab",
                b"\0\0\x82\x8c\3abc",
                b"\0\x60\x82\1\x8c\x8d\1a",
                b"\0\x20\x81\0\x8d\1a",
            ]
        ),
    ),
    max_size=120,
).map(b"".join)

HEADERS = [
    ncf.HEADER,
    ncf.header(channels=2, streams=2, entropy=EntropyCoder.ADAPTIVE),
    ncf.header(scale_kind=ScaleKind.NONE),
    ncf.header(chunk_frames=1, chunk_stride=512, entropy=EntropyCoder.ADAPTIVE),
    # The fewer bytes a payload has, the likelier it is followed by a layer.
    ncf.header(chunk_frames=1, chunk_stride=512, layer=LayerKind.MDCT),
    ncf.header(
        channels=2, streams=2, chunk_frames=2, chunk_stride=1024, entropy=EntropyCoder.ADAPTIVE,
        layer=LayerKind.MDCT,
    ),
    ncf.header(codebooks=127, chunk_stride=2000, overlap=48, layer=LayerKind.MDCT),
]  # fmt: skip


@given(st.binary(max_size=700), st.data())
def test_crcs_of_slices_are_zlibs(data: bytes, draw: st.DataObject) -> None:
    ends = st.tuples(st.integers(0, len(data)), st.integers(0, len(data))).map(sorted)
    slices = draw.draw(st.lists(ends, min_size=1, max_size=20))
    start, end = np.array(slices, np.int64).T
    expected = [zlib.crc32(data[a:b]) for a, b in slices]
    assert slice_crcs(registers(data), start, end).tolist() == expected


@pytest.mark.parametrize("header", HEADERS)
@given(data=LIKELY)
def test_every_chunk_that_can_start_somewhere_is_a_candidate(header: Header, data: bytes) -> None:
    padded = np.zeros(len(data) + lookahead(header), np.uint8)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    found = candidates(header, padded, len(data))
    chunks = {
        (int(start), int(end))
        for start, crc, end in zip(*found, strict=True)
        if end - crc == 4 and end <= len(data)
    }
    single = set()
    for start in range(len(data)):
        try:
            head = parse_chunk(header, data[start:])
        except NcfError:
            continue
        if isinstance(head, ChunkHead) and start + head.length <= len(data):
            single.add((start, start + head.length))
    assert chunks == single


@pytest.mark.parametrize("header", HEADERS)
def test_a_written_chunk_and_trailer_are_candidates(header: Header) -> None:
    chunks = ncf.several(header, 3, silent=[1])
    if header.layer != LayerKind.NONE:
        chunks += [replace(chunk, index=chunk.index + 3, layer=b"x") for chunk in chunks]
    data = ncf.write(header, chunks)
    padded = np.frombuffer(data + bytes(lookahead(header)), np.uint8)
    found = candidates(header, padded, len(data))
    spans = {(int(start), int(end)) for start, _, end in zip(*found, strict=True)}
    written = ncf.spans(data)
    assert {*written, (written[-1][1], len(data))} <= spans


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=9))
def test_varints_come_back(values: list[int]) -> None:
    data = b"".join(map(encode_varint, values))
    starts, at = [], 0
    for value in values:
        starts.append(at)
        assert read_varint(data, at)[0] == value
        at = read_varint(data, at)[1]
    padded = np.frombuffer(data + bytes(10), np.uint8)
    read, end, valid = read_varints(padded, np.array(starts))
    assert (read.tolist(), end.tolist()) == (values, [*starts[1:], at])
    assert valid.all()


@given(st.binary(min_size=1, max_size=12))
def test_many_varints_are_judged_like_one(data: bytes) -> None:
    padded = np.frombuffer(data + b"\x80" * 10, np.uint8)
    read, end, valid = read_varints(padded, np.arange(len(data)))
    for at in range(len(data)):
        try:
            single = read_varint(data, at)
        except (EOFError, NcfError):
            assert not valid[at]
        else:
            assert (read[at], end[at], valid[at]) == (*single, True)


@pytest.mark.parametrize("data", [b"\x80" * 10, b"\xff" * 9 + b"\x01", b"\x80" * 10 + b"\x00"])
def test_varints_have_ten_bytes_at_most_and_63_bits(data: bytes) -> None:
    with pytest.raises(NcfError, match="longer than ten bytes or not below"):
        read_varint(data, 0)
    with pytest.raises(NcfError, match="does not fit into a varint"):
        encode_varint(2**63)


@given(st.integers(-(2**62), 2**62 - 1))
def test_zigzag_comes_back(value: int) -> None:
    assert unzigzag(np.array([zigzag(value)])).tolist() == [value]
