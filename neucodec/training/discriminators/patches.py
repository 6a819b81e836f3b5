"""Define a discriminator cheap enough for one CPU core: patches of power-compressed complex
spectra.

It looks at what DAC's multi-band complex STFT discriminators look at (arXiv 2306.06546, section
3.3), in few channels and in matrix products only, which CPUs do best: every band of bins has a
projection of its own, and from there on neighbouring frames and pairs of bands are merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from . import Features

SLOPE = 0.1
"""Of the leaky ReLUs, as in DAC's discriminators."""
POWER = 0.3
"""What magnitudes are raised to, so that quiet partials and the upper octaves count."""


class PatchDiscriminator(nn.Module):
    """Judges at one resolution: spectrum of ``window`` samples, hops of a quarter of that."""

    window: Tensor

    def __init__(self, window: int, widths: Sequence[int], patch: int = 8) -> None:
        """Take ``widths`` of the layers; ``patch`` is how many bins make a band at first."""
        super().__init__()
        bands = window // 2 // patch
        if bands % 2 ** (len(widths) - 1):
            raise ValueError(f"{bands} bands cannot be halved {len(widths) - 1} times")
        self.patch = patch
        self.bands = nn.Parameter(torch.randn(bands, 3 * patch, widths[0]) * (3 * patch) ** -0.5)
        self.offsets = nn.Parameter(torch.zeros(bands, widths[0]))
        self.merges = nn.ModuleList(weight_norm(nn.Linear(6 * a, b)) for a, b in pairwise(widths))
        self.verdict = weight_norm(nn.Linear(3 * widths[-1], 1))
        self.register_buffer("window", torch.hann_window(window), persistent=False)

    def spectrum(self, audio: Tensor) -> Tensor:
        """Audio [B, T] to compressed spectra [B, F, bands, 3 * patch], the top bin left out: real
        part, imaginary part and magnitude of each bin."""
        size = len(self.window)
        frames = audio.unfold(-1, size, size // 4) * self.window
        bins = torch.fft.rfft(frames, norm="ortho")[..., : size // 2]
        power = bins.real.square() + bins.imag.square() + 1e-6
        gain = power.pow((POWER - 1) / 2)
        parts = torch.stack([bins.real * gain, bins.imag * gain, gain * power.sqrt()], -1)
        return parts.reshape(*parts.shape[:2], -1, 3 * self.patch)

    def forward(self, audio: Tensor) -> list[Tensor]:
        """Turn audio [B, T] into the features [B, F, bands, width] of each layer, the verdict
        last.
        """
        x = torch.matmul(self.spectrum(audio).transpose(1, 2), self.bands).transpose(1, 2)
        x = F.leaky_relu(x + self.offsets.to(x.dtype), SLOPE)
        features = [x]
        for merge in self.merges:
            batch, frames, bands, _ = (wide := adjacent(x)).shape
            x = F.leaky_relu(merge(wide.reshape(batch, frames, bands // 2, -1)), SLOPE)
            features.append(x)
        features.append(self.verdict(adjacent(x)))
        return features


def adjacent(x: Tensor) -> Tensor:
    """Put each frame beside its two neighbours: [B, F, bands, C] to [B, F - 2, bands, 3 * C]."""
    return torch.cat([x[:, :-2], x[:, 1:-1], x[:, 2:]], dim=-1)


class PatchDiscriminators(nn.Module):
    """Judges at each of several windows."""

    def __init__(self, windows: Sequence[int], widths: Sequence[int], patch: int = 8) -> None:
        super().__init__()
        self.networks = nn.ModuleList(PatchDiscriminator(w, widths, patch) for w in windows)

    def forward(self, audio: Tensor) -> Features:
        """Turn audio [B, 1, T] into the features of every network."""
        return [network(audio[:, 0]) for network in self.networks]
