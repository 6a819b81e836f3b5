"""Measure mel distances as the recipes of the published codecs have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .spectral import mel_filters


@dataclass(frozen=True)
class Scale:
    """Describes one spectrogram of a multi-scale distance."""

    window: int
    """The window's length in samples; hops are a quarter of it."""
    bands: int
    """The number of mel bands."""
    weight: float = 1.0
    """The weight of this spectrogram in the sum."""


DAC_SCALES = tuple(Scale(32 << k, 5 << k) for k in range(7))
"""Windows 32 to 2048, hops down to 8, bands 5 to 320 (DAC paper, section 3.4)."""
ENCODEC_SCALES = tuple(Scale(1 << k, 64) for k in range(5, 12))
"""Windows 2^5 to 2^11, 64 bands (EnCodec paper, section 3.4)."""
HIFICODEC_SCALES = (Scale(1024, 80, 45.0), Scale(512, 80), Scale(256, 80))
"""As in HiFi-Codec's training code, the first being HiFi-GAN's; hops are a quarter here."""


class MelDistance(nn.Module):
    """Sums the distances of spectrograms of several scales, with centred Hann windows."""

    def __init__(self, sample_rate: int, scales: Sequence[Scale] = DAC_SCALES) -> None:
        super().__init__()
        self.scales = tuple(scales)
        for k, scale in enumerate(self.scales):
            filters = mel_filters(sample_rate, scale.window, scale.bands)
            self.register_buffer(f"filters{k}", filters, persistent=False)
            self.register_buffer(f"window{k}", torch.hann_window(scale.window), persistent=False)

    def mels(self, k: int, audio: Tensor) -> Tensor:
        """Return the mel magnitudes [B * C, bands, F] of audio [B, C, T] at the k-th scale."""
        window = getattr(self, f"window{k}")
        size = len(window)
        bins = torch.stft(audio.flatten(0, 1), size, size // 4, window=window, return_complex=True)
        # |s| by hand: the gradient of abs() is not finite at zero.
        magnitude = (bins.real.square() + bins.imag.square() + 1e-14).sqrt()
        return torch.matmul(getattr(self, f"filters{k}"), magnitude)

    def compare(self, k: int, reference: Tensor, decoded: Tensor) -> Tensor:
        """Return the L1 distance of log10 magnitudes, floored at 1e-5 (DAC)."""
        logs = [m.clamp_min(1e-5).log10() for m in (reference, decoded)]
        return (logs[0] - logs[1]).abs().mean()

    def forward(self, reference: Tensor, decoded: Tensor) -> Tensor:
        """Return the distance (scalar) of two signals [B, C, T]: the weighted sum over scales."""
        terms = [
            scale.weight * self.compare(k, self.mels(k, reference), self.mels(k, decoded))
            for k, scale in enumerate(self.scales)
        ]
        return torch.stack(terms).sum()


class EncodecMelDistance(MelDistance):
    """Averages over scales the L1 distance of magnitudes and the L2 distance of their logarithms.

    EnCodec, equation 1 with all weights one; spectra are normalised by the window's energy. The
    paper leaves open what the L2 is of; logarithms are what the authors' later code has.
    """

    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate, ENCODEC_SCALES)

    def compare(self, k: int, reference: Tensor, decoded: Tensor) -> Tensor:
        """Return L1 plus the root mean square of differences of natural logarithms."""
        energy = getattr(self, f"window{k}").square().sum().sqrt()
        pair = [m / energy for m in (reference, decoded)]
        logs = [m.clamp_min(1e-5).log() for m in pair]
        return (pair[0] - pair[1]).abs().mean() + (
            (logs[0] - logs[1]).square().mean() + 1e-12
        ).sqrt()

    def forward(self, reference: Tensor, decoded: Tensor) -> Tensor:
        """Return the distance (scalar) of two signals [B, C, T]."""
        return super().forward(reference, decoded) / (2 * len(self.scales))
