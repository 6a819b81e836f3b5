"""The command as a process: pipes, terminals, signals, start-up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Timer

import numpy as np
import pytest
import soundfile
from conftest import PATIENCE, MakeClip, Run
from processes import Forked
from processes import run as run_forked

from neucodec.jobs.job import Job
from neucodec.jobs.result import Result
from neucodec.jobs.runner import attempt
from neucodec.models.catalogue.card import cards
from neucodec.terminal.console import Console
from neucodec.terminal.signals import Ended, signals_end_the_run

NEUCODEC = [sys.executable, "-m", "neucodec"]
posix = pytest.mark.skipif(os.name != "posix", reason="signals and terminals of Unix")


def endless_wav(rate: int = 16000) -> bytes:
    """Head of a WAV of unknown length, as ffmpeg and sox write them to pipes."""
    form = b"fmt " + np.array([16], "<u4").tobytes() + np.array([1, 1], "<u2").tobytes()
    form += np.array([rate, 2 * rate], "<u4").tobytes() + np.array([2, 16], "<u2").tobytes()
    return b"RIFF\xff\xff\xff\xffWAVE" + form + b"data\xff\xff\xff\xff"


def noise(seconds: float, rate: int = 16000) -> bytes:
    samples = np.random.default_rng(0).normal(0, 3000, round(seconds * rate))
    return samples.astype("<i2").tobytes()


def test_a_live_pipe_through_both_ways() -> None:
    """The first second comes out while the source is still running, and in the end all of it."""
    encode = Forked(["encode", "-q", "-n3", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    decode = Forked(["decode", "-q", "-"], stdin=encode.stdout, stdout=subprocess.PIPE)
    assert encode.stdin and encode.stdout and decode.stdout
    encode.stdout.close()
    watchdog = Timer(PATIENCE, encode.kill)
    watchdog.start()
    encode.stdin.write(endless_wav() + noise(3.5))
    encode.stdin.flush()
    first = decode.stdout.read(2 * 16000)
    assert encode.poll() is None
    encode.stdin.write(noise(0.25))
    encode.stdin.close()
    rest = decode.stdout.read()
    decode.stdout.close()
    assert (encode.wait(PATIENCE), decode.wait(PATIENCE)) == (0, 0)
    watchdog.cancel()
    assert first.startswith(b"RIFF")
    samples = (first + rest).partition(b"data")[2][4:]
    assert len(samples) == 2 * 60000


@pytest.mark.slow
@pytest.mark.parametrize("model", [card.name for card in cards().values() if card.embedded])
def test_every_model_of_the_package_codes_in_a_process_of_its_own(
    clip: MakeClip, tmp_path: Path, model: str
) -> None:
    """Such a process leaves parts of PyTorch out, which no network may need."""
    song, small, back = clip(seconds=1.3), tmp_path / "song.ncf", tmp_path / "back.wav"
    for args in (
        ("encode", "-q", "-m", model, song, "-o", small),
        ("decode", "-q", small, "-o", back),
    ):
        ran = subprocess.run([*NEUCODEC, *args], capture_output=True, timeout=PATIENCE)
        assert (ran.returncode, ran.stderr) == (0, b"")
    assert soundfile.info(back).duration == pytest.approx(1.3, abs=1e-3)


def test_pipes_say_nothing_but_data(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    path = clip(seconds=1.2)
    encoded = run("encode", "-", "--entropy", "none", stdin=path.read_bytes())
    assert encoded.code == 0
    assert encoded.err.startswith("standard input: neu2-44khz, 6 codebooks, ")
    assert run("encode", path, "-o", "-", "--entropy", "none").out == encoded.out

    decoded = run("decode", "-", "-o", tmp_path / "clip.flac", stdin=encoded.out)
    assert decoded.out == b""
    assert soundfile.info(tmp_path / "clip.flac").frames == 19200
    raw = run("decode", "-", "--format=raw", stdin=encoded.out)
    assert len(raw.out) == 2 * 19200
    assert "standard input: 0:01.200 to standard output, " in raw.err


def test_standard_input_does_not_go_to_a_directory(run: Run, tmp_path: Path) -> None:
    ran = run("encode", "-", "-o", tmp_path)
    assert ran.code == 2
    assert "standard input needs the name of an output file, or -o -" in ran.err


@posix
@pytest.mark.parametrize("command", ["encode", "decode"])
def test_no_binary_on_terminals(clip: MakeClip, command: str) -> None:
    import pty

    ours, terminal = pty.openpty()
    for args, complaint in (
        ([str(clip()), "-o", "-"], "will not write binary data to a terminal"),
        (["-"], "standard input is a terminal"),
    ):
        ran = run_forked([command, *args], stdin=terminal, stdout=terminal)
        assert ran.returncode == 2
        assert complaint in ran.stderr.decode()
    os.close(ours)
    os.close(terminal)


def on_a_terminal(*command: object) -> str:
    """What a command shows on a terminal of 110 columns as its standard error; it succeeds."""
    import fcntl
    import pty
    import struct
    import termios

    ours, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 110, 0, 0))
    with Forked(list(command), stderr=terminal, stdout=subprocess.DEVNULL) as running:
        os.close(terminal)
        shown = b""
        with suppress(OSError):  # the end, on Linux
            while data := os.read(ours, 4096):
                shown += data
        assert running.wait(PATIENCE) == 0
    os.close(ours)
    return shown.decode()


@posix
def test_progress_is_for_terminals(clip: MakeClip, tmp_path: Path) -> None:
    shown = on_a_terminal("encode", clip(seconds=3), "-o", tmp_path / "a.ncf")
    bars, report = shown.rsplit("\r", 2)[:2]
    assert re.search(r"clip\.wav +0% \| +\| 0:00 of 0:03, 0 x real time, \? left", bars)
    assert re.search(r"clip\.wav: neu2-44khz, 6 codebooks, .* x real time$", report)


@posix
def test_several_files_have_a_bar_for_all_of_them(clip: MakeClip, tmp_path: Path) -> None:
    clip("in/a.wav", seconds=2)
    clip("in/b.wav", seconds=2)
    shown = on_a_terminal("encode", tmp_path / "in")
    assert re.search(r"0/2 files \| +\| 0:00 of audio, 0 x real time, \? left", shown)
    assert re.search(r"1/2 files \|.*\| 0:0\d of audio, \d+ x real time, \d:\d\d left", shown)
    assert re.search(r"2 files: 2 done\r?\n$", shown)
    assert re.search(r"0/2 files .* left", on_a_terminal("verify", tmp_path / "in"))


def wait_for(path: Path, pattern: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not list(path.glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_leave_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    target = tmp_path / "out.ncf"
    encode = Forked(
        ["encode", "-", "-o", str(target)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert encode.stdin and encode.stderr
    encode.stdin.write(endless_wav() + noise(2))
    encode.stdin.flush()
    wait_for(tmp_path, ".*.partial")
    encode.send_signal(number)
    assert encode.wait(PATIENCE) == 128 + number
    assert encode.stderr.read() == (b"neucodec: interrupted\n" if number == signal.SIGINT else b"")
    assert list(tmp_path.iterdir()) == []
    encode.stdin.close()


@posix
def test_a_signal_of_which_a_library_has_made_an_error_ends_the_run() -> None:
    def work(job: Job, console: Console) -> Result:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:
            raise ValueError("could not determine the shape") from None
        raise AssertionError

    with signals_end_the_run(), pytest.raises(Ended):
        attempt(Job("a.wav", "a.ncf"), work, Console())


@posix
def test_a_reader_that_goes_is_no_error_to_speak_of(run: Run, clip: MakeClip) -> None:
    encoded = run("encode", "-q", clip(seconds=3), "-o", "-", "--entropy", "none").out
    path = clip("again.ncf.wav")
    path.write_bytes(encoded)
    decode = Forked(
        ["decode", str(path), "-o", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert decode.stdout and decode.stderr
    assert decode.stdout.read(4) == b"RIFF"
    decode.stdout.close()
    assert decode.wait(PATIENCE) == 141
    assert decode.stderr.read() == b""
    decode.stderr.close()


@pytest.mark.parametrize(
    "args",
    [["--help"], ["--version"], ["encode", "-h"], ["models"], ["info", "SONG"], ["verify", "SONG"]],
)
def test_only_coding_loads_the_heavy_libraries(run: Run, clip: MakeClip, args: list[str]) -> None:
    path = clip()
    run("encode", path)
    words = [str(path.with_suffix(".ncf")) if word == "SONG" else word for word in args]
    script = (
        "import sys; from neucodec.__main__ import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'soundfile', 'scipy', 'huggingface_hub', 'soxr', 'tqdm'};"
        "print(heavy & set(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    ran = subprocess.run([sys.executable, "-c", script, *words], capture_output=True)
    assert ran.returncode == 0
    assert ran.stderr.decode() == "set()\n"


def test_tracebacks_only_where_they_are_asked_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = tmp_path / "absent.wav"
    assert run("encode", absent).err.count("\n") == 1
    monkeypatch.setenv("NEUCODEC_DEBUG", "1")
    shown = run("encode", absent).err
    assert shown.startswith("Traceback (most recent call last):\n")
    assert shown.endswith(f"neucodec: {absent}: cannot be read: No such file or directory\n")


def test_a_new_process_encodes_with_what_it_has_loaded(clip: MakeClip, tmp_path: Path) -> None:
    """Tests that run in this process share codecs with both halves; a command keeps one."""
    path = clip(seconds=1, rate=44100)
    script = "import sys; from neucodec.__main__ import main; sys.exit(main(sys.argv[1:]))"
    for options in ([], ["-b", "3kbps"], ["--no-layer"], ["-m", "neu-16khz"]):
        command = [sys.executable, "-c", script, "encode", "-f", str(path), *options]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
