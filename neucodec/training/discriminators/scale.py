"""Define the multi-scale discriminator of MelGAN as HiFi-GAN has it (arXiv 2010.05646, section
2.3).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import remove_parametrizations

from . import Features
from .layers import conv1d, through

SCALES = 3
"""Of the audio as it is, averaged over two samples, and over two again."""
LAYERS = ((1, 15, 1, 1), (1, 41, 2, 4), (2, 41, 2, 16), (4, 41, 4, 16), (8, 41, 4, 16),
          (8, 41, 1, 16), (8, 5, 1, 1))  # fmt: skip
"""Width in units of the first layer's, kernel, stride and groups of each layer."""


class ScaleDiscriminator(nn.Module):
    """Judges by strided, grouped convolutions over the samples themselves."""

    def __init__(self, width: int = 128, spectral: bool = False) -> None:
        """Take ``spectral`` norm in place of weight norm, for the scale that sees the audio as
        it is.
        """
        super().__init__()
        self.layers = nn.ModuleList()
        inputs = 1
        for factor, kernel, stride, groups in LAYERS:
            self.layers.append(conv1d(inputs, width * factor, kernel, stride, groups))
            inputs = width * factor
        self.verdict = conv1d(inputs, 1, 3)
        if spectral:
            for layer in (*self.layers, self.verdict):
                spectral_norm(remove_parametrizations(layer, "weight"))

    def forward(self, audio: Tensor) -> list[Tensor]:
        """Turn audio [B, 1, T] into the features [B, C, T'] of each layer, the verdict last."""
        features = through(self.layers, audio)
        return [*features, self.verdict(features[-1])]


class ScaleDiscriminators(nn.Module):
    """Judges at each scale."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.networks = nn.ModuleList(ScaleDiscriminator(width, k == 0) for k in range(SCALES))

    def forward(self, audio: Tensor) -> Features:
        """Turn audio [B, 1, T] into the features of every network."""
        features: Features = []
        for k, network in enumerate(self.networks):
            if k:
                audio = F.avg_pool1d(audio, 4, 2, padding=2)
            features.append(network(audio))
        return features
