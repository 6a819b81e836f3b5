"""How times and failures are written and read."""

from __future__ import annotations

import pytest

from neucodec.commands.codec_loader import Downloads
from neucodec.errors import NeucodecError
from neucodec.terminal.console import Console, explain, printable_lines, shown
from neucodec.terminal.timecode import format_spans, format_time, parse_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("61.5", 61.5), (".25", 0.25), ("1:01.5", 61.5), ("90:00", 5400), ("1:02:03", 3723)],
)
def test_times_that_are_read(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "1:60", "1:60:00", "1:2:3:4", "nan", "1e3", "5 s"])
def test_times_that_are_refused(text: str) -> None:
    with pytest.raises(NeucodecError, match="is no time: write it as 61.5, 1:01.5 or 1:00:00"):
        parse_time(text)


def test_times_that_are_written() -> None:
    assert format_time(61.26) == "1:01"
    assert format_time(61.26, 1) == "1:01.3"
    assert format_time(3599.9996, 3) == "1:00:00.000"
    assert format_spans([(1, 2), (61, 63.5)]) == "0:01.0-0:02.0, 1:01.0-1:03.5"
    assert format_spans([(k, k + 0.5) for k in range(5)], max_spans=1) == "0:00.0-0:00.5, 4 more"


def test_failures_are_one_line_without_the_name_that_stands_before_them() -> None:
    assert explain(NeucodecError("a.wav: no\n  audio"), "./a.wav") == "no audio"
    assert explain(FileNotFoundError(2, "Gone", "a.wav"), "a.wav") == "Gone"
    assert explain(FileNotFoundError(2, "Gone", "b.wav"), "a.wav") == "b.wav: Gone"


def test_running_out_of_memory_is_said_plainly() -> None:
    line = "not enough memory; fewer threads (--threads 1) need less"
    assert explain(MemoryError()) == line
    assert explain(RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")) == line


def test_faults_of_the_program_own_up() -> None:
    assert explain(KeyError("x")) == (
        "unexpected KeyError: 'x'; this is a fault of neucodec, NEUCODEC_DEBUG=1 shows where"
    )


def test_names_cannot_play_tricks_on_the_terminal() -> None:
    assert shown("a\x1b[31m\nb.wav") == r"a\x1b[31m\nb.wav"
    assert shown("-") == "standard input"
    assert shown("\ud800\udc80") == r"\ud800\udc80"


def test_whatever_is_said_is_one_line_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    console, hostile = Console(1), "\x1b]0;title\x07\nneucodec: all is well\u202e"
    console.report(hostile)
    console.detail(hostile)
    console.warn(hostile, hostile)
    console.fail(hostile, OSError(hostile))
    console.fail(None, OSError(5, hostile, hostile))
    console.fail(None, KeyError(hostile))
    Downloads(console).say(hostile)
    lines = capsys.readouterr().err.split("\n")
    assert len(lines) == 8
    assert all(line.isprintable() and "\\x1b]0;title" in line for line in lines[:-1])


def test_lines_of_ours_stay_lines() -> None:
    assert printable_lines("| a\t |\n| \x1b |") == "| a\\t |\n| \\x1b |"


def test_a_traceback_keeps_its_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUCODEC_DEBUG", "1")
    Console().fail("a.wav", KeyError("\x1b"))
    assert capsys.readouterr().err.splitlines()[0] == "KeyError: '\\x1b'"
