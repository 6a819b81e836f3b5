"""Numbers at the edge, on the command line and in files, are taken or refused in one line."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import Run

import neucodec
from neucodec.audio.input import open_audio
from neucodec.audio.samples import LOUDEST
from neucodec.coding.bitrate import parse_bitrate
from neucodec.errors import NeucodecError
from neucodec.terminal.timecode import parse_time

NINES = "9" * 400
MORE_NINES = "9" * 5000  # more than Python turns into an integer


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.ncf"
    path.write_bytes(neucodec.encode(np.zeros(1600), 16000, model="neu-16khz"))
    return path


@pytest.mark.parametrize("number", [NINES, MORE_NINES, "4294967296", "0", "-1", "1e9", "nan"])
@pytest.mark.parametrize("option", ["--rate", "--threads", "-j"])
def test_counts_have_bounds(run: Run, song: Path, option: str, number: str) -> None:
    ran = run("decode", song, option, number, "-o", song.with_suffix(".wav"))
    assert ran.code == 2
    assert "whole number" in ran.err or "is too much: at most 4294967295" in ran.err
    assert len(ran.err) < 300


@pytest.mark.parametrize("number", ["4294967295", "768001", "999", "1"])
@pytest.mark.parametrize("way", ["decode", "encode"])
def test_sample_rates_that_nothing_can_be_done_with_are_refused(
    run: Run, song: Path, way: str, number: str
) -> None:
    raw = song.with_suffix(".raw")
    raw.write_bytes(bytes(3200))
    given = [song] if way == "decode" else [raw, "--raw"]
    output = song.parent / ("out.wav" if way == "decode" else "out.ncf")
    ran = run(way, "-f", *given, "--rate", number, "-o", output)
    assert ran.code == 1
    assert "1000 to 768000 Hz are possible" in ran.err
    assert not output.exists()


@pytest.mark.parametrize("option", ["--start", "--end"])
@pytest.mark.parametrize(
    "time", [NINES, MORE_NINES, "1:" + NINES, "1000000001", "inf", "nan", "1e5"]
)
def test_times_have_bounds(run: Run, song: Path, option: str, time: str) -> None:
    ran = run("decode", song, option, time, "-o", song.with_suffix(".wav"))
    assert ran.code == 2
    assert "is no time" in ran.err or "is too long: at most 1000000000 s" in ran.err
    assert len(ran.err) < 300


def test_the_longest_time_is_one() -> None:
    assert parse_time("1000000000") == 1e9
    assert parse_time("0." + NINES) == 1


@pytest.mark.parametrize("text", [NINES, MORE_NINES + "k", "0", "0.0k", "inf", "nan", "-5", "1e9"])
def test_bitrates_have_bounds(text: str) -> None:
    with pytest.raises(NeucodecError, match="is no bitrate: write it as") as error:
        parse_bitrate(text)
    assert len(str(error.value)) < 150


def floats(values: list[float], subtype: str) -> io.BytesIO:
    file = io.BytesIO()
    soundfile.write(file, np.array(values), 16000, subtype, format="WAV")
    file.seek(0)
    return file


def test_samples_that_no_level_reaches_are_silence_and_counted() -> None:
    values = [0.5, 3e38, -3e38, LOUDEST, -1.01 * LOUDEST, np.nan]
    with open_audio(floats(values, "FLOAT")) as source:
        [block] = source.blocks()
        assert block[:, 0].tolist() == [0.5, 0, 0, LOUDEST, 0, 0]
        assert (source.nonfinite, source.excessive) == (1, 3)
    with open_audio(floats([1e39, -1e300, 0.25], "DOUBLE")) as source:
        [block] = source.blocks()
        assert block[:, 0].tolist() == [0, 0, 0.25]
        assert source.nonfinite == 2


@pytest.mark.parametrize("value", [3e38, 1e39])
def test_a_file_of_such_samples_is_warned_of_and_refused_by_strict(
    run: Run, tmp_path: Path, value: float
) -> None:
    path = tmp_path / "loud.wav"
    path.write_bytes(floats([0.1, value] * 800, "DOUBLE").getvalue())
    ran = run("encode", "-q", path, "-m", "neu-16khz")
    assert ran.code == 0
    assert "800 samples " in ran.err
    assert "taken as silence" in ran.err
    assert run("encode", "-qf", path, "-m", "neu-16khz", "--strict").code == 1


def test_floats_at_the_scale_of_16_bits_keep_their_level() -> None:
    tone = 32767 * np.sin(0.1 * np.arange(16000))
    audio, _ = neucodec.decode(neucodec.encode(tone, 16000, model="neu-16khz"))
    assert np.sqrt(np.mean(audio**2) / np.mean(tone**2)) == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("value", [3e38, -1e39, 1e300, 70000.0])
def test_an_array_with_such_samples_is_refused(value: float) -> None:
    with pytest.raises(NeucodecError, match="full scale being 1 and 65536 the most"):
        neucodec.encode(np.array([0.0, value]), 16000)
    with pytest.raises(NeucodecError, match="full scale being 1 and 65536 the most"):
        neucodec.load_model("neu-16khz").encode(torch.full((1, 1, 99), value, dtype=torch.float64))
