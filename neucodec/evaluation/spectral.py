"""Compute distances between spectra, as the DAC paper measures them (arXiv 2306.06546).

Both are set as in DAC's own code (its ``conf/base.yml``, and ``MultiScaleSTFTLoss`` and
``MelSpectrogramLoss`` of audiotools, whose values these are): Hann windows, hops of a quarter
window, ends padded by reflection, magnitudes not below 1e-5. The paper's figures are of audio at
44.1 kHz; values at other rates are not comparable.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[np.float32]
"""One channel [n], full scale 1."""

MEL_BANDS = {32: 5, 64: 10, 128: 20, 256: 40, 512: 80, 1024: 160, 2048: 320}
"""Bands by window length in samples."""
STFT_WINDOWS = (2048, 512)
FLOOR = np.float32(1e-5)

_BLOCK = 1 << 21  # samples of windowed frames in memory at once


def mel_distance(reference: Signal, decoded: Signal, sample_rate: int) -> float:
    """Return the mean absolute difference of log10 mel magnitudes, summed over seven windows."""
    total = 0.0
    for window, bands in MEL_BANDS.items():
        filters = mel_filters(sample_rate, window, bands)
        total += _mean(
            np.abs(_log10(a @ filters) - _log10(b @ filters))
            for a, b in _magnitudes(reference, decoded, window)
        )
    return total


def stft_distance(reference: Signal, decoded: Signal) -> float:
    """Return the mean absolute difference of log10 power, plus that of magnitudes, summed over two
    windows.

    The paper speaks of log magnitudes alone; its code adds the magnitudes as they are.
    """
    return sum(
        _mean(
            2 * np.abs(_log10(a) - _log10(b)) + np.abs(a - b)
            for a, b in _magnitudes(reference, decoded, window)
        )
        for window in STFT_WINDOWS
    )


@lru_cache(maxsize=32)
def mel_filters(sample_rate: int, window: int, bands: int) -> Signal:
    """Return Slaney's mel filter bank [window / 2 + 1, bands] from 0 Hz to half the sample rate.

    Linear below 1 kHz (200/3 Hz per mel), logarithmic above (27 mels per factor 6.4), triangles of
    equal area: what librosa calls ``norm="slaney"``.
    """
    top = 15 + 27 * np.log(sample_rate / 2000) / np.log(6.4)
    if sample_rate <= 2000:
        top = sample_rate / 2 * 3 / 200
    mels = np.linspace(0, top, bands + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))
    bins = np.linspace(0, sample_rate / 2, window // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins) / np.diff(edges)[1:]
    triangles = np.maximum(0, np.minimum(rising, falling))
    filters: Signal = (triangles * 2 / (edges[2:] - edges[:-2])).astype(np.float32)
    return filters


def _magnitudes(one: Signal, other: Signal, window: int) -> Iterator[tuple[Signal, Signal]]:
    """Give magnitude spectra [frames, window / 2 + 1] of both signals, block by block."""
    shape = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)
    frames = [
        np.lib.stride_tricks.sliding_window_view(np.pad(a, window // 2, "reflect"), window)
        for a in (one, other)
    ]
    hop = window // 4
    step = max(1, _BLOCK // window) * hop
    for start in range(0, len(frames[0]), step):
        first, second = (
            np.abs(np.fft.rfft(f[start : start + step : hop] * shape)).astype(np.float32)
            for f in frames
        )
        yield first, second


def _log10(magnitudes: Signal) -> Signal:
    logs: Signal = np.log10(np.maximum(magnitudes, FLOOR))
    return logs


def _mean(blocks: Iterator[Signal]) -> float:
    """Return the mean over all values of all blocks."""
    total, count = 0.0, 0
    for block in blocks:
        total += float(block.sum(dtype=np.float64))
        count += block.size
    return total / count
