"""Golden files: what was once written stays readable, and is written the same way again.

``python tests/test_ncf_golden.py`` writes the files anew; a difference is a new major version.
"""

from __future__ import annotations

import io
import re
import zlib
from pathlib import Path

import ncf_examples as ncf
import numpy as np
import numpy.typing as npt
import pytest

import neucodec.formats
from neucodec.coding.entropy_models import SHARED
from neucodec.coding.payloads import chunk_codes
from neucodec.formats import (
    ChunkWaveform,
    EntropyCoder,
    LayerKind,
    NcfError,
    NcfReader,
    ScaleKind,
    StreamLayer,
    StreamWaveform,
    adaptive_intervals,
    coded_streams,
    decode_layer,
    decode_waveform,
    encode_intervals,
    encode_layer,
    encode_waveform,
    transform_length,
    transforms,
    unpack_codes,
)

GOLDEN = Path(__file__).parent / "golden"


def patched_header(data: bytes, minor: int, major: int = 1, field: bytes = b"") -> bytes:
    """The file with another version, and a field added behind the others."""
    length = int.from_bytes(data[10:14], "little")
    body = data[14 : 14 + length] + field
    start = data[:8] + bytes([major, minor]) + len(body).to_bytes(4, "little") + body
    return start + zlib.crc32(start).to_bytes(4, "little") + data[14 + length + 4 :]


def longer_trailer(data: bytes, extra: bytes) -> bytes:
    """The file with bytes behind the chunk table, as a later minor version may put there."""
    size = int.from_bytes(data[-8:-4], "little")
    start = len(data) - size
    length = data[start + 2]  # one byte is enough for the small files here
    body = data[start + 3 : start + 3 + length] + extra
    trailer = data[start : start + 2] + bytes([len(body)]) + body
    trailer += zlib.crc32(trailer).to_bytes(4, "little")
    return data[:start] + trailer + (len(trailer) + 8).to_bytes(4, "little") + b"NCFE"


def repeating(streams: int, codebooks: int, frames: int) -> npt.NDArray[np.int64]:
    """Codes of which each comes twice."""
    return np.repeat(ncf.codes(streams, codebooks, frames), 2, axis=-1)[..., :frames]


def squeezed(codes: npt.NDArray[np.int64]) -> bytes:
    """Their adaptively coded payload."""
    left, width = adaptive_intervals(codes.reshape(-1, codes.shape[-1]), 1024)
    parts = (part.reshape(codes.shape).transpose(2, 1, 0).reshape(-1) for part in (left, width))
    return encode_intervals(*parts)


def mono() -> bytes:
    head = ncf.header(overlap=1536, encoder="neucodec 0.1.0")
    chunks = [ncf.chunk(head, 0), ncf.chunk(head, 1, codebooks=0)]
    chunks.append(ncf.chunk(head, 2, codebooks=1, frames=2))
    return ncf.write(head, chunks, frames=5000)


def stereo() -> bytes:
    head = ncf.header(channels=2, streams=2, source_rate=48000, nominal_bitrate=3445, frames=6000)
    chunks = [
        ncf.chunk(head, 0, mid_side=True),
        ncf.chunk(head, 1, scales=(150, 0), mid_side=True),
        ncf.chunk(head, 2, scales=(0, 96)),
    ]
    return ncf.write(head, chunks, frames=6000)


def coded() -> bytes:
    head = ncf.header(
        codec="encodec-48khz",
        channels=2,
        streams=1,
        scale_kind=ScaleKind.FLOAT,
        entropy=EntropyCoder.LM,
        entropy_model="encodec-48khz-lm",
        entropy_fingerprint=bytes.fromhex("fedcba9876543210"),
        gain_db=-3.5,
    )
    chunks = [
        ncf.chunk(head, 0, scales=(0.1875,), payload=b"range"),
        ncf.chunk(head, 1, raw=True),
    ]
    # As version 1.0 wrote it, which had room for entropy coders and had none.
    return patched_header(ncf.write(head, chunks), minor=0)


def adaptive() -> bytes:
    head = ncf.header(channels=2, streams=2, entropy=EntropyCoder.ADAPTIVE)
    chunks = [
        ncf.chunk(head, 0, payload=squeezed(repeating(2, 2, 4))),
        ncf.chunk(head, 1, raw=True),
        ncf.chunk(head, 2, scales=(0, 96), frames=3, payload=squeezed(repeating(1, 2, 3))),
    ]
    return ncf.write(head, chunks, frames=5000)


LAYERED = ncf.header(channels=2, streams=2, chunk_stride=1800, overlap=512, layer=LayerKind.MDCT)


def layer_of(size: int, step: int, places: dict[tuple[int, int], int]) -> StreamLayer:
    """What a stream of a whole chunk has: coefficients by their transform and number in it."""
    length = transform_length(LAYERED, size)
    count = transforms(LAYERED, size, LAYERED.chunk_frames)
    coefficients = np.zeros((count, length), np.int32)
    for place, value in places.items():
        coefficients[place] = value
    return StreamLayer(size, step, coefficients)


TONE = layer_of(0, 150, {(0, 3): 1, (1, 3): -9, (1, 4): 2, (2, 3): 8})
FINGERPRINT = bytes(range(0xF0, 0x100))
CLICK = layer_of(2, 97, {(5, 60): -65535, (5, 0): 1})


def layered() -> bytes:
    chunks = [
        ncf.chunk(LAYERED, 0, layer=encode_layer(LAYERED, 4, [TONE, None])),
        ncf.chunk(
            LAYERED, 1, codebooks=0, mid_side=True, layer=encode_layer(LAYERED, 4, [None, CLICK])
        ),
        ncf.chunk(LAYERED, 2, frames=3),
    ]
    return ncf.write(LAYERED, chunks, frames=5000)


WAVED = ncf.header(channels=2, streams=2, chunk_stride=1792, overlap=256, layer=LayerKind.WAVEFORM)


def waveform_of(count: int, seed: int) -> StreamWaveform:
    """Return integers of so many blocks by a formula, a few of them beyond 7."""
    split = np.array([block % 3 if 0 < block < count - 1 else block % 2 for block in range(count)])
    numbers = (np.arange(count * 16 * 5) + seed + 1) * 389 % 1024
    sizes = np.select([numbers < 700, numbers < 1000], [0, numbers % 4], numbers)
    values = np.where(numbers % 2, sizes, -sizes).reshape(count, 80)
    return StreamWaveform(
        500 + seed, 5, split.astype(np.uint8), values.astype(np.int32), 1, 2, 3, 4
    )


def waveform() -> bytes:
    whole = ChunkWaveform(False, [waveform_of(1, 0), None])
    end = ChunkWaveform(True, [waveform_of(1, 5), waveform_of(1, 9)])
    chunks = [
        ncf.chunk(WAVED, 0, layer=encode_waveform(WAVED, 4, whole)),
        ncf.chunk(WAVED, 1),
        ncf.chunk(WAVED, 2, frames=3, mid_side=True, layer=encode_waveform(WAVED, 3, end)),
    ]
    return ncf.write(WAVED, chunks, frames=5000)


def silence() -> bytes:
    head = ncf.header()
    return ncf.write(head, ncf.several(head, 5, silent=range(5)))


def empty() -> bytes:
    return ncf.write(ncf.header(), [])


def tags() -> bytes:
    text = {"TITLE": "Übung = Meister", "ARTIST": "山田", "COMMENT": "two\nlines", "GENRE": ""}
    return ncf.write(ncf.header(tags=text), [ncf.chunk(ncf.HEADER, 0)])


def fingerprinted() -> bytes:
    chunks = [ncf.chunk(ncf.HEADER, 0), ncf.chunk(ncf.HEADER, 1, frames=2)]
    return ncf.write(ncf.HEADER, chunks, 3000, FINGERPRINT)


def unknown_optional() -> bytes:
    return patched_header(mono(), minor=0, field=bytes([100, 3]) + b"new")


def higher_minor() -> bytes:
    return longer_trailer(patched_header(mono(), minor=7), b"more")


def unknown_critical() -> bytes:
    return patched_header(mono(), minor=3, field=bytes([101, 1, 0]))


def higher_major() -> bytes:
    return patched_header(mono(), minor=0, major=2)


EXAMPLES = {
    make.__name__: make
    for make in (
        mono,
        stereo,
        coded,
        adaptive,
        layered,
        waveform,
        silence,
        empty,
        tags,
        fingerprinted,
        unknown_optional,
        higher_minor,
        unknown_critical,
        higher_major,
    )
}


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.ncf").read_bytes()


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_same_input_is_written_as_the_same_bytes_for_ever(name: str) -> None:
    assert EXAMPLES[name]().hex() == golden(name).hex()


def test_the_specification_shows_the_mono_file_byte_by_byte() -> None:
    text = (Path(neucodec.formats.__file__).parent / "NCF.md").read_text(encoding="utf-8")
    example = text.split("```hex\n")[1].split("```")[0]
    shown = "".join(re.findall(r"^((?:[0-9a-f]{2} ?)+)", example, flags=re.MULTILINE))
    assert bytes.fromhex(shown) == golden("mono")


def test_the_fingerprint_of_the_source_is_behind_the_table() -> None:
    data = golden("fingerprinted")
    pipe = NcfReader(ncf.Pipe(data))
    assert pipe.source_fingerprint == b""
    list(pipe)
    assert pipe.source_fingerprint == NcfReader(io.BytesIO(data)).source_fingerprint == FINGERPRINT
    other = NcfReader(io.BytesIO(longer_trailer(golden("mono"), b"\4\1x\2\x10" + FINGERPRINT)))
    assert other.source_fingerprint == FINGERPRINT
    for cut in (b"\2", b"\2\x10short", b"\2\4four"):
        found = NcfReader(io.BytesIO(longer_trailer(golden("mono"), cut)))
        assert (found.complete, found.source_fingerprint) == (True, b"")
    with pytest.raises(NcfError, match="fingerprint of 3 bytes: 16 or none are due"):
        ncf.write(ncf.HEADER, [], fingerprint=b"abc")


def test_mono_with_a_silent_and_a_short_chunk() -> None:
    reader = NcfReader(io.BytesIO(golden("mono")))
    whole, silent, short = reader
    assert (reader.frames, reader.complete, reader.chunk_count) == (5000, True, 3)
    assert reader.header == ncf.header(overlap=1536, encoder="neucodec 0.1.0")
    assert (silent.codebooks, silent.scales, silent.payload) == (0, (), b"")
    assert (short.codebooks, short.frames) == (1, 2)
    codes = unpack_codes(whole.payload, 1, 2, 4, 1024)
    assert np.array_equal(codes, ncf.codes(1, 2, 4))


def test_stereo_with_mid_and_side_and_silent_streams() -> None:
    reader = NcfReader(io.BytesIO(golden("stereo")))
    both, mid, second = reader
    assert (reader.header.source_rate, reader.header.sample_rate) == (48000, 44100)
    assert (reader.header.streams, reader.header.nominal_bitrate) == (2, 3445)
    assert [c.mid_side for c in (both, mid, second)] == [True, True, False]
    streams = [coded_streams(reader.header, c) for c in (both, mid, second)]
    assert streams == [(0, 1), (0,), (1,)]
    assert len(both.payload) == 2 * len(mid.payload)


def test_entropy_coded_chunks_with_float_scales() -> None:
    reader = NcfReader(io.BytesIO(golden("coded")))
    first, second = reader
    assert (reader.header.entropy, reader.header.entropy_model) == (
        EntropyCoder.LM,
        "encodec-48khz-lm",
    )
    assert reader.header.gain_db == -3.5
    assert (first.scales, first.payload, first.raw) == ((0.1875,), b"range", False)
    assert second.raw


def test_adaptively_coded_chunks() -> None:
    reader = NcfReader(io.BytesIO(golden("adaptive")))
    assert reader.version == (1, 1)
    both, raw, second = reader
    expected = (repeating(2, 2, 4), ncf.codes(2, 2, 4, seed=1), repeating(1, 2, 3))
    for chunk, codes in zip((both, raw, second), expected, strict=True):
        assert np.array_equal(chunk_codes(chunk, reader.header, SHARED.of(reader.header)), codes)
    assert len(both.payload) < len(raw.payload)


def test_chunks_with_layers() -> None:
    reader = NcfReader(io.BytesIO(golden("layered")))
    assert (reader.version, reader.header) == ((1, 2), LAYERED)
    both, alone, short = reader
    assert np.array_equal(unpack_codes(both.payload, 2, 2, 4, 1024), ncf.codes(2, 2, 4))
    assert (alone.codebooks, alone.payload, alone.mid_side) == (0, b"", True)
    assert (short.frames, short.layer) == (3, b"")
    (tone, nothing), (no_mid, click) = (decode_layer(LAYERED, 4, c.layer) for c in (both, alone))
    assert nothing is None and no_mid is None
    for found, expected in ((tone, TONE), (click, CLICK)):
        assert found is not None
        assert (found.size, found.step) == (expected.size, expected.step)
        assert np.array_equal(found.coefficients, expected.coefficients)
    assert decode_layer(LAYERED, 3, short.layer) == []


def test_chunks_with_waveform_layers() -> None:
    reader = NcfReader(io.BytesIO(golden("waveform")))
    assert (reader.version, reader.header) == ((1, 4), WAVED)
    first, bare, short = reader
    assert (bare.layer, short.frames, short.mid_side) == (b"", 3, True)
    whole, end = (decode_waveform(WAVED, c.frames, c.layer) for c in (first, short))
    assert (whole.last, end.last) == (False, True)
    expected = [waveform_of(1, 0), None, waveform_of(1, 5), waveform_of(1, 9)]
    for found, made in zip([*whole.streams, *end.streams], expected, strict=True):
        assert (found is None) == (made is None)
        if found and made:
            assert (found.gain, found.top) == (made.gain, made.top)
            assert np.array_equal(found.split, made.split)
            assert np.array_equal(found.values, made.values)
            assert (found.fill_low, found.fill_high, found.prediction, found.above) == (1, 2, 3, 4)


def test_silence_takes_seven_bytes_a_chunk() -> None:
    reader = NcfReader(io.BytesIO(golden("silence")))
    assert [entry.length for entry in reader.table()] == [7] * 5
    assert [chunk.codebooks for chunk in reader] == [0] * 5


def test_a_file_without_audio() -> None:
    reader = NcfReader(io.BytesIO(golden("empty")))
    assert (reader.frames, list(reader), reader.complete, reader.table()) == (0, [], True, [])


def test_tags_hold_any_text() -> None:
    assert NcfReader(io.BytesIO(golden("tags"))).header.tags == {
        "TITLE": "Übung = Meister",
        "ARTIST": "山田",
        "COMMENT": "two\nlines",
        "GENRE": "",
    }


@pytest.mark.parametrize(
    ("name", "version"), [("unknown_optional", (1, 0)), ("higher_minor", (1, 7))]
)
def test_what_a_later_minor_version_adds_is_skipped(name: str, version: tuple[int, int]) -> None:
    old, new = NcfReader(io.BytesIO(golden("mono"))), NcfReader(io.BytesIO(golden(name)))
    assert new.version == version
    assert (new.header, new.frames, list(new)) == (old.header, old.frames, list(old))
    assert new.complete


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unknown_critical", r"\(version 1\.3\) depends on field 101, .* \(version 1\.3\)"),
        ("higher_major", r"file is \.ncf version 2\.x, this reader knows 1\.x: update neucodec"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(name: str, message: str) -> None:
    with pytest.raises(NcfError, match=message):
        NcfReader(io.BytesIO(golden(name)))


if __name__ == "__main__":
    for name, make in EXAMPLES.items():
        (GOLDEN / f"{name}.ncf").write_bytes(make())
