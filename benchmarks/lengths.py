"""What the length of files costs: a thousand short ones, one long one, start-up, memory.

    python benchmarks/lengths.py --files 1000

Whole commands. Prints Markdown; what is being run goes to standard error.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from speed import RATE, Cost, clip, compile_package, run, sound

OURS = [sys.executable, "-m", "neucodec"]
SECONDS = 3
"""Of each short file."""


def short_files(folder: Path, count: int) -> None:
    """Files of `SECONDS`, no two of them quite alike."""
    piece = np.tile(clip().mean(axis=1), 2)
    folder.mkdir()
    for number in range(count):
        start = number * 97 % (len(piece) - SECONDS * RATE)
        audio = piece[start : start + SECONDS * RATE]
        soundfile.write(folder / f"{number:05}.wav", audio, RATE, subtype="PCM_16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000, help=f"of {SECONDS} s each")
    parser.add_argument("--memory", type=int, nargs="*", default=[30, 180, 1800], help="seconds")
    parser.add_argument("--entropy", default="none", help="as for neucodec encode")
    parser.add_argument(
        "--jobs", nargs="*", default=["auto", "1"], help="values of -j; auto is without"
    )
    args = parser.parse_args()

    def measured(*arguments: str) -> Cost:
        cost = run([*OURS, *arguments, "-q", "-f"])
        shown = " ".join(Path(part).name for part in arguments)
        print(f"{cost[0]:.2f} s, {cost[1]:.2f} s, {cost[2]:.0f} MB: {shown}", file=sys.stderr)
        return cost

    def encode(source: str, target: str, *more: str) -> Cost:
        return measured("encode", source, "-o", target, "--entropy", args.entropy, *more)

    def decode(source: str, target: str, *more: str) -> Cost:
        return measured("decode", source, "-o", target, *more)

    def both(source: Path, *more: str) -> tuple[Cost, Cost]:
        ncf, back = (str(source.with_name(source.stem + end)) for end in (".ncf", ".back"))
        if source.is_file():
            back += ".wav"
        return encode(str(source), ncf, *more), decode(ncf, back, *more)

    compile_package()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        short_files(folder / "short", args.files)
        total = args.files * SECONDS
        whole = both(Path(sound(folder / "whole.wav", total)))
        given = {jobs: [] if jobs == "auto" else ["-j", jobs] for jobs in args.jobs}
        many = {jobs: both(folder / "short", *options) for jobs, options in given.items()}
        one = both(Path(sound(folder / "one.wav", SECONDS)))
        lengths = {
            seconds: both(Path(sound(folder / f"{seconds}.wav", seconds)))
            for seconds in args.memory
        }
    print(f"{os.cpu_count()} processors, {platform.machine()}, --entropy {args.entropy}.\n")
    print("| what | command | wall s | processor s | processors used | peak MB | |")
    print("|---|---|---|---|---|---|---|")

    def show(what: str, costs: tuple[Cost, Cost], notes: tuple[str, str] = ("", "")) -> None:
        for command, cost, note in zip(("encode", "decode"), costs, notes, strict=True):
            wall, cpu, peak = cost
            columns = f"{wall:.2f} | {cpu:.2f} | {100 * cpu / wall:.0f} % | {peak:.0f} | {note}"
            print(f"| {what} | {command} | {columns} |")

    a, b = whole
    show(f"one file of {total} s", whole, (f"{total / a[0]:.0f} x", f"{total / b[0]:.0f} x"))
    for jobs, costs in many.items():
        c, d = costs
        ratios = (f"{c[0] / a[0]:.2f} times the one file", f"{d[0] / b[0]:.2f} times")
        show(f"{args.files} files of {SECONDS} s, -j {jobs}", costs, ratios)
    show(f"one file of {SECONDS} s", one)
    for seconds, costs in lengths.items():
        show(f"one file of {seconds} s", costs)


if __name__ == "__main__":
    main()
