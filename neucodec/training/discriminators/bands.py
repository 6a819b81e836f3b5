"""Define the multi-band, multi-scale complex STFT discriminator of DAC (arXiv 2306.06546,
section 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import Features
from .layers import conv2d, through

WINDOWS = (2048, 1024, 512)
BANDS = ((0.0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))
"""Shares of the spectrum, each with convolutions of its own."""


class BandDiscriminator(nn.Module):
    """Judges at one resolution: spectrum of ``size`` samples, hops of a quarter of that."""

    window: Tensor

    def __init__(self, size: int, width: int = 32) -> None:
        super().__init__()
        self.size = size
        bins = size // 2 + 1
        self.edges = [(int(low * bins), int(high * bins)) for low, high in BANDS]
        self.bands = nn.ModuleList(
            nn.ModuleList(
                [
                    conv2d(2, width, (3, 9)),
                    *(conv2d(width, width, (3, 9), (1, 2)) for _ in range(3)),
                    conv2d(width, width, (3, 3)),
                ]
            )
            for _ in BANDS
        )
        self.verdict = conv2d(width, 1, (3, 3))
        self.register_buffer("window", torch.hann_window(size), persistent=False)

    def spectrum(self, audio: Tensor) -> Tensor:
        """Turn audio [B, 1, T] into real and imaginary parts [B, 2, ceil(T / hop), bins].

        Padded so that frames stand over the hops of the audio, as a convolution's would.
        """
        hop = self.size // 4
        pad = (self.size - hop) // 2
        padded = F.pad(audio, (pad, pad - audio.shape[-1] % -hop), mode="reflect")
        # Upstream pads by half a window once more and drops the four frames which that adds.
        frames = padded[:, 0].unfold(-1, self.size, hop) * self.window
        return torch.view_as_real(torch.fft.rfft(frames)).permute(0, 3, 1, 2)

    def forward(self, audio: Tensor) -> list[Tensor]:
        """Turn audio [B, 1, T] into the features [B, C, F, bins'] of each layer of each band,
        the verdict [B, 1, F, sum of bins'] last.
        """
        spectrum = self.spectrum(audio)
        features, ends = [], []
        for (low, high), band in zip(self.edges, self.bands, strict=True):
            assert isinstance(band, nn.ModuleList)
            features += through(band, spectrum[..., low:high])
            ends.append(features[-1])
        return [*features, self.verdict(torch.cat(ends, dim=-1))]


class BandDiscriminators(nn.Module):
    """Judges at each of several windows."""

    def __init__(self, width: int = 32, windows: Sequence[int] = WINDOWS) -> None:
        super().__init__()
        self.networks = nn.ModuleList(BandDiscriminator(size, width) for size in windows)

    def forward(self, audio: Tensor) -> Features:
        """Turn audio [B, 1, T] into the features of every network."""
        return [network(audio) for network in self.networks]
