"""The same bytes are read alike from a file and from a pipe, whatever their header says."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from audio_bytes import (
    FMT,
    Pipe,
    chunk,
    id3v2,
    pcm16,
    read,
    read_both_ways,
    riff,
    tones,
    written,
)

from neucodec.audio.input import open_audio

SAMPLES = pcm16()
AUDIO = (np.frombuffer(SAMPLES, "<i2") / np.float32(32768))[:, None]
DATA = chunk(b"data", SAMPLES)
N = len(SAMPLES)


def wave64(data_size: int, riff_size: int) -> bytes:
    riff_tail, tail = "2e91cf11a5d628db04c10000", "f3acd3118cd100c04f8edb8a"

    def named(name: bytes) -> bytes:
        return name + bytes.fromhex(riff_tail if name == b"riff" else tail)

    fmt = FMT[8:]
    return (
        named(b"riff") + struct.pack("<Q", riff_size) + named(b"wave")
        + named(b"fmt ") + struct.pack("<Q", 24 + len(fmt)) + fmt
        + named(b"data") + struct.pack("<Q", data_size) + SAMPLES
    )  # fmt: skip


DS64 = chunk(b"ds64", struct.pack("<QQQI", 72 + N, N, N // 2, 0))
ENDLESS = chunk(b"data", SAMPLES, 0xFFFFFFFF)


@pytest.mark.parametrize(
    "data",
    [
        riff(FMT, DATA),
        riff(DS64, FMT, ENDLESS, magic=b"BW64", size=0xFFFFFFFF),
        riff(DS64, FMT, ENDLESS, magic=b"RF64", size=0xFFFFFFFF),
        riff(FMT, chunk(b"\0\0\0\0", bytes(100)), DATA),
        riff(FMT, ENDLESS, size=0xFFFFFFFF),
        riff(FMT, chunk(b"data", SAMPLES, 0), size=0),
        wave64(N + 24, 104 + N),
        wave64(1 << 63, 1 << 63),
        id3v2(100_000) + riff(FMT, DATA),
        id3v2(7) + id3v2(9000) + riff(FMT, DATA),
        riff(FMT, DATA, bytes(1000), size=len(FMT + DATA) + 4),
    ],
    ids=[
        "plain", "BW64", "RF64", "chunk of zeros", "endless", "no sizes", "Wave64",
        "Wave64 to a pipe", "ID3 in front", "two ID3 in front", "zeros behind",
    ],
)  # fmt: skip
def test_every_header_of_wav(data: bytes) -> None:
    audio, doubts = read_both_ways(data)
    assert np.array_equal(audio, AUDIO)
    assert doubts == []


@pytest.mark.parametrize("form", ["AIFF", "CAF", "FLAC", "AU", "OGG", "MP3", "W64", "RF64"])
def test_a_tag_in_front_costs_no_sound(form: str) -> None:
    plain = written(tones(2), form)
    assert np.array_equal(read_both_ways(id3v2(50_000) + plain)[0], read_both_ways(plain)[0])


def test_a_second_wav_behind_the_first_is_told() -> None:
    wav = riff(FMT, DATA)
    audio, doubts = read_both_ways(wav + wav)
    assert np.array_equal(audio, AUDIO)
    assert doubts == [f"another WAV of {len(wav)} bytes follows the first one and is left out"]


def test_what_else_is_behind_a_wav_is_told() -> None:
    audio, doubts = read_both_ways(riff(FMT, DATA) + b"\1\2\3\4" * 50)
    assert np.array_equal(audio, AUDIO)
    assert doubts == ["200 bytes behind its end are left out"]


def test_a_size_of_0_gives_way_to_the_samples_that_are_there() -> None:
    audio, doubts = read_both_ways(riff(FMT, chunk(b"data", SAMPLES, 0)))
    assert np.array_equal(audio, AUDIO)
    assert doubts == ["its header says that it is empty: read to the end of the file"]


def test_24_bits_in_four_bytes_are_the_upper_ones() -> None:
    fmt = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 16000, 64000, 4, 24))
    samples = np.random.default_rng(0).integers(-(2**23), 2**23, 500, np.int32)
    audio, doubts = read_both_ways(riff(fmt, chunk(b"data", (samples * 256).tobytes())))
    assert np.array_equal(audio[:, 0], (samples / 2**23).astype(np.float32))
    assert doubts == []


def sizes_of_0(data: bytes, name: bytes, width: int) -> bytes:
    """The file as a writer to a pipe leaves it, who cannot come back to fill in sizes."""
    at = data.index(name) + 4
    return data[:at] + bytes(width) + data[at + width :]


def test_caf_and_aiff_and_au_without_sizes_are_read_to_their_end() -> None:
    audio = tones(2)
    caf, aiff, au = (written(audio, form, "PCM_16") for form in ("CAF", "AIFF", "AU"))
    whole = read_both_ways(aiff)[0]
    at = caf.index(b"data") + 4
    unknown = caf[:at] + b"\xff" * 8 + caf[at + 8 :]
    streamed = sizes_of_0(sizes_of_0(aiff, b"FORM", 4), b"SSND", 4)
    for data in (unknown, sizes_of_0(caf, b"data", 8), streamed, au[:8] + bytes(4) + au[12:]):
        assert np.array_equal(read_both_ways(data)[0], whole)


def test_mp3_in_a_wav_is_read() -> None:
    mp3 = written(tones(1), "MP3")
    fmt = chunk(
        b"fmt ", struct.pack("<HHIIHHHHIHHH", 0x55, 1, 48000, 8000, 1, 0, 12, 1, 2, 1, 1, 0)
    )
    audio, _ = read_both_ways(riff(fmt, chunk(b"fact", bytes([0, 255, 0, 0])), chunk(b"data", mp3)))
    assert np.array_equal(audio, read(io.BytesIO(mp3))[0])


def test_mp3_that_begins_in_the_middle_of_a_frame_is_read() -> None:
    mp3 = written(tones(1, seconds=1), "MP3")
    second = mp3.index(b"\xff\xfb", mp3.index(b"Xing") if b"Xing" in mp3 else mp3.index(b"Info"))
    audio, _ = read_both_ways(mp3[second + 100 :])
    assert len(audio) > 40_000


def info(*texts: tuple[bytes, bytes]) -> bytes:
    return chunk(b"LIST", b"INFO" + b"".join(chunk(name, text + b"\0") for name, text in texts))


def test_tags_in_old_encodings_are_text() -> None:
    tags = info((b"IART", "Björk".encode("cp1252")), (b"INAM", "Jóga".encode()))
    for source in (io.BytesIO(riff(FMT, tags, DATA)), Pipe(riff(FMT, tags, DATA))):
        with open_audio(source) as audio:
            assert audio.tags == {"ARTIST": "Björk", "TITLE": "Jóga"}
    aiff = written(tones(1), "AIFF") + chunk(b"NAME", "Jóga".encode("cp1252"), order=">")
    aiff = aiff[:4] + struct.pack(">I", len(aiff) - 8) + aiff[8:]
    with open_audio(io.BytesIO(aiff)) as audio:
        assert audio.tags["TITLE"] == "Jóga"


def id3v1(title: bytes, artist: bytes) -> bytes:
    return b"TAG" + title.ljust(30, b"\0") + artist.ljust(30, b"\0") + bytes(65)


def test_id3_tags_in_old_encodings_are_text() -> None:
    mp3 = written(tones(1), "MP3")
    old = mp3 + id3v1("Jóga".encode("latin-1"), "“Björk”".encode("cp1252"))
    with open_audio(io.BytesIO(old)) as audio:
        assert (audio.tags["TITLE"], audio.tags["ARTIST"]) == ("Jóga", "“Björk”")
    title = b"\0" + "“Jóga”".encode("cp1252")
    frame = b"TIT2" + struct.pack(">IH", len(title), 0) + title
    with open_audio(io.BytesIO(b"ID3\3\0\0\0\0\0" + bytes([len(frame)]) + frame + mp3)) as audio:
        assert audio.tags == {"TITLE": "“Jóga”"}


def test_tags_behind_the_audio_come_too_late_on_a_pipe_only() -> None:
    data = riff(FMT, DATA, info((b"IART", b"Nina")))
    with open_audio(io.BytesIO(data)) as audio:
        assert audio.tags == {"ARTIST": "Nina"}
    samples, doubts, _ = read(Pipe(data))
    assert np.array_equal(samples, AUDIO)
    assert doubts == ["tags behind the audio (ARTIST) come too late"]


def test_a_file_reads_by_name_as_from_memory(tmp_path: Path) -> None:
    for form in ("WAV", "FLAC", "OGG", "MP3", "AIFF"):
        data = written(tones(2), form)
        path = tmp_path / "clip.raw"  # the name does not matter
        path.write_bytes(data)
        assert np.array_equal(read(path)[0], read(io.BytesIO(data))[0])
