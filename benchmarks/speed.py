"""What it costs: whole commands, start-up included, against opusenc and opusdec.

    python benchmarks/speed.py --seconds 600 --runs 3

Commands are run in turn, so that a change in the machine's speed meets all of them, and write files
that are not there yet: to replace one, some file systems wait for the disk. Medians of wall time,
processor time and peak memory are printed, and the ratio of wall times pair by pair.
"""

from __future__ import annotations

import argparse
import compileall
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from make_clip import RATE, clip

Cost = tuple[float, float, float]
"""Wall seconds, processor seconds and peak megabytes."""


def run(command: list[str]) -> Cost:
    """What a command costs, the processes that it starts included; their peak is the largest of
    any one."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    scale = 1024 if sys.platform != "darwin" else 1024**2
    wall = time.perf_counter() - began
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale


def compile_package() -> None:
    """As an installer does it, for ours as for the packages that it is measured against: a checkout
    that may not write byte code would be compiled anew by every command."""
    import neucodec
    from neucodec import formats, models

    for package in (neucodec, formats, models):
        compileall.compile_dir(Path(str(package.__file__)).parent, quiet=1)


def sound(path: Path, seconds: int, rate: int = RATE, channels: int = 1) -> str:
    """Write some audio of that length.

    Piece by piece: Linux counts what this process ever held among what the commands take that it
    starts.
    """
    piece = clip()
    if channels == 1:
        piece = piece.mean(axis=1, keepdims=True)
    left = seconds * rate
    with soundfile.SoundFile(path, "w", rate, channels, "PCM_16") as file:
        while left:
            file.write(piece[:left])
            left -= min(left, len(piece))
    return str(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--kbps", type=float, default=8)
    parser.add_argument("--entropy", default="auto", help="as for neucodec encode")
    args = parser.parse_args()
    compile_package()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = sound(folder / "in.wav", args.seconds)
        ncf, opus, back = (str(folder / x) for x in ("x.ncf", "x.opus", "back.wav"))
        python = [sys.executable, "-m", "neucodec"]
        kbps = str(args.kbps)
        options = ["-b", kbps + "k", "--entropy", args.entropy]
        opusenc = ["--quiet", "--bitrate", kbps, "--comp", "10"]
        commands = {
            "neucodec encode": ([*python, "encode", source, *options, "-o", ncf], ncf),
            "opusenc": (["opusenc", *opusenc, source, opus], opus),
            "neucodec decode": ([*python, "decode", ncf, "-o", back], back),
            "opusdec": (["opusdec", "--quiet", opus, back], back),
        }
        runs: dict[str, list[Cost]] = {c: [] for c in commands}
        for _ in range(args.runs + 1):
            for label, (command, output) in commands.items():
                Path(output).unlink(missing_ok=True)
                runs[label].append(run(command))
    print(f"{args.seconds} s mono at {RATE} Hz, {os.cpu_count()} processors, {platform.machine()}")
    print("| command | wall s | x real time | processor s | peak MB |")
    print("|---|---|---|---|---|")
    for label, measured in runs.items():
        wall, cpu, memory = (
            statistics.median(column) for column in zip(*measured[1:], strict=True)
        )
        print(f"| {label} | {wall:.2f} | {args.seconds / wall:.0f} | {cpu:.2f} | {memory:.0f} |")
    for ours, theirs in (("neucodec encode", "opusenc"), ("neucodec decode", "opusdec")):
        pairs = zip(runs[ours][1:], runs[theirs][1:], strict=True)
        ratios = sorted(a[0] / b[0] for a, b in pairs)
        print(
            f"{ours} takes {statistics.median(ratios):.2f} times the wall time of {theirs} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
