"""How far phases come through an embedded codec, and whether made-up ones buzz, band by band.

    python benchmarks/phases.py FOLDER --codebooks 9

Correlation is that of the decoded with the original waveform: 1 where phases come through, 0
where none do. Likeness is the correlation of a signal's pieces of 93 ms with the same signal one
hop later: near 1 where it repeats itself at the frame rate, which sounds as a buzz unless the
original does so, too.
"""

from __future__ import annotations

import argparse
import itertools
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

import neucodec
from neucodec.coding.default_model import DEFAULT_MODEL
from neucodec.evaluation.clips import find_clips
from neucodec.models.catalogue.card import find_card

EDGES = (100, 500, 1000, 2000, 3000, 5500, 8000, 12000, 16000)
"""Of the bands, Hz."""
PIECE = 0.093
"""Seconds."""
SECONDS = 5
Audio = npt.NDArray[np.float64]


def band(audio: Audio, rate: int, low: float, high: float) -> Audio:
    """What of a signal [T] lies between two frequencies."""
    spectrum = np.fft.rfft(audio)
    freqs = np.fft.rfftfreq(len(audio), 1 / rate)
    return np.fft.irfft(np.where((freqs >= low) & (freqs < high), spectrum, 0), len(audio))


def correlation(a: Audio, b: Audio) -> float:
    """Of two signals [T] without a mean."""
    return float(a @ b / np.sqrt((a @ a) * (b @ b) + 1e-18))


def likeness(audio: Audio, lag: int, piece: int) -> float:
    """Of a signal [T] with itself ``lag`` samples later, whatever the sign, piece by piece."""
    starts = range(0, len(audio) - piece - lag, 2 * piece)
    pieces = ((audio[s : s + piece], audio[s + lag : s + lag + piece]) for s in starts)
    return float(np.mean([abs(correlation(a, b)) for a, b in pieces]))


def main() -> None:
    """Print a line for each band."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("-m", "--model", default=DEFAULT_MODEL)
    parser.add_argument("--codebooks", type=int, default=9)
    args = parser.parse_args()
    card = find_card(args.model)
    rate, piece = card.sample_rate, round(PIECE * card.sample_rate)
    bands = [(low, high) for low, high in itertools.pairwise(EDGES) if high <= rate / 2]
    rows = []
    for clip in find_clips(args.folder, ()):
        theirs = soundfile.info(clip.path).samplerate
        if theirs < rate:
            continue
        audio, _ = soundfile.read(clip.path, frames=SECONDS * theirs, always_2d=True)
        mono = soxr.resample(audio.mean(axis=1), theirs, rate, "VHQ")
        data = neucodec.encode(
            mono.astype(np.float32),
            rate,
            model=args.model,
            codebooks=args.codebooks,
            entropy="none",
        )
        back = neucodec.decode(data)[0][:, 0].astype(np.float64)
        pairs = [[band(x, rate, *edges) for x in (mono, back)] for edges in bands]
        rows.append(
            [[correlation(a, b), *(likeness(x, card.hop, piece) for x in (a, b))] for a, b in pairs]
        )
    print(f"{len(rows)} files at {rate} Hz, {args.codebooks} codebooks\n")
    print("| Hz | correlation | likeness one hop later, original | decoded |\n|---|---|---|---|")
    for (low, high), values in zip(bands, np.mean(rows, axis=0), strict=True):
        print(f"| {low} to {high} | " + " | ".join(f"{value:.2f}" for value in values) + " |")


if __name__ == "__main__":
    main()
