"""Faults that take long to bring about: a table of what happened to batches.

    python benchmarks/faults.py                    all of them
    python benchmarks/faults.py small --files 500  one of them, smaller

`small` encodes many files of a second each and watches memory; `kill` kills a batch again and again
until it has come to its end; `signals` interrupts commands by several signals back to back (with
--files so many times); `disk` fills a small tmpfs (needs root); `rf64` decodes more than 4 GiB of
WAV (and needs that on the disk). The quick ones are in tests/test_faults.py.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

NEUCODEC = [sys.executable, "-m", "neucodec"]
RATE = 16000


def recordings(folder: Path, count: int) -> None:
    """So many files of a second of noise, a thousand in a directory."""
    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number // 1000:03}" / f"{number:06}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.normal(0, 0.05, RATE), RATE)


def whole(folder: Path) -> int:
    """How many outputs there are; all must verify, and nothing else may lie there."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert all(path.suffix == ".ncf" for path in found), "a file that is no output"
    ran = subprocess.run([*NEUCODEC, "verify", "-q", folder], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return len(found)


def memory(group: int) -> float:
    """Resident MB of all processes of a group."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return total / 1e6


def small(folder: Path, files: int) -> str:
    """Memory and speed over very many small files."""
    recordings(folder / "in", files)
    command = [*NEUCODEC, "encode", folder / "in", "-o", folder / "out", "-j2", "-q"]
    began, seen = time.monotonic(), []
    with subprocess.Popen(command, start_new_session=True) as batch:
        while batch.poll() is None:
            time.sleep(1)
            if held := memory(batch.pid):
                seen.append(held)
    took = time.monotonic() - began
    assert batch.returncode == 0
    assert whole(folder / "out") == files
    again = time.monotonic()
    subprocess.run([*command, "--skip-existing"], check=True)
    skipped = time.monotonic() - again
    tenth = max(1, len(seen) // 10)
    early, late = np.median(seen[tenth : 2 * tenth]), np.median(seen[-2 * tenth : -tenth])
    return (
        f"{files} files of 1 s with -j2: {took:.0f} s; memory {early:.0f} MB after a tenth of the "
        f"time, {late:.0f} MB before the last tenth, {max(seen):.0f} MB at most; all verify; "
        f"to find that all are there takes {skipped:.0f} s"
    )


def kill(folder: Path, files: int) -> str:
    """kill -9 to all processes of a batch at random times, until it completes."""
    recordings(folder / "in", files)
    rng, kills, began_late, partials = random.Random(0), 0, 0, 0
    command = [*NEUCODEC, "encode", folder / "in", "-o", folder / "out", "-j2", "-q"]
    while True:
        batch = subprocess.Popen([*command, "--skip-existing"], start_new_session=True)
        try:
            assert batch.wait(rng.uniform(3, 20)) == 0
            break
        except subprocess.TimeoutExpired:
            os.killpg(batch.pid, signal.SIGKILL)
            batch.wait()
            kills += 1
            time.sleep(0.5)
        partials += len(list((folder / "out").rglob("*.partial")))
        for path in (folder / "out").rglob("*.ncf"):
            began_late += path.stat().st_size == 0
    assert not began_late, "an empty file under a final name"
    assert whole(folder / "out") == files
    return (
        f"{files} files, killed {kills} times in their middle: {partials} unfinished files seen, "
        "all under temporary names and gone in the end; every output verifies"
    )


COMMANDS = {
    "encode -j1": "encode IN -o OUT -q -j1",
    "encode -j2": "encode IN -o OUT -q -j2",
    "encode from a pipe": "encode - -o OUT/pipe.ncf -q --raw --rate 16000",
    "decode -j1": "decode CODED -o OUT -q -j1",
    "decode -j2": "decode CODED -o OUT -q -j2",
    "decode to a pipe": "decode CODED/000/000000.ncf -o - -q",
    "verify": "verify CODED --codes",
    "verify of a pipe": "verify -",
    "tokens -j1": "tokens CODED -o OUT -q -j1",
    "tokens -j2": "tokens CODED -o OUT -q -j2",
    "tokens of a pipe": "tokens - -o OUT/pipe.npz",
    "evaluate -j1": "evaluate CLIPS -o OUT -j1 -b 4kbps,8kbps --metrics mel,stft,si-sdr",
    "evaluate -j2": "evaluate CLIPS -o OUT -j2 -b 4kbps,8kbps --metrics mel,stft,si-sdr",
}
"""What is interrupted; standard input is a pipe in which nothing comes, the output one that nobody
reads."""
PATIENCE = 60.0
"""Seconds within which an interrupted command has ended, on a busy machine."""


def catches_signals(process: int) -> bool:
    """Whether a process handles SIGTERM by now."""
    status = Path(f"/proc/{process}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def signals(folder: Path, files: int) -> str:
    """SIGINT, SIGTERM and SIGHUP back to back, to one process or to all of its group."""
    recordings(folder / "in", 30)
    recordings(folder / "clips", 4)
    coded = folder / "coded"
    subprocess.run([*NEUCODEC, "encode", folder / "in", "-o", coded, "-q"], check=True)
    rng, ended, slowest = random.Random(0), dict.fromkeys(COMMANDS, 0), 0.0
    for number in range(files):
        name = list(COMMANDS)[number % len(COMMANDS)]
        out = folder / f"out-{number}"
        out.mkdir()
        places = {"IN": folder / "in", "OUT": out, "CODED": coded, "CLIPS": folder / "clips"}
        words = COMMANDS[name].split()
        command = [
            next((word.replace(k, str(p)) for k, p in places.items() if word.startswith(k)), word)
            for word in words
        ]
        code, took, said = interrupted([*NEUCODEC, *command], rng)
        slowest = max(slowest, took)
        assert code in (0, 129, 130, 143), f"{name}: status {code}, {said}"
        assert "Traceback" not in said, f"{name}: {said}"
        assert "unexpected" not in said, f"{name}: {said}"
        assert not list(out.rglob("*.partial")), f"{name}: {list(out.rglob('*.partial'))}"
        ended[name] += code != 0
        coded_here = list(out.rglob("*.ncf"))
        if coded_here:
            subprocess.run([*NEUCODEC, "verify", "-q", *coded_here], check=True)
        shutil.rmtree(out)
    counts = ", ".join(f"{name} {count}" for name, count in ended.items())
    return (
        f"{files} runs, {sum(ended.values())} of them ended by signals ({counts}), the last "
        f"{slowest:.1f} s after the first signal; no hang, no traceback, nothing unfinished left"
    )


def interrupted(command: list[str | Path], rng: random.Random) -> tuple[int, float, str]:
    """Run a command and send it signals: its status, the seconds it then took, what it said."""
    given, held = os.pipe()
    with subprocess.Popen(
        command, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as run:
        assert run.stderr
        while run.poll() is None and not catches_signals(run.pid):
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 6))
        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        rng.shuffle(numbers)
        send = rng.choice([os.kill, os.killpg])
        began = time.monotonic()
        for sent in numbers:
            if run.poll() is None:
                send(run.pid, sent)
            time.sleep(rng.choice([0, 0, 0.001, 0.05]))
        try:
            run.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            raise AssertionError(f"{command} hangs after {numbers} by {send.__name__}") from None
        took = time.monotonic() - began
        said = run.stderr.read().decode(errors="replace")
    os.close(given)
    os.close(held)
    return run.returncode, took, said


def disk(folder: Path, files: int) -> str:
    """A full file system, then one with room."""
    recordings(folder / "in", 40)
    out = folder / "out"
    out.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", out], check=True)
    try:
        command = [*NEUCODEC, "encode", folder / "in", "-o", out, "-j2"]
        ran = subprocess.run(command, capture_output=True, text=True)
        assert ran.returncode == 1
        total = ran.stderr.splitlines()[-1]
        failures = [line for line in ran.stderr.splitlines() if "No space left" in line]
        assert failures, ran.stderr
        there = whole(out)
        subprocess.run(["mount", "-o", "remount,size=4m", out], check=True)
        subprocess.run([*command, "-q", "--skip-existing"], check=True)
        assert whole(out) == 40
        subprocess.run(["mount", "-o", "remount,ro", out], check=True)
        barred = subprocess.run([*command, "-f"], capture_output=True, text=True)
        assert barred.returncode == 1
        assert "Read-only file system" in barred.stderr
        assert whole(out) == 40
    finally:
        subprocess.run(["umount", out], check=True)
    return f"full: {total}, {there} whole; given room: 40 whole; read-only: the same 40 whole"


def rf64(folder: Path, files: int) -> str:
    """More than 4 GiB of WAV out, and what reads it back."""
    seconds = (1 << 32) // (44100 * 8 * 4) + 60
    source = folder / "long.ncf"
    encode = subprocess.Popen(
        [*NEUCODEC, "encode", "-q", "-", "--raw", "--rate=44100", "--channels=8", "-o", source],
        stdin=subprocess.PIPE,
    )
    assert encode.stdin
    for _ in range(seconds):
        encode.stdin.write(bytes(44100 * 8 * 2))
    encode.stdin.close()
    assert encode.wait() == 0
    target = folder / "long.wav"
    subprocess.run([*NEUCODEC, "decode", "-q", source, "-o", target, "--subtype=FLOAT"], check=True)
    head = target.open("rb").read(4)
    info = soundfile.info(target)
    assert (head, info.frames) == (b"RF64", seconds * 44100)
    return f"{target.stat().st_size / 2**30:.2f} GiB: RF64, {info.frames} samples by libsndfile"


FAULTS: dict[str, Callable[[Path, int], str]] = {
    "small": small,
    "kill": kill,
    "signals": signals,
    "disk": disk,
    "rf64": rf64,
}
FILES = {"small": 10_000, "kill": 300, "signals": 130}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=", ".join(FAULTS))
    parser.add_argument("--files", type=int)
    parser.add_argument("--folder", type=Path, help="where there is room; else the usual one")
    args = parser.parse_args()
    for name in args.faults or FAULTS:
        folder = Path(tempfile.mkdtemp(prefix="neucodec-faults-", dir=args.folder))
        try:
            found = FAULTS[name](folder, args.files or FILES.get(name, 0))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(f"{name}: {found}", flush=True)


if __name__ == "__main__":
    main()
