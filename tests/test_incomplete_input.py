"""Inputs that are cut off, or go on behind their end: all that is there, and a word on the rest."""

import io
import struct
from pathlib import Path

import pytest
from audio_bytes import FMT, Pipe, chunk, heard, pcm16, read, read_both_ways, riff, tones, written
from conftest import Run

from neucodec.errors import NeucodecError

SECOND = 48000


def lengths(data: bytes) -> tuple[int, list[str]]:
    audio, doubts = read_both_ways(data)
    return len(audio), doubts


@pytest.mark.parametrize(("form", "codec"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)])
def test_files_joined_end_to_end_are_read_to_the_last(form: str, codec: str | None) -> None:
    first, second = tones(1, seconds=0.5), tones(2, seconds=0.4)[:, 1:]
    files = [written(part, form, codec) for part in (first, second)]
    audio, doubts = read_both_ways(b"".join([*files, files[0]]))
    assert len(audio) == round(1.4 * SECOND)
    assert [heard(audio[at : at + 9600]) for at in (4800, 28800, 48000)] == [[0], [1], [0]]
    assert doubts == []


def test_mp3_with_tags_between_is_read_on() -> None:
    one, other = written(tones(1), "MP3"), written(tones(1), "MP3")
    id3v1 = b"TAG" + bytes(125)
    header, footer = (
        b"APETAGEX" + struct.pack("<IIII8x", 2000, 32, 0, flags)
        for flags in (0xA0 << 24, 0x80 << 24)
    )
    id3v2 = b"ID3\3\0\0\0\0\1\0" + bytes(128)
    alone = len(read(io.BytesIO(one))[0])
    for tags in (id3v1, header + footer, footer + id3v1 + id3v2, id3v2):
        assert lengths(one + tags + other) == (2 * alone, [])


@pytest.mark.parametrize(("form", "codec"), [("OGG", "VORBIS"), ("MP3", None)])
def test_what_goes_on_in_another_form_is_told(form: str, codec: str | None) -> None:
    mono, stereo = written(tones(1), form, codec), written(tones(2), form, codec)
    length, doubts = lengths(mono + stereo)
    assert length == SECOND // 4
    assert doubts == [f"it goes on at 48000 Hz with 2 channels: {len(stereo)} bytes are left out"]


def test_flac_behind_flac_is_told() -> None:
    flac = written(tones(1), "FLAC")
    length, doubts = lengths(flac + flac)
    assert length == SECOND // 4
    assert doubts == [f"another FLAC of {len(flac)} bytes follows the first one and is left out"]


HALVES = {
    "WAV": riff(FMT, chunk(b"data", pcm16(4000))),
    "AIFF": written(tones(1), "AIFF", "PCM_16"),
    "CAF": written(tones(1), "CAF", "PCM_16"),
    "AU": written(tones(1), "AU", "PCM_16"),
    "W64": written(tones(1), "W64", "PCM_16"),
    "NIST": written(tones(1), "NIST", "PCM_16"),
    "ADPCM": written(tones(1, seconds=1), "WAV", "IMA_ADPCM"),
}


@pytest.mark.parametrize("form", HALVES)
def test_half_a_file_is_read_and_said_to_be_cut_off(form: str) -> None:
    whole = HALVES[form]
    full = len(read_both_ways(whole)[0])
    audio, doubts = read_both_ways(whole[: len(whole) // 2])
    assert 0.4 * full < len(audio) < 0.55 * full
    assert len(doubts) == 1
    assert doubts[0].startswith("cut off: its header announces ")
    assert read(io.BytesIO(whole[: len(whole) // 2]))[2]
    assert read(Pipe(whole[: len(whole) // 2]))[2]
    assert not read(io.BytesIO(whole))[2]


@pytest.mark.parametrize("codec", ["VORBIS", "OPUS"])
def test_ogg_without_an_end_is_said_to_be_cut_off(codec: str) -> None:
    whole = written(tones(2, seconds=3), "OGG", codec)
    assert lengths(whole) == (3 * SECOND, [])
    audio, doubts = read_both_ways(whole[: len(whole) * 2 // 3])
    assert 0.4 * SECOND < len(audio) < 3 * SECOND
    assert doubts == ["its stream has no end: cut off, or still being written"]


def test_ogg_that_lacks_pages_is_refused() -> None:
    whole = written(tones(1, seconds=4), "OGG", "OPUS")
    starts = [at for at in range(len(whole)) if whole.startswith(b"OggS", at)]
    assert len(starts) > 5
    lacking = whole[: starts[3]] + whole[starts[4] :]
    broken = bytearray(whole)
    broken[starts[3] + 100] ^= 1  # its checksum does not hold
    for data in (lacking, bytes(broken)):
        with pytest.raises(NeucodecError, match=r"damaged or cut off after .* \(4.00 s were"):
            read(io.BytesIO(data))
    last = bytearray(whole)
    last[-1] ^= 1
    assert lengths(bytes(last))[1] == ["its stream has no end: cut off, or still being written"]


def test_a_last_sample_that_is_cut_in_two_is_told() -> None:
    wav = riff(FMT, chunk(b"data", pcm16(100), 0xFFFFFFFF), size=0xFFFFFFFF)
    assert lengths(wav[:-1]) == (99, ["1 byte at its end is no whole sample"])


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """A WAV of a second that lacks its second half."""
    data = riff(FMT, chunk(b"data", pcm16(16000)))
    path = tmp_path / "half.wav"
    path.write_bytes(data[: len(data) // 2])
    return path


def test_encode_warns_of_what_is_cut_off(run: Run, half: Path) -> None:
    ran = run("encode", "-q", half, "-m", "neu-16khz")
    assert ran.code == 0
    assert "half.wav: warning: cut off: its header announces 32000 bytes of audio, " in ran.err
    assert half.with_suffix(".ncf").exists()


def test_strict_refuses_it_and_leaves_nothing(run: Run, half: Path) -> None:
    ran = run("encode", "-q", half, "-m", "neu-16khz", "--strict")
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert ran.err.startswith(f"neucodec: {half}: cut off: its header announces 32000 bytes")
    assert [path.name for path in half.parent.iterdir()] == ["half.wav"]


def test_a_file_that_is_cut_off_is_never_done(run: Run, half: Path) -> None:
    command = ("encode", "-q", half, "-m", "neu-16khz", "--skip-existing")
    for _ in range(2):
        assert "warning: cut off" in run(*command).err
    whole = riff(FMT, chunk(b"data", pcm16(16000)))
    half.write_bytes(whole)
    assert run(*command).err == ""
    made = half.with_suffix(".ncf").read_bytes()
    assert run("info", half.with_suffix(".ncf")).out.count(b"0:01.000 (16000 samples)") == 1
    assert run("encode", "-v", *command[2:]).err.count("skipped") == 1
    assert half.with_suffix(".ncf").read_bytes() == made


def test_a_file_that_has_grown_is_not_done(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    for frames in (8000, 16000):
        path.write_bytes(riff(FMT, chunk(b"data", pcm16(frames))))
        run("encode", "-q", path, "-m", "neu-16khz", "--skip-existing")
        found = run("info", "--json", path.with_suffix(".ncf")).out
        assert f'"frames": {frames},'.encode() in found
