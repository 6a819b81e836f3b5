"""Signals of test benches through an embedded codec: what becomes of their level and pitch.

`python benchmarks/signals.py [-m MODEL] [--codebooks 9] [--no-layer]` prints two tables of signals
made here.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np
import numpy.typing as npt

import neucodec
from neucodec.coding.default_model import DEFAULT_MODEL
from neucodec.models.catalogue.card import find_card

RATE = 44100
SECONDS = 4
EDGES = (40, 160, 640, 2560, 10240, 20000)
"""Of the bands whose levels are compared, Hz."""
Audio = npt.NDArray[np.float64]


def signals() -> dict[str, Audio]:
    """What is coded [T], full scale being 1."""
    rng = np.random.default_rng(0)
    time = np.arange(SECONDS * RATE) / RATE
    white = rng.standard_normal(len(time))
    pink = np.fft.irfft(np.fft.rfft(white) / np.sqrt(np.arange(len(time) // 2 + 1) + 1))
    growth = np.log(1000) / SECONDS
    clicks = np.zeros(len(time))
    clicks[RATE // 2 :: RATE // 2] = 0.5
    return {
        "silence": 0 * time,
        "white noise, -20 dB": 0.1 * white,
        "white noise, -70 dB": 3e-4 * white,
        "pink noise": 0.1 * pink / pink.std(),
        "sweep, 20 Hz to 20 kHz": 0.5 * np.sin(2 * np.pi * 20 / growth * np.expm1(time * growth)),
        "square of 220 Hz, full scale": 0.99 * np.sign(np.sin(2 * np.pi * 220 * time)),
        "clicks over silence": clicks,
        "clicks over noise, -60 dB": clicks + 1e-3 * white,
    }


def coded(audio: Audio, model: str, codebooks: int, layer: bool) -> Audio:
    """What comes back of a signal [T]."""
    data = neucodec.encode(
        audio.astype(np.float32), RATE, model=model, codebooks=codebooks, entropy="none",
        layer=layer,
    )  # fmt: skip
    return neucodec.decode(data)[0][:, 0].astype(np.float64)


def decibels(power: float) -> float:
    """Of a power, with a floor."""
    return 10 * float(np.log10(power + 1e-24))


def power_spectrum(audio: Audio) -> tuple[Audio, Audio]:
    """Frequencies and powers of the middle of a signal."""
    middle = audio[RATE // 2 : -RATE // 2]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) ** 2
    return np.fft.rfftfreq(len(middle), 1 / RATE), spectrum


def bands(audio: Audio) -> list[float]:
    """Levels between `EDGES`, dB."""
    freqs, power = power_spectrum(audio)
    pairs = itertools.pairwise(EDGES)
    return [decibels(power[(freqs >= a) & (freqs < b)].sum()) for a, b in pairs]


def main() -> None:
    """Print what was sent, what came back, and by how much bands differ; then tones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codebooks", type=int, default=9)
    parser.add_argument("-m", "--model", default=DEFAULT_MODEL)
    parser.add_argument("--no-layer", action="store_true", help="codes alone")
    args = parser.parse_args()
    half = find_card(args.model).sample_rate / 2
    spans = " | ".join(f"{a} to {b} Hz" for a, b in itertools.pairwise(EDGES))
    print(f"| signal | RMS dB | back | peak | back | {spans} |\n" + "|---" * (4 + len(EDGES)) + "|")
    for name, audio in signals().items():
        back = coded(audio, args.model, args.codebooks, not args.no_layer)
        levels = [f"{decibels(float(np.mean(x**2))):.1f}" for x in (audio, back)]
        peaks = [f"{np.abs(x).max():.3g}" for x in (audio, back)]
        pairs = zip(bands(back), bands(audio), strict=True)
        differences = ["" if b < -200 else f"{a - b:+.1f}" for a, b in pairs]
        print("|", " | ".join([name, *levels, *peaks, *differences]), "|")
    print("\n| tone, Hz | strongest, Hz | level, dB | within 6 %, dB |\n|---|---|---|---|")
    time = np.arange(SECONDS * RATE) / RATE
    for pitch in (50, 100, 440, 1000, 2500, 4000, 8000, 12000):
        if pitch >= half:
            break
        tone = 0.1 * np.sin(2 * np.pi * pitch * time)
        back = coded(tone, args.model, args.codebooks, not args.no_layer)
        freqs, power = power_spectrum(back)
        near = (freqs > 0.94 * pitch) & (freqs < 1.06 * pitch)
        level = decibels(float(np.mean(back**2))) - decibels(float(np.mean(tone**2)))
        share = decibels(float(power[near].sum() / power.sum()))
        print(f"| {pitch} | {freqs[power.argmax()]:.0f} | {level:+.1f} | {share:.2f} |")


if __name__ == "__main__":
    main()
