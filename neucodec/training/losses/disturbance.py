"""Measure loudness in critical bands that is missing or added, which is how PESQ hears faults.

ITU-T P.862 (2001), clauses 10.2.5 to 10.2.10, with the wide band of P.862.2, less what serves
telephone lines: signals are aligned in time and level already, no filter and no varying gain is
compensated for, and a frame counts as much as any. Bands are of equal width in Bark. Values go with
PESQ's, and are smaller: PESQ makes more of the worst moments.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

BANDS = 49
"""The number of bands, which are equally wide in Bark."""
SECONDS = 0.032
"""The length of a window in seconds; hops are half of it."""
LISTENING_LEVEL = 79.0
"""The sound pressure level, in dB SPL, of audio at unit level."""
EXPONENT, SONES = 0.23, 0.1866
"""The exponent of Zwicker's power law of loudness and its scale, as P.862 has them for 16 kHz."""
MASKED = 0.25
"""The share of the smaller of two loudnesses by which they may differ without being heard."""
SYMMETRIC, ASYMMETRIC = 0.1, 0.0309
"""The weights with which PESQ subtracts the two kinds of disturbance from its score."""
LARGEST = 45.0
"""The upper bound of a frame's disturbance."""

Values = NDArray[np.float64]


def bark(frequency: Values) -> Values:
    """Return the critical-band rate in Bark of frequencies in Hz (Traunmueller, JASA 88, 1990,
    equation 6)."""
    return 26.81 * frequency / (1960 + frequency) - 0.53


def hertz(rate: Values) -> Values:
    """Return the frequencies in Hz of critical-band rates in Bark."""
    return 1960 * (rate + 0.53) / (26.28 - rate)


def threshold(frequency: Values) -> Values:
    """Return the sound pressure levels in dB that are just heard in quiet, of frequencies in Hz
    (Terhardt, Hearing Research 1, 1979)."""
    khz = np.maximum(frequency, 20.0) / 1000
    least: Values = 3.64 * khz**-0.8 - 6.5 * np.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4
    return least


class Disturbance(nn.Module):
    """Computes the disturbance of decoded audio at one sample rate."""

    window: Tensor
    filters: Tensor
    quiet: Tensor
    exponent: Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        size = 2 * round(SECONDS * sample_rate / 2)
        spacing = sample_rate / size
        window = torch.hann_window(size)
        top = min(8000.0, sample_rate / 2)
        lowest, highest = bark(np.array([spacing / 2, top])).tolist()
        rates = np.linspace(lowest, highest, BANDS + 1)
        edges, middle = hertz(rates), hertz((rates[1:] + rates[:-1]) / 2)
        # A bin counts in a band as far as the two overlap.
        bins = np.arange(size // 2 + 1)[:, None] * spacing
        low, high = (
            choose(edges[part], bins + side * spacing / 2)
            for choose, part, side in (
                (np.maximum, slice(None, -1), -1), (np.minimum, slice(1, None), 1)
            )
        )  # fmt: skip
        # Of a one-sided spectrum, so that a signal at unit level has the listening level.
        gain = 2 * 10 ** (LISTENING_LEVEL / 10) / (size * float(window.square().sum()))
        filters = gain * np.clip((high - low) / spacing, 0, 1)
        # Below 4 Bark loudness grows a little faster.
        faster = np.clip(6 / (bark(middle) + 2), 1, 2) ** 0.15
        self.width = float(rates[1] - rates[0])
        self.register_buffer("window", window, persistent=False)
        for name, values in (
            ("filters", filters),
            ("quiet", 10 ** (threshold(middle) / 10)),
            ("exponent", EXPONENT * faster),
        ):
            self.register_buffer(name, torch.from_numpy(values).float(), persistent=False)

    def powers(self, audio: Tensor) -> Tensor:
        """Return the powers [B, F, bands] of audio [B, T] at unit level; 1 is 0 dB SPL."""
        size = len(self.window)
        spectrum = torch.stft(
            audio, size, size // 2, window=self.window, center=False, return_complex=True
        )
        power = spectrum.real.square() + spectrum.imag.square()
        return power.transpose(1, 2) @ self.filters

    def loudness(self, power: Tensor) -> Tensor:
        """Return the loudness in sones per Bark of powers [..., bands]."""
        above = (power / self.quiet).clamp_min(1)
        scale = SONES * (self.quiet / 0.5) ** self.exponent
        return scale * ((0.5 + 0.5 * above) ** self.exponent - 1)

    def forward(self, reference: Tensor, decoded: Tensor) -> Tensor:
        """Return the disturbance (scalar) of decoded audio, both [B, T] at unit level."""
        wanted, got = self.powers(reference), self.powers(decoded)
        loud, other = self.loudness(wanted), self.loudness(got)
        heard = ((other - loud).abs() - MASKED * torch.minimum(loud, other)).clamp_min(0)
        # What was not there before annoys more than what is missing.
        factor = ((got.detach() + 50) / (wanted + 50)) ** 1.2
        factor = torch.where(factor < 3, 0, factor.clamp_max(12))
        both = (
            (heard.square().mean(-1) + 1e-6).sqrt() * BANDS * self.width**1.5,
            (heard * factor).sum(-1) * self.width,
        )
        # Soft frames count more.
        weight = ((wanted.sum(-1) + 1e5) / 1e7) ** -0.04
        frames = [(weight * part).clamp_max(LARGEST) for part in both]
        # Over time by their root mean square, where PESQ has sixth powers of short stretches.
        symmetric, asymmetric = ((part.square().mean(-1) + 1e-6).sqrt().mean() for part in frames)
        return SYMMETRIC * symmetric + ASYMMETRIC * asymmetric
