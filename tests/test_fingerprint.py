"""From recording to .ncf without doubt: fingerprints, reading back, and removing the source."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_bytes import tones
from conftest import MakeClip, Run
from media_files import make_media, needs_ffmpeg, run_ffmpeg

from neucodec.commands import encode_file
from neucodec.formats import NcfReader


def fingerprint(path: Path) -> bytes:
    with path.open("rb") as file:
        return NcfReader(file).source_fingerprint


def test_the_fingerprint_is_as_specified(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    path = clip(seconds=0.5, channels=2)
    assert run("encode", path, "--mono").code == 0
    audio, rate = soundfile.read(path, dtype="float32")
    said = hashlib.sha256(struct.pack("<II", rate, 2) + audio.astype("<f4").tobytes())
    assert fingerprint(tmp_path / "clip.ncf") == said.digest()[:16]


def test_a_file_is_verified_against_its_original(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    path = clip("a.wav", seconds=0.5)
    ncf, flac, other = (tmp_path / name for name in ("a.ncf", "a.flac", "other.wav"))
    assert run("encode", path).code == 0
    audio, rate = soundfile.read(path, dtype="int16")
    soundfile.write(flac, audio, rate)
    ran = run("verify", ncf, "--against", flac)
    assert (ran.code, ran.out.decode()) == (
        0, f"{ncf}: whole, 1 chunk, 0:00.5, made from {flac}\n"
    )  # fmt: skip
    for changed, changed_rate, reason in (
        (audio ^ 1, rate, "whose samples are others"),
        (audio[:-1], rate, f"which has {len(audio) - 1} samples, not {len(audio)}"),
        (audio, rate + 1, f"which has {rate + 1} Hz, not {rate}"),
    ):
        soundfile.write(other, changed, changed_rate)
        ran = run("verify", ncf, "--against", other)
        assert ran.code == 1
        assert f"not made from {other}, {reason}" in ran.err


def test_a_directory_is_verified_against_another(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    clip("in/a.wav"), clip("in/sub/b.flac")
    assert run("encode", tmp_path / "in", "-o", tmp_path / "out").code == 0
    assert run("verify", tmp_path / "out", "--against", tmp_path / "in").code == 0
    (tmp_path / "in/a.wav").unlink()
    ran = run("verify", tmp_path / "out", "--against", tmp_path / "in")
    assert (ran.code, "no recording called a in " in ran.err) == (1, True)
    ran = run("verify", tmp_path / "out", "--against", tmp_path / "in/sub/b.flac")
    assert (ran.code, "need a directory of originals" in ran.err) == (2, True)


@pytest.mark.parametrize("options", [[], ["-b", "6kbps"], ["--entropy", "none"], ["-n", "3"]])
def test_what_was_written_is_read_back(
    run: Run, clip: MakeClip, tmp_path: Path, options: list[str]
) -> None:
    path = clip(seconds=2.5, channels=2)
    assert run("encode", path, "--verify", *options).code == 0
    plain = (tmp_path / "clip.ncf").read_bytes()
    assert run("encode", "-f", path, *options).code == 0
    assert (tmp_path / "clip.ncf").read_bytes() == plain


def test_a_source_goes_once_it_is_verified(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    path = clip(seconds=0.3)
    assert run("encode", "--delete-input", path).code == 0
    assert not path.exists()
    assert run("verify", tmp_path / "clip.ncf").code == 0


def test_a_source_stays_where_verifying_fails(
    run: Run, clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Disks that lose a bit are rare, so one is put in the way of what is read back."""
    path, read_back = clip(seconds=1.5), encode_file.Encoding._read_back

    def lose_a_bit(self: encode_file.Encoding, target: object, *rest: object) -> None:
        target.seek(-100, os.SEEK_END)  # type: ignore[attr-defined]
        byte = target.read(1)  # type: ignore[attr-defined]
        target.seek(-1, os.SEEK_CUR)  # type: ignore[attr-defined]
        target.write(bytes([byte[0] ^ 1]))  # type: ignore[attr-defined]
        read_back(self, target, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(encode_file.Encoding, "_read_back", lose_a_bit)
    ran = run("encode", "--delete-input", path)
    assert ran.code == 1
    assert "what was written does not give back the codes, so it is not kept" in ran.err
    assert [each.name for each in tmp_path.iterdir()] == ["clip.wav"]


def test_a_source_with_doubts_stays(run: Run, clip: MakeClip) -> None:
    path = clip(seconds=0.3)
    path.write_bytes(path.read_bytes()[:-1000])
    ran = run("encode", "--delete-input", path)
    assert ran.code == 0
    assert "kept in spite of --delete-input: cut off: " in ran.err
    assert path.exists()


@needs_ffmpeg
def test_a_film_stays(run: Run, tmp_path: Path) -> None:
    sound = make_media(tmp_path / "a.m4a", tones(1), 48000, "aac")
    film = tmp_path / "film.mp4"
    pictures = ["-f", "lavfi", "-i", "testsrc=d=0.2:s=64x64:r=5", "-c:v", "mpeg4"]
    run_ffmpeg("-i", str(sound), *pictures, "-c:a", "copy", str(film))
    assert "more than audio in it" in run("encode", "--delete-input", film).err
    assert film.exists()
    assert run("encode", "--delete-input", sound).code == 0


def test_pipes_cannot_be_deleted_or_read_back(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    ran = run("encode", "--delete-input", "-", "-o", tmp_path / "a.ncf")
    assert ran.code == 1
    assert "--delete-input removes files; this is none" in ran.err
    ran = run("encode", "--verify", clip(), "-o", "-")
    assert ran.code == 1
    assert "--verify reads back what was written; give -o FILE" in ran.err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-b", "4kbps"], "was made for "),
        (["-n", "3"], "was made for "),
        (["-m", "neu-16khz"], "was made with neu2-44khz, not neu-16khz"),
        (["--entropy", "none"], "was made with --entropy lm, not none"),
        (["--no-layer"], "was made "),
        (["--tag", "ARTIST=Nina"], "has other tags"),
    ],
)
def test_what_was_made_with_other_options_is_made_again(
    run: Run, clip: MakeClip, options: list[str], reason: str
) -> None:
    path = clip(seconds=0.3)
    assert run("encode", path).code == 0
    assert run("encode", path, "--skip-existing").err == ""
    ran = run("encode", path, "--skip-existing", *options)
    assert f"clip.ncf {reason}" in ran.err and ", made again" in ran.err
    assert run("encode", path, "--skip-existing", *options).err == ""


def test_what_is_older_than_its_source_is_made_again(
    run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    path, ncf = clip(seconds=0.3), tmp_path / "clip.ncf"
    assert run("encode", path).code == 0
    os.utime(ncf, (1, 1))
    assert "is older than its source, made again" in run("encode", path, "--skip-existing").err
    assert ncf.stat().st_mtime > np.float64(1)
