"""Make a clip of synthesised speech and music: `python examples/make_clip.py clip.wav`.

Everything is computed here from numbers, so that a demonstration needs no one's recording:
formant-synthesised syllables over a plucked-string and organ accompaniment, in stereo.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

RATE = 44100
Audio = npt.NDArray[np.float64]

# Formant centres in Hz of a male voice (Peterson and Barney 1952, table II, rounded).
VOWELS = {
    "i": (270, 2290, 3010), "e": (530, 1840, 2480), "a": (730, 1090, 2440),
    "o": (570, 840, 2410), "u": (300, 870, 2240), "@": (490, 1350, 1690),
}  # fmt: skip
BANDWIDTHS = (60, 90, 150)
# What the voice says: consonant (or none) and vowel, seconds, pitch in Hz.
SYLLABLES = (
    ("n", "u", 0.20, 118), ("", "o", 0.16, 126), ("k", "o", 0.18, 132), ("d", "e", 0.17, 120),
    ("k", "@", 0.22, 110), ("s", "i", 0.20, 130), ("ng", "@", 0.16, 138), ("s", "a", 0.24, 125),
    ("t", "u", 0.18, 112), ("", "u", 0.30, 100),
)  # fmt: skip


def smooth(values: npt.ArrayLike, times: npt.ArrayLike, length: int) -> Audio:
    """Piecewise linear curve through (times, values), slightly rounded."""
    curve = np.interp(np.arange(length) / RATE, np.asarray(times), np.asarray(values))
    kernel = np.hanning(int(0.03 * RATE))
    padded = np.pad(curve, len(kernel) // 2, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="same")[
        len(kernel) // 2 : len(kernel) // 2 + length
    ]


def noise(length: int, low: float, high: float, rng: np.random.Generator) -> Audio:
    """White noise between two frequencies."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    freqs = np.fft.rfftfreq(length, 1 / RATE)
    spectrum *= (freqs > low) & (freqs < high)
    out = np.fft.irfft(spectrum, length)
    return out / max(1e-9, float(np.abs(out).max()))


def speech(rng: np.random.Generator) -> Audio:
    """The syllables: harmonics of a gliding pitch weighted by gliding formants, and noise."""
    total = sum(s[2] for s in SYLLABLES) + 0.3
    length = int(total * RATE)
    starts = np.cumsum([0.1, *(s[2] for s in SYLLABLES[:-1])])
    middles = starts + [s[2] / 2 for s in SYLLABLES]
    pitch = smooth([s[3] for s in SYLLABLES], middles, length)
    pitch *= 1 + 0.012 * np.sin(2 * np.pi * 5.5 * np.arange(length) / RATE)
    tracks = [smooth([VOWELS[s[1]][k] for s in SYLLABLES], middles, length) for k in range(3)]
    voiced, times = [], []
    for (consonant, _, seconds, _), start in zip(SYLLABLES, starts, strict=True):
        dip = 0.05 if consonant in ("k", "t", "s") else 0.4 if consonant else 0.8
        times += [start, start + 0.25 * seconds, start + 0.8 * seconds]
        voiced += [dip, 1.0, 0.8]
    loudness = smooth([0.0, *voiced, 0.0], [0.0, *times, total - 0.15], length)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    out = np.zeros(length)
    for harmonic in range(1, 60):
        freq = harmonic * pitch
        response = sum(
            gain / np.sqrt(1 + ((freq - centre) / width) ** 2)
            for centre, width, gain in zip(tracks, BANDWIDTHS, (1.0, 0.6, 0.35), strict=True)
        )
        out += response * harmonic**-0.7 * np.sin(harmonic * phase) * (freq < 9000)
    out *= loudness / np.abs(out).max()
    for (consonant, _, _, _), start in zip(SYLLABLES, starts, strict=True):
        if consonant == "s":
            burst, low, high, gain = 0.11, 4500, 11000, 0.22
        elif consonant in ("k", "t"):
            burst, low, high, gain = 0.035, 1500 if consonant == "k" else 3000, 8000, 0.3
        else:
            continue
        count = int(burst * RATE)
        at = int(max(0, start - burst / 2) * RATE)
        out[at : at + count] += gain * noise(count, low, high, rng) * np.hanning(count)
    return out


def pluck(freq: float, seconds: float) -> Audio:
    """A plucked string: harmonics that fade the faster the higher they are."""
    time = np.arange(int(seconds * RATE)) / RATE
    out = np.zeros(len(time))
    for harmonic in range(1, int(min(24, 15000 / freq)) + 1):
        stretched = freq * harmonic * np.sqrt(1 + 2e-4 * harmonic**2)
        fade = np.exp(-time * (1.5 + 0.5 * harmonic))
        out += np.sin(2 * np.pi * stretched * time + harmonic) * fade * harmonic**-1.2
    return out * np.minimum(1, time / 0.003)


def music(length: int) -> tuple[Audio, Audio]:
    """Two bars of plucked chords and an organ bass: (left, right)."""
    left, right = np.zeros(length), np.zeros(length)
    chords = (
        (220.0, 277.2, 329.6),
        (196.0, 246.9, 293.7),
        (174.6, 220.0, 261.6),
        (164.8, 207.7, 246.9),
    )
    step = length / RATE / 16
    for note in range(16):
        chord = chords[note // 4]
        freq = chord[note % 3] * (2 if note % 4 == 3 else 1)
        sound = 0.3 * pluck(freq, 1.2)
        at = int(note * step * RATE)
        count = min(len(sound), length - at)
        pan = 0.5 + 0.35 * np.sin(note)
        left[at : at + count] += (1 - pan) * sound[:count]
        right[at : at + count] += pan * sound[:count]
    time = np.arange(length) / RATE
    for k, chord in enumerate(chords):
        here = (time >= k * 4 * step) & (time < (k + 1) * 4 * step)
        edge = np.convolve(here, np.hanning(800) / np.hanning(800).sum(), mode="same")
        bass = sum(np.sin(2 * np.pi * chord[0] / 2 * h * time) / h for h in (1, 2, 4, 8))
        left += 0.08 * edge * bass
        right += 0.08 * edge * bass
    return left, right


def clip(seconds: float = 8.0, seed: int = 7) -> npt.NDArray[np.float32]:
    """Stereo audio [n, 2]: the phrase three times over the accompaniment, at different places."""
    rng = np.random.default_rng(seed)
    length = int(seconds * RATE)
    left, right = music(length)
    for start, pan in ((0.6, 0.5), (3.2, 0.3), (5.6, 0.7)):
        voice = 0.5 * speech(rng)
        at = int(start * RATE)
        count = max(0, min(len(voice), length - at))
        left[at : at + count] += (1 - pan) * 2 * voice[:count]
        right[at : at + count] += pan * 2 * voice[:count]
    both = np.stack([left, right], axis=1)
    return (0.8 * both / np.abs(both).max()).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=8.0)
    args = parser.parse_args()
    soundfile.write(args.out, clip(args.seconds), RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
