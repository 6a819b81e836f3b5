"""All tags of recordings, through mutagen: several values, covers, chapters, ReplayGain."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from audio_bytes import tones
from conftest import MakeClip, Run
from media_files import make_media, needs_media

from neucodec.audio import tag_writer
from neucodec.audio.input import open_audio
from neucodec.formats import values_of

mutagen = pytest.importorskip("mutagen", reason="needs mutagen (pip install mutagen)")

from mutagen import flac, id3, mp3, mp4, oggopus, oggvorbis, wave  # noqa: E402

COVER = b"\x89PNG" + bytes(range(256)) * 8
GIVEN = {
    "TITLE": ["Waves"], "ARTIST": ["Nina", "Mia"], "ALBUMARTIST": ["All"], "TRACKNUMBER": ["3"],
    "TRACKTOTAL": ["12"], "REPLAYGAIN_TRACK_GAIN": ["-3.20 dB"], "CHAPTER000": ["00:00:00.000"],
    "CHAPTER000NAME": ["Start"], "COMPOSER": ["Clara"],
}  # fmt: skip


def picture(data: bytes = COVER) -> Any:
    made = flac.Picture()
    made.data, made.mime, made.type = data, "image/png", 3
    return made


def tagged_flac(path: Path, cover: bytes = COVER) -> Path:
    soundfile.write(path, tones(1), 48000, format="FLAC")
    file = flac.FLAC(path)
    for name, values in GIVEN.items():
        file[name] = values
    file.add_picture(picture(cover))
    file.save()
    return path


def tagged_id3(path: Path, open_file: Callable[[Path], Any], form: str) -> Path:
    soundfile.write(path, tones(1), 48000, format=form)
    file = open_file(path)
    file.add_tags() if file.tags is None else None
    for frame in (
        id3.TIT2(3, ["Waves"]), id3.TPE1(3, ["Nina", "Mia"]), id3.TPE2(3, ["All"]),
        id3.TRCK(3, ["3/12"]), id3.TCOM(3, ["Clara"]), id3.APIC(3, "image/png", 3, "", COVER),
        id3.TXXX(3, "replaygain_track_gain", ["-3.20 dB"]),
        id3.CHAP("c0", 0, 100, sub_frames=[id3.TIT2(3, ["Start"])]),
    ):  # fmt: skip
        file.tags.add(frame)
    file.save()
    return path


def found_in(path: Path) -> dict[str, list[str]]:
    with open_audio(path) as source:
        return {name: list(values_of(text)) for name, text in source.tags.items()}


@pytest.mark.parametrize("kind", ["flac", "mp3", "wav"])
def test_all_tags_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "flac":
        tagged_flac(path)
    else:
        tagged_id3(path, mp3.MP3 if kind == "mp3" else wave.WAVE, kind.upper())
    found = found_in(path)
    (cover,) = found.pop("METADATA_BLOCK_PICTURE")
    assert flac.Picture(__import__("base64").b64decode(cover)).data == COVER
    assert {name: found[name] for name in GIVEN} == GIVEN


@needs_media
def test_all_tags_of_an_m4a_are_read(tmp_path: Path) -> None:
    path = make_media(tmp_path / "a.m4a", tones(1), 48000, "aac")
    file = mp4.MP4(path)
    file["\xa9ART"], file["trkn"] = ["Nina", "Mia"], [(3, 12)]
    file["covr"] = [mp4.MP4Cover(COVER, mp4.MP4Cover.FORMAT_PNG)]
    file["----:com.apple.iTunes:replaygain_track_gain"] = [b"-3.20 dB"]
    file.save()
    found = found_in(path)
    assert found["ARTIST"] == ["Nina", "Mia"]
    assert (found["TRACKNUMBER"], found["TRACKTOTAL"]) == (["3"], ["12"])
    assert found["REPLAYGAIN_TRACK_GAIN"] == ["-3.20 dB"]
    assert len(found["METADATA_BLOCK_PICTURE"]) == 1


@pytest.mark.parametrize("suffix", ["flac", "opus", "ogg", "mp3", "wav"])
def test_all_tags_come_back(run: Run, tmp_path: Path, suffix: str) -> None:
    path, ncf = tagged_flac(tmp_path / "a.flac"), tmp_path / "a.ncf"
    back = tmp_path / f"back.{suffix}"
    assert run("encode", path, ncf).code == 0
    assert run("decode", ncf, back).code == 0
    found = found_in(back)
    assert {name: found[name] for name in GIVEN} == GIVEN
    assert found["METADATA_BLOCK_PICTURE"] == found_in(path)["METADATA_BLOCK_PICTURE"]
    rate = {"opus": 48000}.get(suffix, 48000)
    assert soundfile.info(back).frames == -(-len(tones(1)) * rate // 48000)


def test_other_programs_find_them_where_they_look(run: Run, tmp_path: Path) -> None:
    path, ncf = tagged_flac(tmp_path / "a.flac"), tmp_path / "a.ncf"
    assert run("encode", path, ncf).code == 0
    for suffix in ("flac", "opus", "ogg", "mp3"):
        assert run("decode", ncf, tmp_path / f"b.{suffix}").code == 0
    assert flac.FLAC(tmp_path / "b.flac").pictures[0].data == COVER
    assert oggopus.OggOpus(tmp_path / "b.opus")["artist"] == ["Nina", "Mia"]
    assert oggvorbis.OggVorbis(tmp_path / "b.ogg")["composer"] == ["Clara"]
    found = mp3.MP3(tmp_path / "b.mp3").tags
    assert found["TPE1"].text == ["Nina", "Mia"]
    assert found["TRCK"].text == ["3/12"]
    assert found.getall("APIC")[0].data == COVER


def test_covers_are_bounded_and_can_be_left_out(run: Run, tmp_path: Path) -> None:
    path, ncf = tagged_flac(tmp_path / "a.flac"), tmp_path / "a.ncf"
    assert run("encode", "--no-cover", path, ncf).code == 0
    tags = json.loads(run("info", "--json", ncf).out)["tags"]
    assert "METADATA_BLOCK_PICTURE" not in tags
    assert tags["ARTIST"] == "Nina; Mia"
    tagged_flac(path, bytes(300_000))
    ran = run("encode", "-f", path, ncf)
    assert ran.code == 0
    assert "a picture of 293 KiB is left out: at most 256" in ran.err


def test_a_cover_takes_nothing_from_the_sound(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    path = clip("a.flac", seconds=3)
    sizes = []
    for cover in (b"", COVER * 20):
        file = flac.FLAC(path)
        if cover:
            file.add_picture(picture(cover))
        file.save()
        assert run("encode", "-f", "-n", "5", path).code == 0
        sizes.append((tmp_path / "a.ncf").stat().st_size)
    assert 0 <= sizes[1] - sizes[0] - 4 * len(COVER) * 20 // 3 < 200


def test_damaged_tags_are_no_failure(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = tagged_id3(tmp_path / "a.mp3", mp3.MP3, "MP3").read_bytes()
    for _ in range(50):
        data = bytearray(whole)
        for place in rng.integers(0, 400, 5):
            data[place] = rng.integers(256)
        (tmp_path / "b.mp3").write_bytes(data)
        try:
            found_in(tmp_path / "b.mp3")
        except Exception as error:
            assert type(error).__name__ == "NeucodecError"


def test_without_mutagen_what_is_left_behind_is_said(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, ncf = tagged_flac(tmp_path / "a.flac"), tmp_path / "a.ncf"
    assert run("encode", "--no-cover", path, ncf).code == 0
    monkeypatch.setattr(tag_writer, "find_spec", lambda name: None)
    ran = run("decode", ncf, tmp_path / "b.flac")
    assert ran.code == 0
    assert "tags left behind: ALBUMARTIST, CHAPTER000, CHAPTER000NAME, COMPOSER, " in ran.err
