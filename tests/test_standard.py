"""Standard streams that are closed, full or in an encoding that lacks characters."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE, MakeClip, Run
from ncf_examples import HEADER, several, write

from neucodec.__main__ import main

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a shell, and /dev/full")


def shell(line: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell, with neucodec as $N and the words as $1, $2 ..."""
    environment = os.environ | {"N": f"{sys.executable} -m neucodec"}
    command = ["sh", "-c", line, "sh", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=PATIENCE, check=False
    )


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An .ncf that info and verify can read."""
    path = tmp_path / "small.ncf"
    path.write_bytes(write(HEADER, several(HEADER, 3)))
    return path


def test_messages_that_nobody_can_read_are_lost_and_nothing_else(
    clip: MakeClip, tmp_path: Path
) -> None:
    """Not into the output, either, which would have the number of a closed standard error."""
    song, out = clip(seconds=0.2), tmp_path / "out.ncf"
    ran = shell("$N encode -v -m neu-16khz $1 -o $2 2>&-", song, out)
    assert (ran.returncode, ran.stdout) == (0, "")
    assert shell("$N verify -q $1", out).returncode == 0


def test_a_batch_goes_on_when_messages_cannot_be_written(small: Path) -> None:
    ran = shell("$N info absent.ncf $1 2>/dev/full", small)
    assert ran.returncode == 1
    assert ran.stdout.startswith(f"{small}\n")


@pytest.mark.parametrize(("line", "reason"), [
    ("$N info $1 >&-", "Bad file descriptor"),
    ("$N verify $1 >/dev/full", "No space left on device"),
    ("$N man >&-", "Bad file descriptor"),
])  # fmt: skip
def test_output_that_cannot_be_written_is_a_failure(small: Path, line: str, reason: str) -> None:
    ran = shell(line, small)
    said = f"neucodec: standard output cannot be written: {reason}\n"
    assert (ran.returncode, ran.stderr) == (1, said)


def test_help_that_cannot_be_written_is_a_failure() -> None:
    ran = shell("$N --help >/dev/full")
    assert (ran.returncode, ran.stderr) == (1, "neucodec: No space left on device\n")


def test_a_closed_standard_output_matters_to_those_who_write_to_it(small: Path) -> None:
    ran = shell("$N verify -q $1 >&-", small)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_closed_standard_input_is_named() -> None:
    ran = shell("$N verify - <&-")
    said = "neucodec: standard input: closed; pipe something in, or name a file\n"
    assert (ran.returncode, ran.stderr) == (1, said)


@pytest.mark.parametrize("encoding", ["latin-1", "koi8-r", "utf-8"])
def test_characters_that_an_encoding_lacks_are_escaped(
    run: Run, clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    out = tmp_path / "ジョガ.ncf"
    run("encode", "-m", "neu-16khz", clip(seconds=0.2), "-o", out, "--tag", "ARTIST=Ünal ジョガ")
    for command in (["info"], ["verify"], ["info", "absent ジ.ncf"]):
        stdout, stderr = io.BytesIO(), io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout, encoding))
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(stderr, encoding, "backslashreplace"))
        assert main([*command, str(out)]) == len(command) - 1
        text = stdout.getvalue().decode(encoding)
        assert ("ジョガ" if encoding == "utf-8" else r"\u30b8\u30e7\u30ac") in text
        if command == ["info"]:
            assert ("\\xdcnal" if encoding == "koi8-r" else "Ünal") in text


def test_a_working_directory_that_is_gone_is_named(
    run: Run, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    said = "neucodec: the working directory is gone: change to one that is there, as with cd\n"
    for command in (["encode", small], ["info", small], ["models"]):
        ran = run(*command)
        assert (ran.code, ran.out, ran.err) == (1, b"", said)
    assert run("--help").code == 0
