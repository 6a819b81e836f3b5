"""Define the multi-period discriminator of HiFi-GAN (arXiv 2010.05646, section 2.3), as DAC has
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from . import Features
from .layers import conv2d, through

PERIODS = (2, 3, 5, 7, 11)
"""Samples; prime, so that no two see the same."""


class PeriodDiscriminator(nn.Module):
    """Judges every ``period``-th sample by itself: a signal folded into columns."""

    def __init__(self, period: int, width: int = 32) -> None:
        super().__init__()
        self.period = period
        widths = (1, *(width * factor for factor in (1, 4, 16, 32)))
        self.layers = nn.ModuleList(conv2d(a, b, (5, 1), (3, 1)) for a, b in pairwise(widths))
        self.layers.append(conv2d(widths[-1], widths[-1], (5, 1)))
        self.verdict = conv2d(widths[-1], 1, (3, 1))

    def forward(self, audio: Tensor) -> list[Tensor]:
        """Turn audio [B, 1, T] into the features [B, C, T', period] of each layer, the verdict
        last.
        """
        # DAC adds a whole period where T is a multiple already; HiFi-GAN adds none there.
        x = F.pad(audio, (0, self.period - audio.shape[-1] % self.period), mode="reflect")
        features = through(self.layers, x.reshape(*x.shape[:2], -1, self.period))
        return [*features, self.verdict(features[-1])]


class PeriodDiscriminators(nn.Module):
    """Judges at each of several periods."""

    def __init__(self, width: int = 32, periods: Sequence[int] = PERIODS) -> None:
        super().__init__()
        self.networks = nn.ModuleList(PeriodDiscriminator(period, width) for period in periods)

    def forward(self, audio: Tensor) -> Features:
        """Turn audio [B, 1, T] into the features of every network."""
        return [network(audio) for network in self.networks]
