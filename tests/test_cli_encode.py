"""``neucodec encode``: what it says, what it makes of its options, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import MakeClip, Run


@pytest.fixture
def info(run: Run) -> Any:
    def info(path: Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(run("info", "--json", path).out)
        return found

    return info


def test_it_says_what_it_chose_and_what_came_of_it(run: Run, clip: MakeClip) -> None:
    path = clip(seconds=1.5)
    for options, chosen in (
        (["--rate-mode", "nominal"], "7 codebooks"),
        (["-f"], r"[5-8](\.\d+)? codebooks"),
    ):
        ran = run("encode", path, "-b", "6kbps", *options)
        assert (ran.code, ran.out) == (0, b"")
        assert re.fullmatch(
            rf"\S+clip\.wav: neu2-44khz, {chosen}, \d\.\d\d kbps \(6 asked for\), "
            r"\d+\.\dx smaller, \d+ x real time\n",
            ran.err,
        )


@pytest.mark.parametrize(
    ("options", "codebooks"),
    [([], 9), (["-b", "8kbps"], 9), (["-b", "8000"], 9), (["-b4.3k"], 5), (["-n", "2"], 2)],
)
def test_bitrate_or_codebooks(
    run: Run, clip: MakeClip, info: Any, options: list[str], codebooks: int
) -> None:
    path = clip()
    assert run("encode", path, *options, "--rate-mode", "nominal").code == 0
    assert info(path.with_suffix(".ncf"))["codebooks"] == codebooks


def test_an_impossible_bitrate_lists_the_possible_ones(run: Run, clip: MakeClip) -> None:
    path = clip()
    ran = run("encode", path, "-m", "neu2-44khz", "-b", "300kbps")
    assert ran.code == 1
    assert "cannot do 300 kbps for 1 channel: at most 32 kbps are possible" in ran.err
    ran = run("encode", path, "-m", "neu2-44khz", "-b", "300kbps", "--no-layer")
    assert ran.code == 1
    assert "cannot do 300 kbps" in ran.err
    assert "possible are 0.882, 1.76, 2.65" in ran.err
    assert not path.with_suffix(".ncf").exists()


def test_the_file_keeps_rate_channels_and_length(run: Run, clip: MakeClip, info: Any) -> None:
    path = clip(seconds=0.3, rate=22050, channels=3)
    assert run("encode", path).code == 0
    found = info(path.with_suffix(".ncf"))
    assert (found["sample_rate"], found["channels"], found["frames"]) == (22050, 3, 6615)


@pytest.mark.parametrize(("seconds", "frames"), [(0, 0), (1 / 16000, 1)])
def test_next_to_nothing_comes_back_as_such(
    run: Run, clip: MakeClip, tmp_path: Path, seconds: float, frames: int
) -> None:
    path, back = clip(seconds=seconds), tmp_path / "back.wav"
    assert run("encode", path).code == 0
    assert run("decode", path.with_suffix(".ncf"), "-o", back).code == 0
    assert soundfile.info(back).frames == frames


def test_as_many_words_as_one_wants(run: Run, clip: MakeClip) -> None:
    path = clip(seconds=0.5, channels=2)
    assert run("encode", path, "-q").err == ""
    first, second = run("encode", path, "-fv").err.splitlines()
    assert first == f"{path}: 16000 Hz, 2 channels, 0:00.5, to {path.with_suffix('.ncf')}"
    assert second.startswith(f"{path}: neu2-44khz, ")


def test_mono_mixes_down(run: Run, clip: MakeClip, info: Any) -> None:
    path = clip(channels=2)
    assert run("encode", path, "--mono").code == 0
    assert info(path.with_suffix(".ncf"))["channels"] == 1


@pytest.mark.parametrize(
    ("options", "tags"),
    [
        ([], {"TITLE": "Waves", "ARTIST": "Nina"}),
        (["--no-tags"], {}),
        (["--tag", "artist=Mia", "--tag", "DATE=1999"],
         {"TITLE": "Waves", "ARTIST": "Mia", "DATE": "1999"}),
        (["--tag", "TITLE="], {"ARTIST": "Nina"}),
        (["--no-tags", "--tag", "GENRE=Sea"], {"GENRE": "Sea"}),
    ],
)  # fmt: skip
def test_tags_travel_or_are_set(
    run: Run, clip: MakeClip, info: Any, options: list[str], tags: dict[str, str]
) -> None:
    path = clip("clip.flac", title="Waves", artist="Nina")
    assert run("encode", path, *options).code == 0
    assert info(path.with_suffix(".ncf"))["tags"] == tags


def test_raw_input(run: Run, info: Any, tmp_path: Path) -> None:
    raw, ncf = tmp_path / "take.raw", tmp_path / "take.ncf"
    raw.write_bytes(np.zeros((800, 2), ">i2").tobytes())
    ran = run("encode", raw, "--raw", "--rate=8000", "--channels=2", "--sample-format=s16be")
    assert ran.code == 0
    found = info(ncf)
    assert (found["sample_rate"], found["channels"], found["frames"]) == (8000, 2, 800)


def test_samples_that_are_no_numbers_are_reported(run: Run, tmp_path: Path) -> None:
    audio = np.zeros(800, np.float32)
    audio[3:6] = np.nan
    soundfile.write(tmp_path / "odd.wav", audio, 8000, "FLOAT")
    ran = run("encode", "-q", tmp_path / "odd.wav")
    assert ran.code == 0
    assert ran.err.endswith("odd.wav: warning: 3 samples infinite or NaN, taken as silence\n")


def test_an_ncf_is_not_encoded_again(run: Run, clip: MakeClip) -> None:
    path = clip()
    run("encode", path)
    ran = run("encode", path.with_suffix(".ncf"), "-o", path.parent / "again.ncf")
    assert ran.code == 1
    assert ran.err.endswith("this is an .ncf already; neucodec decode makes audio of it\n")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["-b", "fast"], "'fast' is no bitrate: write it as 8kbps, 8k, 8000 or 1.5kbps"),
        (["-b", "8k", "-n", "3"], "-b and -n both choose the bitrate"),
        (["-n", "99"], "neu2-44khz has no 99 codebooks: give 1 to 16"),
        (["-n", "0"], "'0' is not a whole number of 1 or more"),
        (["-m", "mp3"], "no model is called 'mp3'; there are "),
        (["-m", "neu44khz"], "no model is called 'neu44khz' (did you mean neu-44khz?); there are "),
        (["--tag", "Nina"], "'Nina' is no tag: write it as NAME=VALUE"),
        (["--rate", "8000"], "--rate, --channels and --sample-format are for --raw input"),
        (["--raw"], "--raw input does not tell its sample rate; give --rate HZ"),
        (["--raw", "--rate=8000", "--sample-format=s17"], "unknown sample format 's17'"),
        (["--loud"], "No such option"),
    ],
)
def test_usage_errors(run: Run, clip: MakeClip, options: list[str], complaint: str) -> None:
    ran = run("encode", clip(), *options)
    assert ran.code == 2
    assert ran.err.startswith("neucodec: ")
    assert complaint in ran.err
    assert ran.err.endswith("; see neucodec encode --help\n")
    assert ran.err.count("\n") == 1


def test_a_bitrate_out_of_reach_is_said_before_anything_is_fetched(
    run: Run, clip: MakeClip
) -> None:
    ran = run("encode", "-m", "encodec-24khz", "-b", "300kbps", clip())
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "encodec-24khz cannot do 300 kbps for 1 channel: possible are " in ran.err


def test_an_ncf_under_another_name_is_recognised(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    assert run("encode", clip(), tmp_path / "a.ncf").code == 0
    other = (tmp_path / "a.ncf").rename(tmp_path / "a.bin")
    ran = run("encode", other)
    assert (ran.code, ran.err) == (
        1, f"neucodec: {other}: this is an .ncf already; neucodec decode makes audio of it\n"
    )  # fmt: skip
