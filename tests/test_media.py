"""Audio that libsndfile does not read: through PyAV, or an ffmpeg on the PATH."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from audio_bytes import Pipe, heard, tones
from conftest import MakeClip, Run
from media_files import HAS_PYAV, make_media, needs_ffmpeg, needs_media, run_ffmpeg

from neucodec.audio import media
from neucodec.audio.input import AudioSource, open_audio
from neucodec.audio.media_tags import parse_ffmetadata, vorbis_tags
from neucodec.audio.samples import Audio
from neucodec.errors import NeucodecError

ROUTES = [
    pytest.param("pyav", marks=pytest.mark.skipif(not HAS_PYAV, reason="needs PyAV")),
    pytest.param("ffmpeg", marks=needs_ffmpeg),
]
KINDS = [
    ("m4a", "aac", True), ("mp4", "aac", True), ("mov", "pcm_s16le", True), ("m4a", "alac", True),
    ("mka", "flac", True), ("tta", "tta", True), ("wv", "wavpack", True), ("webm", "libopus", True),
    ("wma", "wmav2", False), ("avi", "mp2", False), ("ac3", "ac3", False), ("aac", "aac", False),
]  # fmt: skip
"""Suffixes and codecs, and whether the container states the exact length."""


@pytest.fixture(params=ROUTES)
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Either way of reading, whatever else is installed."""
    if request.param == "ffmpeg":
        monkeypatch.setattr(media, "find_spec", lambda name: None)
    return str(request.param)


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As if there were neither PyAV nor ffmpeg."""
    monkeypatch.setattr(media, "find_spec", lambda name: None)
    monkeypatch.setattr(media.shutil, "which", lambda name: None)


def all_of(source: AudioSource) -> Audio:
    with source:
        return np.concatenate([*source.blocks(4000), np.zeros((0, source.channels), np.float32)])


@needs_media
@pytest.mark.parametrize(("suffix", "codec", "exact"), KINDS)
def test_what_ffmpeg_reads_is_read(
    route: str, tmp_path: Path, suffix: str, codec: str, exact: bool
) -> None:
    audio = tones(2, seconds=0.777)
    source = open_audio(make_media(tmp_path / f"a.{suffix}", audio, 48000, codec))
    assert (source.sample_rate, source.channels) == (48000, 2)
    back = all_of(source)
    assert heard(back[:12000]) == [0, 1]
    if exact:
        assert len(back) == len(audio)
        error = np.mean((back - audio) ** 2) / np.mean(audio**2)
        assert error < 0.1, "the encoder's delay is taken off"
    assert abs(len(back) - len(audio)) < 3000
    assert source.doubts == []


@needs_media
def test_both_ways_give_the_same_samples_of_lossless_audio(route: str, tmp_path: Path) -> None:
    audio = np.round(tones(2) * 32768).astype(np.float32) / 32768
    path = make_media(tmp_path / "a.m4a", audio, 48000, "alac")
    assert np.array_equal(all_of(open_audio(path)), audio)


@needs_media
def test_the_length_of_an_mp4_is_known_before_it_is_read(route: str, tmp_path: Path) -> None:
    path = make_media(tmp_path / "a.m4a", tones(1), 48000, "aac")
    with open_audio(path) as source:
        assert source.samples == len(tones(1))


@needs_ffmpeg
def test_channels_come_in_the_order_of_wav(route: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    make_media(path, tones(6, lfe=3), 48000, "ac3")
    source = open_audio(path)
    assert source.channel_mask == 0x60F  # AC-3 has its surrounds at the sides
    assert heard(all_of(source)) == [0, 1, 2, -1, 4, 5]


@needs_media
def test_a_pipe_gives_the_same(route: str, tmp_path: Path) -> None:
    path = make_media(tmp_path / "a.m4a", tones(2), 48000, "aac", title="Waves")
    piped = open_audio(Pipe(path.read_bytes()))  # type: ignore[arg-type]
    assert piped.tags["TITLE"] == "Waves"
    assert np.array_equal(all_of(piped), all_of(open_audio(path)))


@needs_media
def test_tags_become_vorbis_comments(route: str, tmp_path: Path) -> None:
    path = make_media(
        tmp_path / "a.m4a", tones(1), 48000, "aac",
        title="Waves; a = b", artist="Nina", album_artist="All", track="3/12",
    )  # fmt: skip
    with open_audio(path) as source:
        assert source.tags == {
            "TITLE": "Waves; a = b", "ARTIST": "Nina", "ALBUMARTIST": "All", "TRACKNUMBER": "3",
            "TRACKTOTAL": "12",
        }  # fmt: skip


def test_what_belongs_to_the_old_file_is_no_tag() -> None:
    found = vorbis_tags({"encoder": "x", "major_brand": "M4A", "title": "T"}, {"title": "U"})
    assert found == {"TITLE": "T"}


def test_ffmetadata_is_read_as_it_is_written() -> None:
    text = ";FFMETADATA1\ntitle=a\\=b\\\nc\n[STREAM]\nartist=N\n[CHAPTER]\ntitle=no\n"
    assert parse_ffmetadata(text) == {"title": "a=b\nc", "artist": "N"}


@needs_ffmpeg
def test_another_track_is_left_out_and_said(route: str, tmp_path: Path) -> None:
    path = make_media(tmp_path / "a.mka", tones(1), 48000, "flac")
    run_ffmpeg("-i", str(path), "-i", str(path), "-map", "0", "-map", "1", str(tmp_path / "b.mka"))
    with open_audio(tmp_path / "b.mka") as source:
        all_of(source)
        if route == "pyav":
            assert source.doubts == ["1 other audio track is left out; ffmpeg -map chooses them"]


@needs_ffmpeg
def test_a_film_without_sound_is_refused(route: str, tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=d=0.2:s=64x64:r=5", "-c:v", "mpeg4", str(path))
    with pytest.raises(NeucodecError, match=r"silent\.mp4: no audio in it"):
        open_audio(path)


@needs_media
def test_a_file_that_is_cut_off_is_told_of(route: str, tmp_path: Path) -> None:
    path = make_media(tmp_path / "a.m4a", tones(1, seconds=2), 48000, "aac")
    data = path.read_bytes()
    cut = tmp_path / "cut.m4a"
    cut.write_bytes(data[: len(data) // 2])
    with pytest.raises(NeucodecError, match="MP4 or QuickTime, but damaged or cut off"):
        open_audio(cut)


@needs_media
@pytest.mark.parametrize(
    "playlist",
    ["#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n", "ffconcat version 1.0\nfile {}\n"],
)
def test_a_playlist_opens_no_other_file(route: str, tmp_path: Path, playlist: str) -> None:
    other = make_media(tmp_path / "a.m4a", tones(1), 48000, "aac")
    path = tmp_path / "list.m4a"
    path.write_text(playlist.format(other))
    with pytest.raises(NeucodecError, match="no audio that libsndfile or FFmpeg reads"):
        open_audio(path)


@needs_media
def test_noise_is_refused_in_one_line(route: str) -> None:
    noise = np.random.default_rng(1).bytes(5000)
    with pytest.raises(NeucodecError, match=r"\A.*no audio that libsndfile or FFmpeg reads.*\Z"):
        open_audio(io.BytesIO(noise))


@pytest.mark.usefixtures("nothing_installed")
def test_without_either_both_ways_out_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    path.write_bytes(b"\x1aE\xdf\xa3" + bytes(200))
    with pytest.raises(NeucodecError) as caught:
        open_audio(path)
    assert str(caught.value) == (
        f"{path}: Matroska or WebM, which libsndfile does not read; install PyAV (pip install av) "
        "or put ffmpeg on the PATH, and try again"
    )


@needs_media
def test_directories_are_searched_for_media_files(
    route: str, run: Run, tmp_path: Path, clip: MakeClip
) -> None:
    clip("in/a.wav")
    make_media(tmp_path / "in/sub/b.m4a", tones(1), 48000, "aac", title="Waves")
    ran = run("encode", tmp_path / "in", "-o", tmp_path / "out")
    assert ran.code == 0, ran.err
    found = json.loads(run("info", "--json", tmp_path / "out/sub/b.ncf").out)
    assert (found["frames"], found["tags"]) == (12000, {"TITLE": "Waves"})


@pytest.mark.usefixtures("nothing_installed")
def test_media_files_that_are_passed_over_are_counted(
    run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    clip("in/a.wav")
    for name in ("b.webm", "c.mkv", "d.mov", "e.amr", "f.3gp", "g.spx", "h.tak", "i.ape"):
        (tmp_path / "in" / name).touch()
    ran = run("encode", tmp_path / "in")
    assert (ran.code, ran.err.splitlines()[-1]) == (0, "9 files: 1 done, 8 passed over")
    assert "1 .webm file passed over: that takes PyAV (pip install av) or ffmpeg" in ran.err
    assert run("encode", "-f", "--strict-inputs", tmp_path / "in").code == 1
