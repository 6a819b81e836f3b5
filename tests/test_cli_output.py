"""Where outputs go, and in what form: a second name, suffixes, and lossy formats."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_bytes import heard, tones
from conftest import MakeClip, Run

from neucodec.audio.output import open_sink
from neucodec.audio.output_format import OutputFormat
from neucodec.errors import NeucodecError


def test_a_second_name_is_the_output(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    path = clip("in.flac")
    assert run("encode", path, tmp_path / "out.ncf").code == 0
    assert run("decode", tmp_path / "out.ncf", tmp_path / "out.wav").code == 0
    assert soundfile.info(tmp_path / "out.wav").frames == soundfile.info(path).frames
    assert not path.with_suffix(".ncf").exists()


def test_an_output_that_is_there_is_one_nevertheless(
    run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    path = clip("in.flac")
    out = tmp_path / "out.ncf"
    out.write_bytes(b"mine")
    assert run("encode", path, out).code == 1
    assert out.read_bytes() == b"mine"
    assert run("encode", "-f", path, out).code == 0


def test_two_files_that_are_there_are_two_inputs(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    assert run("encode", clip("a.wav"), clip("b.wav")).code == 0
    assert (tmp_path / "a.ncf").exists() and (tmp_path / "b.ncf").exists()


def test_a_second_name_without_a_suffix_is_the_output_too(
    run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    assert run("encode", clip("a.wav"), tmp_path / "small").code == 0
    assert (tmp_path / "small").read_bytes()[1:4] == b"NCF"
    tree = tmp_path / "tree"
    assert run("encode", clip("in/b.wav").parent, f"{tree}{os.sep}").code == 0
    assert (tree / "b.ncf").exists()


def test_a_mistyped_second_input_is_no_output(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    ran = run("encode", clip("a.wav"), tmp_path / "b.wav")
    assert ran.code == 2
    assert f"{tmp_path / 'b.wav'} is not there, and as an output its name must end in" in ran.err
    assert [each.name for each in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.parametrize("name", ["song.opus", "song.WAV", "song.m4a", "song.ecdc"])
def test_what_encode_writes_is_not_called_something_else(
    run: Run, clip: MakeClip, tmp_path: Path, name: str
) -> None:
    ran = run("encode", clip("a.wav"), "-o", tmp_path / name)
    assert ran.code == 2
    assert "is no name for what encode writes; name it song.ncf" in ran.err
    assert not (tmp_path / name).exists()


def test_the_lines_of_the_readme_can_be_pasted(
    run: Run, clip: MakeClip, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    song = clip("song.wav")
    before = song.read_bytes()
    monkeypatch.chdir(tmp_path)
    for command in (["encode", "song.wav", "-b", "8kbps"], ["decode", "song.ncf"]):
        assert run(*command).code == 0
    assert "to song-decoded-2.wav, " in run("decode", "song.ncf").err
    assert song.read_bytes() == before
    assert soundfile.info("song-decoded.wav").frames == soundfile.info("song.wav").frames


@pytest.mark.parametrize(
    ("suffix", "form", "rate"),
    [("opus", "OPUS", 24000), ("ogg", "VORBIS", 22050), ("mp3", "MPEG_LAYER_III", 22050)],
)
def test_decoding_to_lossy_formats(
    run: Run, clip: MakeClip, tmp_path: Path, suffix: str, form: str, rate: int
) -> None:
    path = clip("a.flac", seconds=0.7, rate=22050, channels=2, title="Waves")
    ncf, out = tmp_path / "a.ncf", tmp_path / f"out.{suffix}"
    assert run("encode", path, ncf).code == 0
    assert run("decode", ncf, out).code == 0
    found = soundfile.info(out)
    assert (found.subtype, found.samplerate, found.channels) == (form, rate, 2)
    assert found.frames == -(-soundfile.info(path).frames * rate // 22050)
    with soundfile.SoundFile(out) as file:
        assert file.title == "Waves"
    assert run("decode", ncf, "--format", suffix).code == 0
    assert (tmp_path / f"a.{suffix}").exists()
    piped = run("decode", ncf, "--format", suffix, "-o", "-").out
    assert abs(len(piped) - out.stat().st_size) < 100
    assert "skipped" in run("decode", "--skip-existing", "-v", ncf, out).err


@pytest.mark.parametrize("container", ["opus", "ogg"])
def test_lossy_files_have_their_channels_in_order(container: str, tmp_path: Path) -> None:
    audio = np.tile(tones(6, lfe=3), (4, 1))
    path = tmp_path / f"a.{container}"
    subtype = {"opus": "OPUS", "ogg": "VORBIS"}[container]
    with open_sink(path, OutputFormat(48000, 6, container, subtype)) as sink:
        sink.write(audio)
    from neucodec.audio.input import open_audio

    with open_audio(path) as source:
        assert heard(np.concatenate(list(source.blocks()))) == [0, 1, 2, -1, 4, 5]


@pytest.mark.parametrize(
    ("container", "subtype", "rate", "channels", "reason"),
    [
        ("mp3", "MPEG_LAYER_III", 44100, 3, "MP3 cannot hold 3 channels: 1 to 2"),
        ("mp3", "MPEG_LAYER_III", 96000, 1, "MP3 cannot hold 96000 Hz: 8000, 11025"),
        ("opus", "OPUS", 44100, 1, "Opus cannot hold 44100 Hz: 8000, 12000"),
        ("ogg", "VORBIS", 300000, 1, "Ogg Vorbis cannot hold 300000 Hz: 8000 to 192000"),
    ],
)
def test_what_a_lossy_format_cannot_hold_is_refused(
    tmp_path: Path, container: str, subtype: str, rate: int, channels: int, reason: str
) -> None:
    form = OutputFormat(rate, channels, container, subtype)
    with pytest.raises(NeucodecError, match=reason):
        open_sink(tmp_path / "a", form)


def test_a_format_that_is_not_written_names_those_that_are(
    run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    ncf = tmp_path / "a.ncf"
    assert run("encode", clip("a.wav"), ncf).code == 0
    ran = run("decode", ncf, "-o", tmp_path / "a.m4a")
    assert ran.code == 2
    assert "decode writes .wav, .wave, .flac, .opus, .ogg, .oga, .mp3, .raw, .pcm" in ran.err
    assert json.loads(run("info", "--json", ncf).out)["complete"]
