"""``neucodec decode``: formats, ranges, rates, clipping and damage."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import MakeClip, Run

Encoded = Callable[..., Path]


@pytest.fixture
def encoded(run: Run, clip: MakeClip) -> Encoded:
    """Makes an .ncf, of a clip as it is asked for."""

    def encoded(**options: object) -> Path:
        path = clip(**options)
        assert run("encode", path, "-f", "--entropy", "adaptive").code == 0
        path.unlink()
        return path.with_suffix(".ncf")

    return encoded


def test_rate_channels_and_length_come_back(run: Run, encoded: Encoded, tmp_path: Path) -> None:
    ran = run("decode", encoded(seconds=0.3, rate=22050, channels=2, title="Waves"))
    assert (ran.code, ran.out) == (0, b"")
    assert re.fullmatch(
        r"\S+clip\.ncf: 0:00\.300 to \S+clip\.wav, 22050 Hz, 2 channels, wav PCM_16, "
        r"\d+ x real time\n",
        ran.err,
    )
    with soundfile.SoundFile(tmp_path / "clip.wav") as file:
        assert (file.samplerate, file.channels, file.frames) == (22050, 2, 6615)
        assert (file.format, file.subtype, file.title) == ("WAV", "PCM_16", "Waves")


@pytest.mark.parametrize(
    ("options", "name", "container", "subtype"),
    [
        (["-o", "a.flac"], "a.flac", "FLAC", "PCM_16"),
        (["-o", "a.FLAC", "--subtype=PCM_24"], "a.FLAC", "FLAC", "PCM_24"),
        (["--format=flac"], "clip.flac", "FLAC", "PCM_16"),
        (["--subtype=float"], "clip.wav", "WAV", "FLOAT"),
        (["-o", "a.wav", "--subtype=pcm_24"], "a.wav", "WAV", "PCM_24"),
        (["-o", "plain"], "plain", "WAV", "PCM_16"),
    ],
)
def test_the_format_follows_the_name_or_the_option(
    run: Run, encoded: Encoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    options: list[str], name: str, container: str, subtype: str,
) -> None:  # fmt: skip
    path = encoded()
    monkeypatch.chdir(tmp_path)
    assert run("decode", path, *options).code == 0
    with soundfile.SoundFile(tmp_path / name) as file:
        assert (file.format.removesuffix("EX"), file.subtype) == (container, subtype)
        assert file.frames == 4800


def test_raw_output_is_the_samples_of_the_wav(run: Run, encoded: Encoded, tmp_path: Path) -> None:
    path = encoded(channels=2)
    assert run("decode", path).code == 0
    assert run("decode", path, "--format=raw").code == 0
    assert run("decode", path, "-o", tmp_path / "big.raw", "--subtype=s16be").code == 0
    audio, _ = soundfile.read(tmp_path / "clip.wav", dtype="int16")
    assert (tmp_path / "clip.raw").read_bytes() == audio.astype("<i2").tobytes()
    assert (tmp_path / "big.raw").read_bytes() == audio.astype(">i2").tobytes()


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("0.5", "1.25", 8000, 20000),
        ("0:01.5", None, 24000, 40000),
        (None, "0:00:02", 0, 32000),
        ("2", "99", 32000, 40000),
    ],
)
def test_a_range_is_what_a_full_decode_has_there(
    run: Run, encoded: Encoded, tmp_path: Path,
    start: str | None, end: str | None, first: int, last: int,
) -> None:  # fmt: skip
    path, part = encoded(seconds=2.5), tmp_path / "part.wav"
    options = [f"--{k}={v}" for k, v in (("start", start), ("end", end)) if v]
    assert run("decode", path).code == 0
    assert run("decode", path, "-o", part, *options).code == 0
    whole, _ = soundfile.read(tmp_path / "clip.wav", dtype="int16")
    audio, _ = soundfile.read(part, dtype="int16")
    np.testing.assert_array_equal(audio, whole[first:last])


def test_another_rate_and_mono(run: Run, encoded: Encoded, tmp_path: Path) -> None:
    assert run("decode", encoded(channels=2), "--rate=48000", "--mono").code == 0
    with soundfile.SoundFile(tmp_path / "clip.wav") as file:
        assert (file.samplerate, file.channels, file.frames) == (48000, 1, 14400)


def test_clipping_is_reported_and_can_be_avoided(
    run: Run, encoded: Encoded, tmp_path: Path
) -> None:
    path, out = encoded(level=50, subtype="FLOAT"), tmp_path / "out.wav"
    ran = run("decode", "-q", path, "-o", out)
    assert ran.code == 0
    assert re.search(r"warning: \d+ samples clipped, peak \+\d+\.\d dB; --clip rescale or", ran.err)

    ran = run("decode", "-qf", path, "-o", out, "--clip=rescale")
    assert re.search(r"warning: made softer, its peak was \+\d+\.\d dB", ran.err)
    assert np.abs(soundfile.read(out, dtype="int16")[0].astype(int)).max() == 32767

    ran = run("decode", "-qf", path, "-o", out, "--subtype=FLOAT")
    assert ran.err == ""
    assert np.abs(soundfile.read(out)[0]).max() > 1

    assert run("decode", "-qqf", path, "-o", out).err == ""


def test_a_damaged_second_is_silence_and_a_warning(
    run: Run, encoded: Encoded, tmp_path: Path
) -> None:
    path, out = encoded(seconds=3.5), tmp_path / "out.wav"
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 5] ^= 1  # in the second of four chunks
    path.write_bytes(data)
    ran = run("decode", "-q", path, "-o", out)
    assert ran.code == 0
    assert ran.err == (
        f"neucodec: {path}: warning: damaged: silence at 0:01.0-0:02.0; "
        "--strict refuses such files\n"
    )
    audio, rate = soundfile.read(out)
    assert len(audio) == 56000
    assert not audio[round(1.1 * rate) : round(1.9 * rate)].any()
    assert audio[: round(0.9 * rate)].any()

    ran = run("decode", "-qf", path, "-o", tmp_path / "strict.wav", "--strict")
    assert ran.code == 1
    assert "damaged from 1.0 to 2.0 s" in ran.err
    assert not (tmp_path / "strict.wav").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_file_that_was_cut_off_gives_what_is_left(
    run: Run, encoded: Encoded, tmp_path: Path
) -> None:
    path, out = encoded(seconds=3.5), tmp_path / "out.wav"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    ran = run("decode", "-q", path, "-o", out)
    assert ran.code == 0
    assert ran.err == (f"neucodec: {path}: warning: cut off, or its end damaged: 0:02.0 decoded\n")
    assert 1.95 < soundfile.info(out).duration < 2
    assert run("decode", "-q", path, "-o", tmp_path / "strict.wav", "--strict").code == 1
    assert not (tmp_path / "strict.wav").exists()


def test_what_is_no_ncf_is_refused(run: Run, clip: MakeClip) -> None:
    path = clip("clip.ncf.wav")
    ran = run("decode", path, "-o", path.parent / "out.wav")
    assert ran.code == 1
    assert ran.err.startswith(f"neucodec: {path}: not an .ncf file")
    assert ran.err.count("\n") == 1
    assert not (path.parent / "out.wav").exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--start", "soon"], "'soon' is no time: write it as 61.5, 1:01.5 or 1:00:00"),
        (["--start", "1:75"], "'1:75' is no time"),
        (["--start", "2", "--end", "1.5"], "--end 0:01.50 is not after --start 0:02.00"),
        (["-o", "out.aac"], "out.aac: decode writes .wav, .wave, .flac, .opus, .ogg"),
        (["-o", "out.flac", "--subtype=FLOAT"], "flac cannot hold FLOAT; it can hold PCM_16"),
        (["--clip=none"], "--clip none needs room above full scale, which PCM_16 lacks"),
        (["--format=aac"], "'aac' is not one of 'wav', 'flac', 'opus', 'ogg', 'mp3', 'raw'"),
    ],
)
def test_usage_errors(run: Run, options: list[str], complaint: str) -> None:
    ran = run("decode", "clip.ncf", *options)
    assert ran.code == 2
    assert complaint in ran.err
    assert ran.err.endswith("; see neucodec decode --help\n")


def test_a_start_past_the_end_is_refused(run: Run, encoded: Encoded) -> None:
    ran = run("decode", encoded(), "--start=10")
    assert ran.code == 1
    assert "the start, 10 s, is past the end, 0.3 s" in ran.err
