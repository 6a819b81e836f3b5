"""Define the multi-scale STFT discriminator of EnCodec (arXiv 2210.13438, section 3.4 and figure
2).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from . import Features
from .layers import conv2d, through

WINDOWS = (1024, 2048, 512)
SLOPE = 0.2
"""Of the leaky ReLUs."""
DILATIONS = (1, 2, 4)
"""Of the inner layers, in time."""


class StftDiscriminator(nn.Module):
    """Judges at one resolution: spectrum of ``size`` samples, hops of a quarter of that, all
    channels.
    """

    window: Tensor

    def __init__(self, size: int, width: int = 32, channels: int = 1) -> None:
        super().__init__()
        # The first layer has no weight norm, as upstream.
        self.layers = nn.ModuleList([nn.Conv2d(2 * channels, width, (3, 9), padding=(1, 4))])
        self.layers.extend(conv2d(width, width, (3, 9), (1, 2), d) for d in DILATIONS)
        self.layers.append(conv2d(width, width, (3, 3)))
        self.verdict = conv2d(width, 1, (3, 3))
        window = torch.hann_window(size)
        self.register_buffer("window", window, persistent=False)
        self.scale = 1 / float(window.square().sum().sqrt())

    def forward(self, audio: Tensor) -> list[Tensor]:
        """Turn audio [B, C, T] into the features [B, width, F, bins'] of each layer, the verdict
        last.
        """
        size = len(self.window)
        frames = audio.unfold(-1, size, size // 4) * self.window
        bins = torch.fft.rfft(frames) * self.scale
        features = through(self.layers, torch.cat([bins.real, bins.imag], dim=1), SLOPE)
        return [*features, self.verdict(features[-1])]


class StftDiscriminators(nn.Module):
    """Judges at each of several windows."""

    def __init__(
        self, width: int = 32, windows: Sequence[int] = WINDOWS, channels: int = 1
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(StftDiscriminator(size, width, channels) for size in windows)

    def forward(self, audio: Tensor) -> Features:
        """Turn audio [B, C, T] into the features of every network."""
        return [network(audio) for network in self.networks]
