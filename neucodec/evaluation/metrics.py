"""Measure how near decoded audio is to its reference, by measures that have names."""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import soxr

from neucodec.audio.samples import Audio
from neucodec.errors import NeucodecError
from neucodec.terminal.signals import end_if_told

from .spectral import Signal, mel_distance, stft_distance

"""Samples [n, channels], full scale 1."""

SHORTEST = 1.0
"""Seconds that ViSQOL needs."""


@dataclass(frozen=True)
class Metric:
    """Describes one measure of two signals [n] of equal length and rate."""

    name: str
    title: str
    says: str
    """What it tells, for readers of a report."""
    function: Callable[[Signal, Signal, int], float | None]
    """Of reference, decoded and their rate in Hz; None where it is not defined for these."""
    higher: bool
    """Whether higher is better."""
    digits: int = 2
    rate: int | None = None
    """Hz at which it is defined; None for any."""
    mix: bool = False
    """Whether it hears a mix of all channels to one; else it is the mean over channels."""
    speech: bool = False
    """Whether it is made for speech alone."""
    packages: tuple[str, ...] = ()
    """What has to be importable for it."""


def si_sdr(reference: Signal, decoded: Signal, sample_rate: int = 0) -> float | None:
    """Return the scale-invariant signal-to-distortion ratio in dB (arXiv 1811.02508, equation 4).

    Means are removed first, as in DAC's code. None where a signal is constant.
    """
    a = reference.astype(np.float64) - reference.mean(dtype=np.float64)
    b = decoded.astype(np.float64) - decoded.mean(dtype=np.float64)
    if not a.any() or not b.any():
        return None
    target = a * (b @ a / (a @ a))
    noise = b - target
    # Bounded by what float32 samples can hold: identical signals have no finite ratio.
    return float(10 * math.log10((target @ target + 1e-20) / (noise @ noise + 1e-15 * (b @ b))))


def _mel(reference: Signal, decoded: Signal, sample_rate: int) -> float:
    return mel_distance(reference, decoded, sample_rate)


def _stft(reference: Signal, decoded: Signal, sample_rate: int) -> float:
    return stft_distance(reference, decoded)


@cache
def _visqol(mode: str) -> Any:
    from visqol import VisqolApi

    api = VisqolApi()
    # Without its lattice model speech mode would quietly give other figures.
    api.create(mode=mode, use_lattice_model=True if mode == "speech" else None)
    return api


def _visqol_in(mode: str) -> Callable[[Signal, Signal, int], float | None]:
    def measure(reference: Signal, decoded: Signal, sample_rate: int) -> float | None:
        if not reference.any() or not decoded.any():
            return None
        both = (a.astype(np.float64) for a in (reference, decoded))
        return float(_visqol(mode).measure_from_arrays(*both, sample_rate).moslqo)

    return measure


def _pesq(reference: Signal, decoded: Signal, sample_rate: int) -> float | None:
    from pesq import PesqError, pesq

    try:
        return float(pesq(sample_rate, reference, decoded, "wb"))
    except (PesqError, ValueError):  # no speech, silence, or too much for its tables
        return None


def _stoi(reference: Signal, decoded: Signal, sample_rate: int) -> float | None:
    from pystoi import stoi

    with warnings.catch_warnings():
        # What it warns of is that there is too little speech, for which it gives 1e-5.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(stoi(reference, decoded, sample_rate))
        except RuntimeWarning:
            return None


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            "visqol", "ViSQOL", "estimate of listeners' opinion, 1 to 5 (audio mode, 48 kHz)",
            _visqol_in("audio"), higher=True, rate=48000, mix=True, packages=("visqol",),
        ),
        Metric(
            "mel", "mel", "distance of log mel spectra over seven windows (DAC, 44.1 kHz)",
            _mel, higher=False, rate=44100,
        ),
        Metric(
            "stft", "STFT", "distance of log spectra over two windows (DAC, 44.1 kHz)",
            _stft, higher=False, rate=44100,
        ),
        Metric(
            "si-sdr", "SI-SDR", "scale-invariant signal-to-distortion ratio of waveforms, dB",
            si_sdr, higher=True, digits=1,
        ),
        Metric(
            "visqol-speech", "ViSQOL speech", "the same estimate in speech mode, 16 kHz",
            _visqol_in("speech"), higher=True, rate=16000, mix=True, speech=True,
            packages=("visqol", "ai_edge_litert"),
        ),
        Metric(
            "pesq", "PESQ", "wide-band PESQ, 1 to 4.64 (ITU-T P.862.2, 16 kHz)",
            _pesq, higher=True, rate=16000, mix=True, speech=True, packages=("pesq",),
        ),
        Metric(
            "stoi", "STOI", "short-time objective intelligibility, 0 to 1 (10 kHz)",
            _stoi, higher=True, digits=3, rate=16000, mix=True, speech=True,
            packages=("pystoi",),
        ),
    )
}  # fmt: skip


def choose_metrics(names: Iterable[str], speech: bool = True) -> list[Metric]:
    """Return metrics by their names, in the order of ``METRICS``, all of whose packages are here.

    Those made for speech are left out unless ``speech``. Raises NeucodecError for a name that there
    is none of, and where a package is missing.
    """
    wanted = list(names)
    for name in wanted:
        if name not in METRICS:
            raise NeucodecError(f"no metric is called {name!r}; there are {', '.join(METRICS)}")
    chosen = [
        metric
        for metric in METRICS.values()
        if metric.name in wanted and (speech or not metric.speech)
    ]
    missing = [m for m in chosen if not all(map(_is_here, m.packages))]
    if missing:
        left = ",".join(m.name for m in METRICS.values() if all(map(_is_here, m.packages)))
        raise NeucodecError(
            f"{', '.join(m.name for m in missing)}: the packages are missing: "
            f"pip install 'neucodec-cli[evaluate]', or measure without them: --metrics {left}"
        )
    return chosen


def measure(
    reference: Audio, decoded: Audio, sample_rate: int, metrics: Iterable[Metric]
) -> dict[str, float | None]:
    """Return what each metric gives for two signals [n, channels] of one shape and rate."""
    if reference.shape != decoded.shape:
        raise ValueError(f"shapes {reference.shape} and {decoded.shape} differ")

    @cache
    def at(rate: int) -> tuple[Audio, Audio]:
        return resampled(reference, sample_rate, rate), resampled(decoded, sample_rate, rate)

    found: dict[str, float | None] = {}
    for metric in metrics:
        end_if_told()
        rate = metric.rate or sample_rate
        pair = at(rate)
        if metric.mix:
            pair = (pair[0].mean(axis=1, keepdims=True), pair[1].mean(axis=1, keepdims=True))
        with _quiet():
            values = [
                metric.function(
                    np.ascontiguousarray(pair[0][:, k]), np.ascontiguousarray(pair[1][:, k]), rate
                )
                for k in range(pair[0].shape[1])
            ]
        known = [value for value in values if value is not None and math.isfinite(value)]
        found[metric.name] = sum(known) / len(known) if known else None
    return found


def resampled(audio: Audio, sample_rate: int, rate: int) -> Audio:
    """Resample audio [n, channels] to another rate (libsoxr, VHQ)."""
    return audio if sample_rate == rate else soxr.resample(audio, sample_rate, rate, "VHQ")


def _is_here(package: str) -> bool:
    return find_spec(package) is not None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the chatter of metric packages, of which some is written by C code, off standard error.

    Not for several threads at once.
    """
    with suppress(OSError):  # a full disk, of which only messages are lost
        sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # there is none
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
