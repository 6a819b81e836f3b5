"""Which model is taken where nobody names one."""

from __future__ import annotations

import os

import pytest
from conftest import MakeClip, Run

from neucodec.coding.default_model import choose_model
from neucodec.commands.batch_run import MANY, MOST_PROCESSES, processes_for
from neucodec.errors import NeucodecError


@pytest.mark.parametrize(
    ("bitrate", "channels", "name"),
    [
        (None, 6, "neu2-44khz"),
        (300, 1, "neu-16khz"),
        (880, 1, "neu-16khz"),
        (900, 1, "neu2-44khz"),
        (32000, 1, "neu2-44khz"),
        (64000, 2, "neu2-44khz"),  # 32 kbps each
    ],
)
def test_the_default_where_it_reaches_and_others_below_and_above(
    bitrate: float | None, channels: int, name: str
) -> None:
    assert choose_model(bitrate, channels).name == name


@pytest.mark.parametrize("bitrate", [200, 64000])
def test_a_bitrate_beyond_all_models_is_refused_with_what_there_is(bitrate: int) -> None:
    ranges = r"neu-16khz 0\.51 to 8\.16, neu2-44khz 0\.882 to 32, encodec-48khz "
    with pytest.raises(NeucodecError, match=rf"kbps for 1 channel: {ranges}"):
        choose_model(bitrate, 1)


def test_speech_at_half_a_kilobit_needs_nothing_that_is_not_here(run: Run, clip: MakeClip) -> None:
    path = clip(seconds=3)
    ran = run("encode", "--offline", "-b", "0.5kbps", path)
    assert ran.code == 0
    first, second = ran.err.splitlines()
    assert first == f"{path}: neu-16khz, since neu2-44khz has 0.882 to 32 kbps"
    assert second.startswith(f"{path}: neu-16khz, 1 codebook, ")
    ran = run("decode", path.with_suffix(".ncf"), "-o", "-")
    assert ran.code == 0 and len(ran.out) > 3 * 2 * 16000


def test_encoding_refuses_a_bitrate_that_no_model_has(run: Run, clip: MakeClip) -> None:
    path = clip()
    stereo = clip("stereo.wav", channels=2)
    ran = run("encode", "--offline", "-b", "48kbps", path, stereo)
    assert ran.code == 1
    first, second, *_ = ran.err.splitlines()
    assert f"{path}: no model does 48 kbps for 1 channel" in first
    assert second.startswith(f"{stereo}: neu2-44khz, ")  # the other file is none the worse
    assert stereo.with_suffix(".ncf").exists()
    assert not path.with_suffix(".ncf").exists()


def test_many_files_are_done_several_at_once() -> None:
    assert processes_for(MANY - 1) == 1
    assert 1 <= processes_for(MANY) <= min(MOST_PROCESSES, os.cpu_count() or 1)
