"""Hold training audio: a folder of files in memory, sampled by kind and augmented."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from neucodec.audio.samples import Audio
from neucodec.errors import NeucodecError
from neucodec.terminal.signals import end_if_told

SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff"}


def audio_below(folder: Path) -> list[Path]:
    """Return all audio files below a folder, in order. Raises NeucodecError where there are none.

    Pipes and devices are left out: whoever opens one may wait for ever.
    """
    named = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    found = sorted(path for path in named if path.is_file())
    if not found:
        kinds = ", ".join(sorted(SUFFIXES))
        raise NeucodecError(f"no audio under {folder}: give a folder with {kinds}")
    return found


class Corpus:
    """Draws excerpts evenly from the kinds (first-level folders) of one or more trees.

    Within a kind a file is drawn in proportion to its length, and files whose own sample rate is
    below the codec's count for less, since they cannot teach it the upper octaves.
    """

    def __init__(
        self,
        roots: Iterable[Path],
        sample_rate: int,
        cache: Path | None = None,
        channels: int = 1,
    ) -> None:
        """Read everything under ``roots`` into memory, as int16 arrays [T], or [channels, T] if
        there are several; resampled files are kept in the folder ``cache``."""
        self.sample_rate, self.channels = sample_rate, channels
        self.kinds: dict[str, list[npt.NDArray[np.int16]]] = {}
        self.weights: dict[str, npt.NDArray[np.float64]] = {}
        weights: dict[str, list[float]] = {}
        for root in roots:
            for path in audio_below(root):
                end_if_told()
                audio, rate = self._load(path, cache)
                kind = path.relative_to(root).parts[0]
                self.kinds.setdefault(kind, []).append(audio)
                full = min(1.0, rate / sample_rate)
                weights.setdefault(kind, []).append(audio.shape[-1] * full * full)
        for kind, values in weights.items():
            self.weights[kind] = np.asarray(values) / np.sum(values)

    def _load(self, path: Path, cache: Path | None) -> tuple[npt.NDArray[np.int16], int]:
        rate = int(soundfile.info(path).samplerate)
        text = f"{path}:{path.stat().st_size}:{self.sample_rate}"
        text += f":{self.channels}" if self.channels > 1 else ""
        key = hashlib.sha256(text.encode())
        cached = cache / f"{key.hexdigest()[:24]}.npy" if cache else None
        if cached and cached.exists():
            return np.load(cached), rate
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
        if self.channels == 1 or audio.shape[1] != self.channels:
            audio = audio.mean(axis=1, keepdims=True)
        if rate != self.sample_rate:
            audio = soxr.resample(audio, rate, self.sample_rate, quality="VHQ")
        samples = np.round(np.clip(audio, -1, 1) * 32767).astype(np.int16)
        samples = np.ascontiguousarray(samples[:, 0] if self.channels == 1 else samples.T)
        if self.channels > len(np.atleast_2d(samples)):
            samples = np.repeat(samples, self.channels, axis=0)
        if cached:
            cached.parent.mkdir(parents=True, exist_ok=True)
            # Another process may look for it just now.
            partial = cached.with_suffix(f".{os.getpid()}.partial")
            with partial.open("wb") as file:
                np.save(file, samples)
            partial.replace(cached)
        return samples, rate

    @property
    def seconds(self) -> float:
        """Return the length of everything held, in seconds."""
        return sum(a.shape[-1] for k in self.kinds.values() for a in k) / self.sample_rate

    def excerpt(self, length: int, rng: np.random.Generator, augment: bool = True) -> Audio:
        """One excerpt [T] (or [channels, T]) of ``length`` samples, never silent; augmented by
        mixing, equalising, turning over and now and then a signal of test benches instead."""
        if not augment:
            return self._crop(length, rng, vary=0.0)
        if rng.random() < 0.1:
            mono = synthetic(length, self.sample_rate, rng)
            return mono if self.channels == 1 else panned(mono, self.channels, rng)
        audio = self._crop(length, rng)
        if rng.random() < 0.15:
            other = self._crop(length, rng)
            audio = audio + other * (rms(audio) / rms(other) * 10 ** rng.uniform(-1, 0))
        if rng.random() < 0.3:
            audio = equalise(audio, self.sample_rate, rng)
        if rng.random() < 0.5:
            audio = -audio
        return np.ascontiguousarray(audio, dtype=np.float32)

    def _crop(self, length: int, rng: np.random.Generator, vary: float = 0.4) -> Audio:
        """Cut a random excerpt; a share ``vary`` of them has pitch and tempo shifted together by
        up to a third of an octave.
        """
        for _ in range(20):
            kind = list(self.kinds)[rng.integers(len(self.kinds))]
            files = self.kinds[kind]
            audio = files[rng.choice(len(files), p=self.weights[kind])]
            ratio = 2 ** rng.uniform(-1 / 3, 1 / 3) if rng.random() < vary else 1.0
            need = int(length * ratio) + 64
            start = int(rng.integers(-length // 4, max(1, audio.shape[-1] - need + length // 4)))
            piece = audio[..., max(0, start) : max(0, start + need)].astype(np.float32) / 32768
            if ratio != 1.0 and piece.size:
                shifted = soxr.resample(piece.T, self.sample_rate * ratio, self.sample_rate, "HQ")
                piece = shifted.T
            piece = piece[..., :length]
            gap = length - piece.shape[-1]
            front = gap if start < 0 else int(rng.integers(gap + 1)) if rng.random() < 0.3 else 0
            ends = [(0, 0)] * (piece.ndim - 1) + [(front, gap - front)]
            padded = np.pad(piece, ends).astype(np.float32)
            if rms(padded) > 1e-4:
                return padded
        raise NeucodecError("20 excerpts in a row were silent: the corpus holds next to no sound")


def panned(mono: Audio, channels: int, rng: np.random.Generator) -> Audio:
    """Return a mono signal [T] in several channels, each with a gain of its own."""
    return (mono * rng.uniform(0.3, 1, (channels, 1))).astype(np.float32)


def rms(audio: Audio) -> float:
    """Return the root mean square, kept off zero."""
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)) + 1e-12))


def equalise(audio: Audio, sample_rate: int, rng: np.random.Generator) -> Audio:
    """Apply a smooth random gain over log frequency, up to +-9 dB, sometimes with a low-pass."""
    spectrum = np.fft.rfft(audio)
    freqs = np.linspace(0, sample_rate / 2, spectrum.shape[-1])
    octave = np.log2(np.maximum(freqs, 30) / 30)
    gain = np.interp(octave, np.linspace(0, 9.6, 7), rng.uniform(-9, 9, 7))
    if rng.random() < 0.15:
        cut = rng.uniform(4000, 16000)
        gain -= np.maximum(0, freqs - cut) / cut * 200
    return np.asarray(
        np.fft.irfft(spectrum * 10 ** (gain / 20), n=audio.shape[-1]), dtype=np.float32
    )


def synthetic(length: int, sample_rate: int, rng: np.random.Generator) -> Audio:
    """Make tones, chirps, noise or clicks: what test benches play and corpora lack."""
    time = np.arange(length) / sample_rate
    audio: npt.NDArray[Any]
    shape = rng.integers(4)
    if shape == 0:  # one to four steady tones, up to 40 dB apart, over more or less noise
        tones = 40 * 2 ** rng.uniform(0, 8.8, rng.integers(1, 5))
        gains = 10 ** rng.uniform(-2, 0, len(tones))
        audio = rng.standard_normal(length) * 10 ** rng.uniform(-5, -2)
        for frequency, gain in zip(tones, gains / gains.max(), strict=True):
            audio = audio + gain * np.sin(2 * np.pi * (frequency * time + rng.random()))
    elif shape == 1:  # exponential sweep
        low, high = 40 * 2 ** rng.uniform(0, 8.5, 2)
        seconds, growth = length / sample_rate, np.log(high / low)
        growth = growth if abs(growth) > 1e-3 else 1e-3
        audio = np.sin(2 * np.pi * low * seconds / growth * np.expm1(time / seconds * growth))
    elif shape == 2:  # noise of random slope
        audio = equalise(rng.standard_normal(length).astype(np.float32), sample_rate, rng)
    else:  # clicks, some of a single sample, over more or less noise
        audio = rng.standard_normal(length) * 10 ** rng.uniform(-6, -2)
        for at in rng.integers(0, length, rng.integers(1, 24)):
            decay = np.exp(-np.arange(min(length - at, 400)) / rng.uniform(0.1, 60))
            audio[at : at + len(decay)] += rng.uniform(-1, 1) * decay
    plain = np.asarray(audio, dtype=np.float32)
    return (0.1 * plain / rms(plain)).astype(np.float32)
