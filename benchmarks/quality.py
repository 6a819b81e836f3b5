"""How it sounds: ViSQOL, mel distance and SI-SDR against Opus at the same real bitrate.

    pip install 'neucodec-cli[evaluate]'        # and opusenc/opusdec from opus-tools
    python benchmarks/quality.py FOLDER --kbps 4 8 12

FOLDER holds one folder per kind of sound. Files are mixed to mono at their own rate. Bitrates
are of whole files, containers included (opusenc without comments and padding). Opus is run at
the setting whose file comes nearest to ours, or at its lowest where ours is smaller still.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

# Each process has one file in hand; more threads would only get in each other's way.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import soundfile
import soxr
import torch

import neucodec
from neucodec.training.losses import SpectralLoss

Audio = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
OPUS_LOWEST = 5.0  # kbps, opusenc's setting
SHORTEST = 1.0  # seconds


@cache
def visqol() -> Any:
    """ViSQOL in audio mode (48 kHz)."""
    from visqol import VisqolApi

    api = VisqolApi()
    api.create(mode="audio")
    return api


@cache
def spectral() -> SpectralLoss:
    return SpectralLoss(44100)


def si_sdr(reference: Audio, decoded: Audio) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (arXiv 1811.02508, equation 4)."""
    target = reference * (np.dot(decoded, reference) / np.dot(reference, reference))
    return float(10 * np.log10(np.sum(target**2) / (np.sum((decoded - target) ** 2) + 1e-12)))


def measure(reference: Audio, decoded: Audio, rate: int) -> dict[str, float]:
    """Distances of two mono signals of equal rate and length."""
    at48, at44 = (
        [soxr.resample(a, rate, r, "VHQ") if rate != r else a for a in (reference, decoded)]
        for r in (48000, 44100)
    )
    score = visqol().measure_from_arrays(*(a.astype(np.float64) for a in at48), 48000)
    with torch.inference_mode():
        mel, _ = spectral()(*(torch.from_numpy(a.astype(np.float32))[None] for a in at44))
    return {"visqol": score.moslqo, "mel": float(mel), "si_sdr": si_sdr(reference, decoded)}


def opus_like(audio: Audio, rate: int, size: int, folder: Path) -> tuple[Audio, int]:
    """Through opusenc (complexity 10, VBR) at the setting whose file comes nearest to ``size``
    bytes, and opusdec: (audio, bytes)."""
    source, packed, back = (str(folder / name) for name in ("in.wav", "x.opus", "out.wav"))
    soundfile.write(source, audio, rate, subtype="FLOAT")

    def encode(setting: float) -> int:
        command = ["opusenc", "--quiet", "--discard-comments", "--padding", "0"]
        command += ["--bitrate", f"{setting:.3f}", source, packed]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        return Path(packed).stat().st_size

    low, high = OPUS_LOWEST, 64.0
    best, nearest = low, encode(low)
    if nearest >= size:
        high = low
    while high - low > 0.05:
        middle = (low + high) / 2
        got = encode(middle)
        if abs(got - size) < abs(nearest - size):
            best, nearest = middle, got
        low, high = (low, middle) if got > size else (middle, high)
    encode(best)
    subprocess.run(["opusdec", "--quiet", "--rate", str(rate), "--float", packed, back], check=True)
    decoded, _ = soundfile.read(back, dtype="float32")
    return np.pad(decoded, (0, max(0, len(audio) - len(decoded))))[: len(audio)], nearest


def one_file(path: Path, kind: str, kbps: list[float], against: bool) -> list[dict[str, Any]]:
    """All measurements of one file."""
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    audio = audio.mean(axis=1)
    if len(audio) < SHORTEST * rate:
        print(f"{path}: under {SHORTEST} s, too short for ViSQOL", file=sys.stderr)
        return []
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for target in kbps:
            data = neucodec.encode(audio, rate, bitrate=target * 1000)
            decoded, _ = neucodec.decode(io.BytesIO(data))
            results = {"neucodec": (decoded[:, 0], len(data))}
            if against:
                results["opus"] = opus_like(audio, rate, len(data), Path(folder))
            for codec, (out, size) in results.items():
                real = size * 8 * rate / len(audio) / 1000
                row = {"file": path.name, "kind": kind, "target": target, "codec": codec}
                rows.append(row | {"kbps": real} | measure(audio, out, rate))
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Means by kind, target and codec, as Markdown."""
    groups = defaultdict(list)
    for row in rows:
        for kind in (row["kind"], "all"):
            groups[kind, row["target"], row["codec"]].append(row)
    lines = [
        "| kind | files | codec | kbps | ViSQOL | mel | SI-SDR |",
        "|---|---|---|---|---|---|---|",
    ]
    for (kind, _, codec), group in sorted(groups.items()):
        mean = {k: np.mean([r[k] for r in group]) for k in ("kbps", "visqol", "mel", "si_sdr")}
        lines.append(
            f"| {kind} | {len(group)} | {codec} | {mean['kbps']:.2f} | {mean['visqol']:.2f} "
            f"| {mean['mel']:.2f} | {mean['si_sdr']:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kbps", type=float, nargs="+", default=[4, 8, 12])
    parser.add_argument("--every", type=int, default=1, help="take every n-th file only")
    parser.add_argument("--no-opus", action="store_true")
    parser.add_argument("--json", type=Path, help="write every measurement here too")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    files = sorted(p for p in args.folder.rglob("*") if p.suffix in (".flac", ".ogg", ".wav"))
    files = files[:: args.every]
    rows = []
    with ProcessPoolExecutor(args.jobs) as pool:
        jobs = [
            pool.submit(
                one_file, p, p.relative_to(args.folder).parts[0], args.kbps, not args.no_opus
            )
            for p in files
        ]
        for job in jobs:
            rows += job.result()
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
    print(table(rows))


if __name__ == "__main__":
    main()
