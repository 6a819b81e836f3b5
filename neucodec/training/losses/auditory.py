"""Measure how alike two sounds are in the ear's bands, as ViSQOL does before it judges."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .spectral import stft

BANDS, LOWEST = 32, 50.0
"""The number of bands, and the centre of the lowest one in Hz."""
SECONDS = 0.08
"""The length of a window in seconds; hops are a quarter of it."""
RANGE_DB = 45.0
"""The range of levels in dB: what is further below the loudest band of its frame is raised to its
lower end."""


def gammatone_filters(sample_rate: int, window: int, bands: int = BANDS) -> Tensor:
    """Return the power responses [window / 2 + 1, bands] of gammatone filters of fourth order.

    Centres are even on the scale of equivalent rectangular bandwidths (Glasberg and Moore 1990)
    from 50 Hz to just under half the sample rate, and the filters 1.019 such bandwidths wide.
    """
    quality, least = 9.26449, 24.7
    top = sample_rate / 2
    offset = quality * least
    steps = torch.arange(bands, 0, -1, dtype=torch.float64) / bands
    centres = (top + offset) * ((LOWEST + offset) / (top + offset)) ** steps - offset
    width = 1.019 * (centres / quality + least)
    freqs = torch.linspace(0, top, window // 2 + 1, dtype=torch.float64)
    return (1 + ((freqs[:, None] - centres) / width).square()).pow(-4).float()


class AuditoryDistance(nn.Module):
    """Computes 1 minus the similarity of two signals' spectrograms in the ear's bands.

    The neurogram similarity of Hines and Harte (Speech Communication 54, 2012, equation 4) as
    ViSQOL (arXiv 2004.09584) takes it of decibels in 32 gammatone bands and windows of 80 ms:
    around every point, how alike levels are, times the correlation of their rises and falls. The
    constants are larger here, so that gradients stay finite where hardly anything rises or falls.
    """

    STRUCTURE = 0.01
    """A constant in dB^2 that is added to covariances, so that much smaller ones do not count."""

    window: Tensor
    filters: Tensor
    kernel: Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        size = 4 * round(SECONDS * sample_rate / 4)
        self.register_buffer("window", torch.hann_window(size), persistent=False)
        self.register_buffer("filters", gammatone_filters(sample_rate, size), persistent=False)
        near = torch.tensor([math.exp(-2.0), 1.0, math.exp(-2.0)])
        kernel = near[:, None] * near
        self.register_buffer("kernel", (kernel / kernel.sum())[None, None], persistent=False)

    def levels(self, audio: Tensor) -> Tensor:
        """Return the levels [B, bands, F] of audio [B, T] that is at about unit level.

        As in ViSQOL a level is ten times the logarithm of an amplitude.
        """
        size = len(self.window)
        real, imaginary = torch.view_as_real(stft(audio, self.window)).unbind(-1)
        power = real.square() + imaginary.square()
        energy = power @ self.filters * (2 / size**2)
        return 5 * (energy + 1e-7).log10().transpose(1, 2)

    def forward(self, reference: Tensor, decoded: Tensor) -> Tensor:
        """Return the distance (scalar, 0 to 2) of two signals [B, T]."""
        return 1 - self.similarity(reference, decoded).mean()

    def similarity(self, reference: Tensor, decoded: Tensor) -> Tensor:
        """Return the similarity [B, bands, F] of two signals [B, T] around every point."""
        levels = torch.stack([self.levels(audio) for audio in (reference, decoded)])
        floor = levels.amax((0, 2), keepdim=True) - RANGE_DB
        a, b = (torch.maximum(levels, floor) + 35).unbind()
        mean_a, mean_b = self._around(a), self._around(b)
        spread_a = self._around(a.square()) - mean_a.square()
        spread_b = self._around(b.square()) - mean_b.square()
        together = self._around(a * b) - mean_a * mean_b
        alike = (2 * mean_a * mean_b + 1) / (mean_a.square() + mean_b.square() + 1)
        c = self.STRUCTURE
        spread = (spread_a.clamp_min(0) * spread_b.clamp_min(0) + 1e-8).sqrt()
        return alike * (together + c) / (spread + c)

    def _around(self, x: Tensor) -> Tensor:
        """Return the weighted means [B, bands, F] of each point and its eight neighbours."""
        return F.conv2d(F.pad(x[:, None], (1, 1, 1, 1), mode="replicate"), self.kernel)[:, 0]
