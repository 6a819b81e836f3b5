"""The header: what it holds, what it refuses, and how it says so."""

from __future__ import annotations

import io
import time
from typing import Any

import ncf_examples as ncf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_ncf_golden import golden, patched_header

from neucodec.formats import (
    EntropyCoder,
    Header,
    LayerKind,
    NcfError,
    NcfReader,
    NcfWriter,
    ScaleKind,
)
from neucodec.formats.entropy.varint import encode_varint


def written(header: Header) -> bytes:
    file = io.BytesIO()
    NcfWriter(file, header)
    return file.getvalue()


def read(data: bytes) -> Header:
    return NcfReader(io.BytesIO(data)).header


HEADERS = st.builds(
    ncf.header,
    source_rate=st.integers(1, 2**20),
    channels=st.integers(1, 8),
    streams=st.integers(1, 8),
    codebooks=st.integers(1, 32),
    codebook_size=st.integers(3, 65536),
    overlap=st.integers(0, 2048),
    scale_kind=st.sampled_from(ScaleKind),
    entropy=st.sampled_from([EntropyCoder.NONE, EntropyCoder.ADAPTIVE]),
    nominal_bitrate=st.none() | st.integers(1, 2**40),
    frames=st.none() | st.integers(0, 2**63 - 1),
    gain_db=st.none() | st.floats(-200, 200, width=32),
    tags=st.dictionaries(st.from_regex(r"[A-Z ]{1,9}", fullmatch=True), st.text()),
)


@given(HEADERS)
def test_every_header_comes_back_equal(header: Header) -> None:
    assert read(written(header)) == header


def test_defaults_take_no_bytes() -> None:
    small = len(written(ncf.HEADER))
    assert small <= 70
    assert len(written(ncf.header(source_rate=48000))) == small + 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codec": "../../etc"}, "codec name"),
        ({"codec": "\x1b[2J"}, "codec name"),
        ({"codec": ""}, "codec name"),
        ({"fingerprint": b"short"}, "fingerprint of 5 bytes: it must have 8"),
        ({"sample_rate": 0}, "sample_rate 0 is out of range: 1 to 4294967295"),
        ({"source_rate": 2**32}, "source_rate"),
        ({"channels": 256}, "channels 256 is out of range: 1 to 255"),
        ({"streams": 0}, "streams"),
        ({"codebooks": 256}, "codebooks"),
        ({"codebook_size": 1}, "codebook_size 1 is out of range: 2 to 65536"),
        ({"hop": 1.5}, "hop 1.5"),
        ({"chunk_stride": 2049}, "chunk_stride 2049 is out of range: 1 to 2048"),
        ({"overlap": -1}, "overlap"),
        ({"frames": -1}, "frames"),
        ({"nominal_bitrate": 0}, "nominal_bitrate"),
        ({"gain_db": float("nan")}, "gain_db nan"),
        ({"gain_db": 201.0}, "gain_db 201.0 is out of range: -200 to 200"),
        ({"entropy": EntropyCoder.LM}, "without the name of its model"),
        ({"entropy": EntropyCoder.ADAPTIVE, "codebook_size": 2}, "at least 3 entries are possible"),
        ({"entropy_model": "lm"}, "a name and 8 bytes go together"),
        ({"encoder": "x" * 256}, "at most 255 bytes"),
        ({"tags": {"title": "x"}}, "tag name 'title'"),
        ({"tags": {"A=B": "x"}}, "tag name 'A=B'"),
        ({"tags": {"TITLE": "\ud800"}}, "not valid Unicode"),
        ({"hop": 2**25, "channels": 2}, "samples over all channels"),
        ({"source_rate": 2**32 - 1, "channels": 255}, "samples over all channels"),
        ({"chunk_frames": 4000, "codebooks": 255, "streams": 255}, "chunks of up to"),
    ],
)
def test_values_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(NcfError, match=message):
        ncf.header(**changes)


def test_tags_must_fit_into_a_mebibyte() -> None:
    file = io.BytesIO()
    with pytest.raises(NcfError, match="so shorten the tags"):
        NcfWriter(file, ncf.header(tags={"COMMENT": "x" * 2**20}))
    assert file.getvalue() == b""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"not an \.ncf file \(it is empty\)"),
        (b"RIFF\x24\0\0\0WAVE", r"this is a WAV file; neucodec encode makes an \.ncf of it$"),
        (b"\0\0\0\x20ftypM4A \0\0\0\0", r"this is an MP4 file; neucodec encode makes"),
        (b"ECDC\0", r"this is an \.ecdc file; neucodec convert makes an \.ncf of it$"),
        (b"x", r"not an \.ncf file$"),
        (b"\x89NCF\n\x1a\n\1\0", "transferred as text"),
        (b"\x89NCF", "cut off after 4 bytes"),
        (b"\x89NCF\r\n\x1a\n\1\0\xff\xff\xff\xff", "header is damaged: it claims 4294967295 bytes"),
        (b"\x89NCF\r\n\x1a\n\1\0\0\0\0\0\0\0\0\0", "its checksum does not match"),
    ],
)
def test_what_is_no_header_is_refused_with_the_reason(data: bytes, message: str) -> None:
    for file in (io.BytesIO(data), ncf.Pipe(data, most=1)):
        with pytest.raises(NcfError, match=message):
            NcfReader(file)


def test_a_header_cut_off_anywhere_is_refused() -> None:
    data = written(ncf.HEADER)
    for length in range(1, len(data)):
        with pytest.raises(NcfError, match="cut off"):
            read(data[:length])


def test_a_header_with_any_bit_flipped_is_refused() -> None:
    data = written(ncf.HEADER)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(NcfError):
            read(bytes(damaged))


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (bytes([9, 1, 2, 9, 1, 2]), r"field 9 \(channels\) comes twice"),
        (bytes([9, 5, 2]), "last field is cut off"),
        (bytes([9, 2, 2, 0]), r"field 9 \(channels\): bytes follow its value"),
        (bytes([9, 0]), r"field 9 \(channels\): varint is cut off"),
        (bytes([9, 1, 0]), "channels 0 is out of range"),
        (bytes([27, 1, 9]), "does not know entropy coder 9: update neucodec"),
        (bytes([33, 2, 0, 0]), r"field 33 \(gain_db\): 2 bytes where a float32 has 4"),
        (bytes([33, 4, 0, 0, 0xC0, 0x7F]), "gain_db nan"),
        (bytes([8, 1, 0xFF]), r"field 8 \(encoder\): .*utf-8"),
        (bytes([6, 2, 1, 65]), "not of the form NAME=text"),
        (bytes([6, 3, 9, 65, 61]), "not of the form NAME=text"),
    ],
)
def test_malformed_fields_are_refused(field: bytes, message: str) -> None:
    with pytest.raises(NcfError, match=message) as caught:
        read(patched_header(golden("empty"), minor=0, field=field))
    assert "\n" not in str(caught.value)


def test_a_missing_field_is_named() -> None:
    start = patched_header(golden("empty")[:10] + bytes(8), minor=0, field=bytes([1, 1, 97]))
    with pytest.raises(NcfError, match=r"field 3 \(fingerprint\) is missing"):
        read(start)


def test_tag_names_fold_their_case_and_may_come_again() -> None:
    entries = b"\x08Artist=A" + b"\x08ARTIST=B" + b"\x06TITLE="
    field = bytes([6, len(entries)]) + entries
    tags = read(patched_header(golden("empty"), minor=0, field=field)).tags
    assert tags == {"ARTIST": "A; B", "TITLE": ""}


def test_integers_may_be_longer_than_they_need_to() -> None:
    field = bytes([9, 4, 0x82, 0x80, 0x80, 0x00])
    assert read(patched_header(golden("empty"), minor=0, field=field)).channels == 2


def test_a_few_bytes_cannot_stand_for_any_number_of_codes() -> None:
    sizes = {"codebooks": 32, "chunk_frames": 129, "chunk_stride": 2048}
    assert ncf.header(**sizes).largest_chunk < 2**22
    with pytest.raises(NcfError, match=r"\(32 x 129\) per stream under an entropy coder"):
        ncf.header(**sizes, entropy=EntropyCoder.ADAPTIVE)


def test_limits_that_multiply_are_bounded_together() -> None:
    # Each of these is fine by itself.
    ncf.header(channels=255, streams=255, source_rate=48000)
    ncf.header(source_rate=2**29)
    with pytest.raises(NcfError, match=r"samples over all channels: at most 67108864"):
        ncf.header(channels=255, streams=255, source_rate=2**29)


@pytest.mark.parametrize("rate", [44100, 48000, 96000, 192000])
@pytest.mark.parametrize("layer", LayerKind)
def test_all_channels_that_there_can_be_fit_at_the_usual_rates(rate: int, layer: LayerKind) -> None:
    header = ncf.header(
        channels=255, streams=255, source_rate=rate, codebooks=16, chunk_frames=86,
        chunk_stride=43008, overlap=2560, layer=layer, entropy=EntropyCoder.ADAPTIVE,
    )  # fmt: skip
    assert read(written(header)) == header


def test_a_header_with_a_layer_for_very_many_channels_is_of_version_1_3() -> None:
    for channels, minor in ((22, 2), (255, 3)):
        header = ncf.header(
            channels=channels, streams=channels, chunk_frames=86, chunk_stride=43008,
            overlap=2560, layer=LayerKind.MDCT,
        )  # fmt: skip
        assert written(header)[8:10] == bytes([1, minor])


def test_a_tag_that_comes_ever_again_is_read_in_no_time() -> None:
    count = 2**18 - 100
    value = b"\x03A=b" * count
    data = patched_header(
        written(ncf.HEADER), minor=0, field=b"\x06" + encode_varint(len(value)) + value
    )
    began = time.process_time()
    tags = read(data).tags
    assert time.process_time() - began < 2
    assert tags == {"A": "; ".join(["b"] * count)}
