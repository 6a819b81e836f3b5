"""What it costs beside the packages encodec and dac and beside opusenc: whole commands, in turn.

    python benchmarks/peers.py --python PEERS/bin/python --seconds 60 --long 600 --runs 3

PEERS is an environment with the packages, see ``.ci/install-peers``. Both sides run the same random
weights on the same audio; the embedded codec has its own, and ``--long`` seconds of audio. Commands
take turns, so that a change in the machine's speed meets all of them, and a command that two jobs
need runs once a turn. Prints medians of wall time, processor time and peak memory, and the ratios
of each pair, as Markdown; what is being run goes to standard error.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import soundfile
from speed import Cost, compile_package, run, sound

from neucodec.coding.default_model import DEFAULT_MODEL

PROGRAMS = Path(__file__).with_name("peer_programs.py")
OURS = [sys.executable, "-m", "neucodec"]
NAMES = ("dac-44khz", "encodec-24khz", "encodec-48khz", DEFAULT_MODEL)
Command = list[str]
HAS_BFLOAT16 = """
import sys, torch
from neucodec.models.parts.precision import in_bfloat16
sys.exit(not in_bfloat16("auto", torch.device("cpu")))
"""
"""For a process of its own: what this one holds in memory counts among what it starts."""


@dataclass(frozen=True)
class Pair:
    """One job, as each side does it."""

    name: str
    ours: Command
    theirs: Command
    seconds: int
    least: float
    """How many times the peer's speed it is meant to have."""


@dataclass(frozen=True)
class Bench:
    """Where the files are, and who is measured."""

    folder: Path
    peer: Command
    seconds: int
    long: int

    def pairs(self, name: str) -> Iterator[Pair]:
        """The jobs of one codec, encoding before decoding."""
        if name == "dac-44khz":
            return self._dac()
        return self._neu() if name == DEFAULT_MODEL else self._encodec(name)

    def _dac(self) -> Iterator[Pair]:
        name, weights = "dac-44khz", self.folder / "dac-44khz.pth"
        source = self._sound(name, self.seconds, 44100)
        encode, decode = self._ours(name, source, ["-m", card(name, weights)], "9")
        out = self.folder / "dac"
        common = ["--weights_path", str(weights), "--device", "cpu", "--output", str(out)]
        theirs = [*self.peer, "dac", "encode", source, *common]
        yield Pair(f"{name} encode", encode, theirs, self.seconds, 1.2)
        theirs = [*self.peer, "dac", "decode", str(out / f"{name}.dac"), *common]
        yield Pair(f"{name} decode", decode, theirs, self.seconds, 1.45)
        if subprocess.run([sys.executable, "-c", HAS_BFLOAT16]).returncode:
            return  # Emulated it takes many times as long.
        half = [*decode, "--precision", "bfloat16"]
        half[half.index("-o") + 1] = str(self.folder / "half.wav")
        yield Pair(f"{name} decode bfloat16", half, theirs, self.seconds, 3.5)

    def snr(self) -> float | None:
        """Of DAC decoded in bfloat16 against float32, in dB; None if it was not."""
        if not (self.folder / "half.wav").exists():
            return None
        audio, half = (
            soundfile.read(self.folder / name)[0] for name in ("dac-44khz-back.wav", "half.wav")
        )
        return float(10 * np.log10(np.sum(np.square(audio)) / np.sum(np.square(audio - half))))

    def _encodec(self, name: str) -> Iterator[Pair]:
        stereo = name == "encodec-48khz"
        file = "encodec_48khz-7e698e3e.th" if stereo else "encodec_24khz-d7cc33bc.th"
        source = self._sound(name, self.seconds, 48000 if stereo else 24000, 1 + stereo)
        model = ["-m", card(name, self.folder / "hub" / "checkpoints" / file)]
        theirs, least = self._package(source, stereo), 1.5 if stereo else 2.0
        ours = self._ours(name, source, model, "4" if stereo else "8")
        for kind, a, b in zip(("encode", "decode"), ours, theirs, strict=True):
            yield Pair(f"{name} {kind}", a, b, self.seconds, least)

    def _neu(self) -> Iterator[Pair]:
        name, source = DEFAULT_MODEL, self._sound(DEFAULT_MODEL, self.long, 44100)
        ours = self._ours(name, source, [], "9")
        opus, back = (str(self.folder / x) for x in ("x.opus", "opus.wav"))
        peers = {
            "opusenc": ["opusenc", "--quiet", "--bitrate", "8", "--comp", "10", source, opus],
            "opusdec": ["opusdec", "--quiet", opus, back],
        }
        for kind, command, (peer, theirs) in zip(
            ("encode", "decode"), ours, peers.items(), strict=True
        ):
            yield Pair(f"{name} {kind}, {peer}", command, theirs, self.long, 0.25)
        # The same length at the rate that the package works at.
        peer_source = self._sound("long-24khz", self.long, 24000)
        for kind, command, theirs in zip(
            ("encode", "decode"), ours, self._package(peer_source, stereo=False), strict=True
        ):
            yield Pair(f"{name} {kind}, encodec 24 kHz", command, theirs, self.long, 5)

    def _ours(
        self, name: str, source: str, model: Command, codebooks: str
    ) -> tuple[Command, Command]:
        ncf, back = (str(self.folder / f"{name}{end}") for end in (".ncf", "-back.wav"))
        raw = ["-n", codebooks, "--entropy", "none", "-q", "-f"]
        encode = [*OURS, "encode", source, *model, *raw, "-o", ncf]
        return encode, [*OURS, "decode", ncf, *model, "-q", "-f", "-o", back]

    def _package(self, source: str, stereo: bool) -> tuple[Command, Command]:
        """The package encodec, at its own 6 kbps: as many codebooks as `_ours` is given."""
        encodec = [*self.peer, "encodec", "-f", *(["-q"] if stereo else [])]
        coded = source.replace(".wav", ".ecdc")
        back = source.replace(".wav", "-package.wav")
        return [*encodec, source, coded], [*encodec, coded, back]

    def _sound(self, name: str, seconds: int, rate: int, channels: int = 1) -> str:
        return sound(self.folder / f"{name}.wav", seconds, rate, channels)


def card(name: str, weights: Path) -> str:
    """A checkpoint of one's own: the card of a published one with other weights."""
    text = (files("neucodec.models") / "cards" / f"{name}.toml").read_text(encoding="utf-8")
    text = re.sub(r"\[\[sources\]\]\n(\w.*\n)*", "", text)
    name_and_weights = f'name = "random-{name}"\nweights = "{weights.name}"'
    text = re.sub(r"^name = .*$", name_and_weights, text, count=1, flags=re.M)
    path = weights.parent / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def take_turns(
    commands: list[Command], runs: int, folder: Path
) -> dict[tuple[str, ...], list[Cost]]:
    """What each command costs, run after run.

    What a turn has written goes before the next: to replace a file, some file systems wait for the
    disk. All files are read before each command, or the first of a pair would wait for the disk
    where the second finds weights and audio in memory.
    """
    costs: dict[tuple[str, ...], list[Cost]] = {tuple(command): [] for command in commands}
    given = set(folder.rglob("*"))
    for turn in range(runs):
        for path in set(folder.rglob("*")) - given:
            if path.is_file():
                path.unlink()
        for command, measured in costs.items():
            for path in folder.rglob("*"):
                if path.is_file():
                    path.read_bytes()
            short = [Path(part).name for part in command[1:] if not part.startswith("-")]
            measured.append(run(list(command)))
            wall, cpu, peak = measured[-1]
            print(
                f"{turn + 1}: {wall:.2f} s, {cpu:.2f} s, {peak:.0f} MB: {' '.join(short)[:60]}",
                file=sys.stderr,
            )
    return costs


def row(pair: Pair, ours: list[Cost], theirs: list[Cost]) -> str:
    """One line of the table: medians, and the ratios of what ran side by side."""

    def both(column: int, digits: int) -> str:
        return ", ".join(f"{statistics.median(c[column] for c in s):.{digits}f}" for s in sides)

    def times(column: int) -> list[float]:
        return sorted(b[column] / a[column] for a, b in zip(ours, theirs, strict=True))

    sides = (ours, theirs)
    wall = times(0)
    speed = pair.seconds / statistics.median(cost[0] for cost in ours)
    return (
        f"| {pair.name} | {speed:.1f} | {both(0, 2)} | {both(1, 2)} | {both(2, 0)} "
        f"| {statistics.median(wall):.2f} ({wall[0]:.2f} to {wall[-1]:.2f}) "
        f"| {statistics.median(times(1)):.2f} | {statistics.median(times(2)):.1f} | {pair.least} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; else all")
    parser.add_argument("--python", required=True, help="of the environment with the packages")
    parser.add_argument("--seconds", type=int, default=60, help="of audio")
    parser.add_argument("--long", type=int, default=600, help=f"of audio, for {DEFAULT_MODEL}")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    if unknown := set(args.names) - set(NAMES):
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(NAMES)}")
    compile_package()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), [args.python, str(PROGRAMS)], args.seconds, args.long)
        os.environ["TORCH_HOME"] = name
        run([*bench.peer, "weights", name])
        pairs = [pair for name in args.names or NAMES for pair in bench.pairs(name)]
        run([*OURS, "--version"])
        # Pairs side by side; what is in two of them is run where it comes first.
        sides = [side for pair in pairs for side in (pair.ours, pair.theirs)]
        costs = take_turns(sides, args.runs, bench.folder)
        snr = bench.snr()
    print(f"{args.runs} runs, {os.cpu_count()} processors, {platform.machine()}.", end=" ")
    print("Pairs of figures are ours and the peer's; ratios are the peer's over ours.\n")
    print("| job | x real time | wall s | processor s | peak MB | ", end="")
    print("wall ratio | processor ratio | memory ratio | meant |")
    print("|---|---|---|---|---|---|---|---|---|")
    for pair in pairs:
        print(row(pair, costs[tuple(pair.ours)], costs[tuple(pair.theirs)]))
    if snr is not None:
        print(f"\nbfloat16 against float32: {snr:.1f} dB SNR.")


if __name__ == "__main__":
    main()
