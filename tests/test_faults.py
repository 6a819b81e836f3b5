"""What may happen to a batch: after each, whole outputs or none, and a second run completes."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PATIENCE, MakeClip, Run
from processes import Forked
from processes import run as run_forked

from neucodec.coding.integrity import check_ncf
from neucodec.files.byte_streams import lock
from neucodec.files.outfile import output_file, sweep
from neucodec.formats import NcfReader

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of Unix")

NEUCODEC = [sys.executable, "-m", "neucodec"]
SECOND = np.zeros(16000, "<i2").tobytes()


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def whole(folder: Path) -> list[str]:
    """Names of the outputs, all of which verify."""
    for path in folder.glob("*.ncf"):
        assert check_ncf(NcfReader(io.BytesIO(path.read_bytes()))).whole
    return sorted(p.name for p in folder.glob("*.ncf"))


def started(command: list[Any], **options: Any) -> subprocess.Popen[bytes]:
    """Start the command with everything imported, or as a new interpreter where -j is given.

    Processes of a pool are such interpreters, too, and a signal may meet one as it ends (-j1).
    """
    if {"-j1", "-j2"} & set(command):
        return subprocess.Popen([*NEUCODEC, *command], **options)
    return Forked(command, **options)


class Batch:
    """Raw files of a second each, and one that is a pipe: whoever reads it waits for us."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.source, self.out = folder / "in", folder / "out"
        self.source.mkdir()
        for name in ("a.raw", "b.raw", "z.raw"):
            (self.source / name).write_bytes(SECOND)
        self.pipe = self.source / "m.raw"
        os.mkfifo(self.pipe)
        inputs = [str(self.source / name) for name in ("a.raw", "b.raw", "m.raw", "z.raw")]
        self.command = ["encode", *inputs, "-o", f"{self.out}/", *options]
        self.command += ["--raw", "--rate=16000"]

    def begin(self) -> subprocess.Popen[bytes]:
        """Start it, and wait until it is in the middle of the file that is a pipe."""
        run = started(self.command, stderr=subprocess.PIPE, start_new_session=True)
        self.feed = self.pipe.open("wb", buffering=0)
        self.feed.write(3 * SECOND)
        until(lambda: self.out.exists() and list(self.out.glob(".m.ncf.*.partial")))
        return run

    def mend(self) -> None:
        """Make a file of the pipe."""
        self.feed.close()
        self.pipe.unlink()
        self.pipe.write_bytes(4 * SECOND)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="alone"),
        pytest.param(["-j2"], id="two at once", marks=pytest.mark.slow),
    ],
)
def test_killed_in_the_middle_of_a_file(run: Run, tmp_path: Path, options: list[str]) -> None:
    batch = Batch(tmp_path, *options)
    killed = batch.begin()
    os.killpg(killed.pid, signal.SIGKILL)
    assert killed.wait(PATIENCE) == -signal.SIGKILL
    assert len(list(batch.out.glob(".m.ncf.*.partial"))) == 1
    # With two at once another file may have been in work as well.
    until(lambda: all(is_free(partial) for partial in batch.out.glob(".*.partial")))
    assert set(whole(batch.out)) <= {"a.ncf", "b.ncf", "z.ncf"}

    batch.mend()
    again = run(*batch.command, "--skip-existing")
    assert again.code == 0
    assert names(batch.out) == whole(batch.out) == ["a.ncf", "b.ncf", "m.ncf", "z.ncf"]
    assert run("verify", batch.out).code == 0


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_interrupted_with_several_at_once(tmp_path: Path, number: signal.Signals) -> None:
    batch = Batch(tmp_path, "-j2")
    stopped = batch.begin()
    os.killpg(stopped.pid, number)
    assert stopped.wait(PATIENCE) == 128 + number
    assert stopped.stderr
    said = stopped.stderr.read().splitlines()
    assert (said[-1:] == [b"neucodec: interrupted"]) == (number == signal.SIGINT)
    assert not any(b"Traceback" in line for line in said)
    assert names(batch.out) == whole(batch.out)
    assert "m.ncf" not in names(batch.out)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["-j1"], id="alone"),
        pytest.param(["-j2"], id="two at once", marks=pytest.mark.slow),
    ],
)
def test_several_signals_back_to_back(tmp_path: Path, options: list[str]) -> None:
    batch = Batch(tmp_path, *options)
    stopped = batch.begin()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        os.killpg(stopped.pid, number)
    assert stopped.wait(PATIENCE) - 128 in numbers
    assert stopped.stderr
    assert b"Traceback" not in stopped.stderr.read()
    assert names(batch.out) == whole(batch.out)
    assert "m.ncf" not in names(batch.out)


def is_free(path: Path) -> bool:
    """Whether nobody writes to a temporary file any more."""
    with path.open("rb") as file:
        try:
            lock(file, wait=False)
        except OSError:
            return False
        return True


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the process by Linux's /proc")
def test_a_process_of_the_pool_killed_in_the_middle_of_a_file(tmp_path: Path) -> None:
    batch = Batch(tmp_path, "-j2", "-q")
    ran = batch.begin()
    children = Path(f"/proc/{ran.pid}/task/{ran.pid}/children").read_text().split()
    (reader,) = (child for child in children if str(batch.pipe) in files_of(child))
    batch.mend()
    os.kill(int(reader), signal.SIGKILL)
    assert ran.wait(PATIENCE) == 0
    assert whole(batch.out) == ["a.ncf", "b.ncf", "m.ncf", "z.ncf"]
    assert ran.stderr
    assert ran.stderr.read() == b""


def files_of(process: str) -> list[str]:
    """Names of the files that a process has open."""
    return [str(link.readlink()) for link in Path(f"/proc/{process}/fd").iterdir()]


def test_what_others_are_writing_is_not_swept_away(tmp_path: Path) -> None:
    target = tmp_path / "a.ncf"
    abandoned = tmp_path / ".a.ncf.01234567.partial"
    foreign = tmp_path / ".b.ncf.01234567.partial"
    abandoned.touch()
    foreign.touch()
    with output_file(target) as file:
        file.write(b"whole")
        assert sweep([target]) == 1
    assert names(tmp_path) == [foreign.name, "a.ncf"]
    assert sweep([target, tmp_path / "nowhere/c.ncf"]) == 0


def test_a_full_disk(clip: MakeClip, tmp_path: Path) -> None:
    """A limit to the size of files fails writes as a full disk does."""
    import resource

    loud = tmp_path / "loud.raw"
    noise = np.random.default_rng(0).normal(0, 3000, 16000 * 8).astype("<i2")
    loud.write_bytes(noise.tobytes())
    brief = tmp_path / "brief.raw"
    brief.write_bytes(SECOND)
    ran = run_forked(
        ["encode", "-q", "-n16", loud, brief, "--raw", "--rate=16000"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)),
    )
    assert ran.returncode == 1
    assert ran.stderr.decode() == f"neucodec: {loud}: File too large\n"
    assert names(tmp_path) == ["brief.ncf", "brief.raw", "loud.raw"]


@pytest.mark.parametrize("kind", ["no permission", "a device"])
def test_an_output_that_cannot_be_written(
    run: Run, clip: MakeClip, tmp_path: Path, kind: str
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    if kind == "a device":  # which not even root may make
        closed = Path("/sys/neucodec")
    elif os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    if kind == "a device" and not Path("/sys/kernel").is_dir():
        pytest.skip("no /sys here")
    one, two = clip("one.wav"), clip("two.wav")
    ran = run("encode", one, two, "-o", f"{closed}/")
    assert ran.code == 1
    first, second, total = ran.err.splitlines()
    assert first.startswith(f"neucodec: {one}: ")
    assert second.startswith(f"neucodec: {two}: ")
    assert total == "2 files: 2 failed"


def test_an_input_that_vanishes(tmp_path: Path) -> None:
    batch = Batch(tmp_path)
    ran = batch.begin()
    (batch.source / "z.raw").unlink()
    batch.feed.close()
    assert ran.wait(PATIENCE) == 1
    assert ran.stderr
    *_, failure, total = ran.stderr.read().decode().splitlines()
    gone = "cannot be read: No such file or directory"
    assert failure == f"neucodec: {batch.source / 'z.raw'}: {gone}"
    assert total == "4 files: 3 done, 1 failed"
    assert names(batch.out) == whole(batch.out) == ["a.ncf", "b.ncf", "m.ncf"]


def test_an_input_that_grows_while_it_is_read(run: Run, tmp_path: Path) -> None:
    growing, stop = tmp_path / "growing.raw", threading.Event()
    growing.write_bytes(20 * SECOND)

    def grow() -> None:
        with growing.open("ab", buffering=0) as file:
            while not stop.wait(0.002):
                file.write(b"\0\0")

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        ran = run("encode", growing, "--raw", "--rate=16000")
    finally:
        stop.set()
        writer.join()
    assert ran.code == 1
    assert ran.err == (
        f"neucodec: {growing}: changed while it was being read; try again when nothing writes to "
        "it any more\n"
    )
    assert names(tmp_path) == ["growing.raw"]


def test_two_batches_into_the_same_directory(run: Run, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(12):
        (source / f"{number:02}.raw").write_bytes(SECOND)
    command = ["encode", source, "-o", f"{out}/", "--raw", "--rate=16000", "-q"]
    batches = [
        started([*command, *options], stderr=subprocess.PIPE)
        for options in ([], ["--skip-existing"])
    ]
    plain, skipping = (
        (batch.communicate(timeout=PATIENCE)[1], batch.returncode) for batch in batches
    )
    assert skipping == (b"", 0)
    # The one that may not overwrite says so of each file that the other was first to make.
    assert plain[1] == bool(plain[0])
    assert all(b"exists; -f" in line for line in plain[0].splitlines())
    assert names(out) == whole(out) == [f"{number:02}.ncf" for number in range(12)]
