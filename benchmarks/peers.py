"""What it costs beside the packages encodec and dac and beside opusenc: whole commands, in turn.

    python benchmarks/peers.py --python PEERS/bin/python --seconds 60 --runs 3

PEERS is an environment with the packages, see ``.ci/install-peers``. Both sides run the same random
weights on the same audio. Commands take turns, so that a change in the machine's speed meets all
of them. Prints medians of wall time, processor time and peak memory, and ratios of each pair.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import sys
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import soundfile
from speed import run

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from make_clip import clip

PROGRAMS = Path(__file__).with_name("peer_programs.py")
OURS = [sys.executable, "-m", "neucodec"]
Cost = tuple[float, float, float]


@dataclass(frozen=True)
class Pair:
    """One job, as each side does it."""

    name: str
    ours: list[str]
    theirs: list[str]
    least: float | None = None
    """How many times the peer's speed it is meant to have."""


def card(name: str, weights: Path, folder: Path) -> str:
    """A checkpoint of one's own: the card of a published one with other weights."""
    text = (files("neucodec.models") / "cards" / f"{name}.toml").read_text(encoding="utf-8")
    text = re.sub(r"\[\[sources\]\]\n(\w.*\n)*", "", text)
    name_and_weights = f'name = "random-{name}"\nweights = "{weights.name}"'
    text = re.sub(r"^name = .*$", name_and_weights, text, count=1, flags=re.M)
    path = weights.parent / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def sound(path: Path, seconds: int, rate: int, channels: int) -> str:
    piece = clip()[:, :channels]
    audio = np.tile(piece, (-(-seconds * rate // len(piece)), 1))[: seconds * rate]
    soundfile.write(path, audio, rate, subtype="PCM_16")
    return str(path)


def pairs(folder: Path, python: str, seconds: int, names: list[str]) -> list[Pair]:
    peer = [python, str(PROGRAMS)]
    run([*peer, "weights", str(folder)])
    found = []

    def add(name: str, rate: int, channels: int, model: list[str], options: list[str]) -> str:
        source = sound(folder / f"{name}.wav", seconds, rate, channels)
        ncf, back = str(folder / f"{name}.ncf"), str(folder / f"{name}-ours.wav")
        ours = [*OURS, "encode", source, *model, *options, "-o", ncf, "-f"]
        found.append(Pair(f"{name} encode", ours, [], 0))
        ours = [*OURS, "decode", ncf, *model, "-o", back, "-f"]
        found.append(Pair(f"{name} decode", ours, [], 0))
        return source

    def against(encode: list[str], decode: list[str], least: tuple[float, float]) -> None:
        for place, command, aim in ((-2, encode, least[0]), (-1, decode, least[1])):
            pair = found[place]
            found[place] = Pair(pair.name, pair.ours, command, aim)

    checkpoints = folder / "hub" / "checkpoints"
    if "dac-44khz" in names:
        weights = folder / "dac-44khz.pth"
        model = ["-m", card("dac-44khz", weights, folder)]
        source = add("dac-44khz", 44100, 1, model, ["-n", "9", "--entropy", "none"])
        dac = [*peer, "dac"]
        common = [
            "--weights_path",
            str(weights),
            "--device",
            "cpu",
            "--output",
            str(folder / "dac"),
        ]
        coded = str(folder / "dac" / "dac-44khz.dac")
        against([*dac, "encode", source, *common], [*dac, "decode", coded, *common], (1.2, 1.45))
        decode = found[-1]
        half = [*decode.ours, "--precision", "bfloat16"]
        half[half.index("-o") + 1] = str(folder / "dac-44khz-half.wav")
        found.append(Pair("dac-44khz decode bfloat16", half, decode.theirs, 3.5))
    for name, file, rate, channels, least in (
        ("encodec-24khz", "encodec_24khz-d7cc33bc.th", 24000, 1, 2.0),
        ("encodec-48khz", "encodec_48khz-7e698e3e.th", 48000, 2, 1.5),
    ):
        if name in names:
            model = ["-m", card(name, checkpoints / file, folder)]
            source = add(name, rate, channels, model, ["-b", "6kbps", "--entropy", "none"])
            theirs = [*peer, "encodec", "-f", *(["-q"] if channels == 2 else [])]
            coded = str(folder / f"{name}.ecdc")
            against(
                [*theirs, source, coded],
                [*theirs, coded, str(folder / f"{name}-theirs.wav")],
                (least, least),
            )
    if "neu-44khz" in names:
        source = add("neu-44khz", 44100, 1, [], ["-n", "9", "--entropy", "none"])
        opus = str(folder / "x.opus")
        against(
            ["opusenc", "--quiet", "--bitrate", "8", "--comp", "10", source, opus],
            ["opusdec", "--quiet", opus, str(folder / "opus.wav")],
            (0.25, 0.25),
        )
    return found


def main() -> None:
    names = ["dac-44khz", "encodec-24khz", "encodec-48khz", "neu-44khz"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; else all")
    parser.add_argument("--python", required=True, help="of the environment with the packages")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    if unknown := set(args.names) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(names)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["TORCH_HOME"] = name
        jobs = pairs(folder, args.python, args.seconds, args.names or names)
        costs: dict[str, list[tuple[Cost, Cost]]] = {job.name: [] for job in jobs}
        for _ in range(args.runs):
            for job in jobs:
                costs[job.name].append((run(job.ours), run(job.theirs)))
        exact, half = folder / "dac-44khz-ours.wav", folder / "dac-44khz-half.wav"
        if half.exists():
            audio, other = (soundfile.read(path)[0] for path in (exact, half))
            noise = np.mean(np.square(audio - other))
            print(f"bfloat16: {10 * np.log10(np.mean(np.square(audio)) / noise):.1f} dB SNR\n")
    print(f"{args.seconds} s, {os.cpu_count()} processors, {platform.machine()}")
    print("| job | wall s: ours, peer | processor s | peak MB | times the peer's speed | meant |")
    print("|---|---|---|---|---|---|")
    for job in jobs:
        ours, theirs = (
            [statistics.median(column) for column in zip(*side, strict=True)]
            for side in zip(*costs[job.name], strict=True)
        )
        ratios = sorted(theirs[0] / ours[0] for ours, theirs in costs[job.name])
        middle = statistics.median(ratios)
        columns = " | ".join(
            f"{a:.{digits}f}, {b:.{digits}f}"
            for a, b, digits in zip(ours, theirs, (2, 2, 0), strict=True)
        )
        spread = f"{middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"| {job.name} | {columns} | {spread} | {job.least} |")


if __name__ == "__main__":
    main()
