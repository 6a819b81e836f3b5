"""Measures loudness as ITU-R BS.1770-4 defines it, in one pass and constant memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .samples import Audio

if TYPE_CHECKING:
    from .source import Source


DAC_LUFS = -16.0
"""Loudness, in LUFS, to which DAC's own code brings all audio."""
ABSOLUTE_GATE = -70.0
"""Loudness, in LUFS, below which a block of 400 ms counts as silence."""
RELATIVE_GATE = -10.0
"""Level, in LU relative to the mean of the other blocks, below which a block does not count."""

# The two stages of K-weighting as analogue prototypes, which at 48 kHz become the coefficients
# that the recommendation prints: a shelf for the head's effect, a high pass.
_SHELF_HZ, _SHELF_Q, _SHELF_DB = 1681.974450955533, 0.7071752369554196, 3.999843853973347
_HIGH_PASS_HZ, _HIGH_PASS_Q = 38.13547087602444, 0.5003270373238773
_RESPONSE_SECONDS = 0.15
"""Length of the impulse responses; the high pass's is below 1e-14 after it."""


def k_weighting(rate: int) -> npt.NDArray[np.float64]:
    """Return the impulse response of both stages of K-weighting at a sample rate in Hz, [n]."""
    gain, shelf = 10 ** (_SHELF_DB / 20), math.tan(math.pi * _SHELF_HZ / rate)
    middle = gain**0.4996667741545416
    a0 = 1 + shelf / _SHELF_Q + shelf**2
    first = (
        [(gain + middle * shelf / _SHELF_Q + shelf**2) / a0,
         2 * (shelf**2 - gain) / a0,
         (gain - middle * shelf / _SHELF_Q + shelf**2) / a0],
        [2 * (shelf**2 - 1) / a0, (1 - shelf / _SHELF_Q + shelf**2) / a0],
    )  # fmt: skip
    high = math.tan(math.pi * _HIGH_PASS_HZ / rate)
    a0 = 1 + high / _HIGH_PASS_Q + high**2
    second = (
        [1.0, -2.0, 1.0],
        [2 * (high**2 - 1) / a0, (1 - high / _HIGH_PASS_Q + high**2) / a0],
    )
    response = np.zeros(round(_RESPONSE_SECONDS * rate))
    response[0] = 1.0
    for (b0, b1, b2), (a1, a2) in (first, second):
        x1 = x2 = y1 = y2 = 0.0
        for n, x in enumerate(response.tolist()):
            y = b0 * x + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2
            response[n] = y
            x1, x2, y1, y2 = x, x1, y, y1
    return response


def channel_weights(channels: int) -> npt.NDArray[np.float64]:
    """Return the weight of each channel: 1.41 for surrounds, 0 for the low frequencies of 5.1."""
    weights = np.ones(channels)
    if channels == 5:
        weights[3:] = 1.41
    elif channels >= 6:
        weights[3] = 0.0
        weights[4:] = 1.41
    return weights


class LoudnessMeter:
    """Measures the loudness of a signal that is given block by block."""

    def __init__(self, rate: int, channels: int) -> None:
        self.peak = 0.0
        """The largest absolute sample so far."""
        self._rate, self._weights = rate, channel_weights(channels)
        self._response = k_weighting(rate)
        self._before = np.zeros((len(self._response) - 1, channels))
        self._powers: list[float] = []  # of every whole 100 ms, channels weighted and added
        self._sum, self._filled, self._samples = 0.0, 0, 0

    def push(self, block: Audio) -> None:
        """Take the next samples [n, channels]."""
        if not len(block):
            return
        self.peak = max(self.peak, float(np.abs(block).max()))
        power = np.square(self._filtered(block)) @ self._weights
        while len(power):
            end = -(-(len(self._powers) + 1) * self._rate // 10)
            part, power = power[: end - self._samples], power[end - self._samples :]
            self._sum += float(part.sum())
            self._filled += len(part)
            self._samples += len(part)
            if self._samples == end:
                self._powers.append(self._sum / self._filled)
                self._sum, self._filled = 0.0, 0

    def _filtered(self, block: Audio) -> npt.NDArray[np.float64]:
        """Filter a block, [n, channels], going on from the blocks before; by its spectrum."""
        taps = len(self._response)
        joined = np.concatenate([self._before, block])
        self._before = joined[len(joined) - taps + 1 :]
        size = 1 << (len(joined) + taps - 1).bit_length()
        spectrum = np.fft.rfft(joined, size, axis=0)
        spectrum *= np.fft.rfft(self._response, size)[:, None]
        filtered: npt.NDArray[np.float64] = np.fft.irfft(spectrum, size, axis=0)
        return filtered[taps - 1 : len(joined)]

    @property
    def lufs(self) -> float:
        """Return the integrated loudness so far in LUFS; -inf for silence."""
        powers = np.array(self._powers)
        if len(powers) < 4:  # shorter than a block: all of it is one block
            rest = [self._sum / self._filled] if self._filled else []
            blocks = np.array([np.mean([*powers, *rest])]) if len(powers) or rest else powers
        else:
            blocks = np.convolve(powers, np.full(4, 0.25), "valid")
        blocks = blocks[blocks > _power(ABSOLUTE_GATE)]
        if not len(blocks):
            return -math.inf
        blocks = blocks[blocks > _power(_lufs(blocks.mean()) + RELATIVE_GATE)]
        return _lufs(blocks.mean())


def _lufs(power: float) -> float:
    """Return the loudness of a weighted mean power."""
    return -0.691 + 10 * math.log10(power)


def _power(lufs: float) -> float:
    """Return the weighted mean power of a loudness."""
    return float(10 ** ((lufs + 0.691) / 10))


def gain_to(source: Source, target: float = DAC_LUFS, *, mono: bool = False) -> float | None:
    """Return the gain in dB that brings a source to ``target`` LUFS; None for silence.

    It is smaller where peaks would exceed full scale, as in DAC's own code. With ``mono`` the mean
    of all channels is measured. Reads all of the source.
    """
    meter = LoudnessMeter(source.sample_rate, 1 if mono else source.channels)
    for block in source.blocks(65536):
        meter.push(block.mean(axis=1, keepdims=True) if mono else block)
    if not math.isfinite(meter.lufs):
        return None
    return min(target - meter.lufs, -20 * math.log10(meter.peak))
