"""Analyse and synthesise one chunk of audio by a short-time Fourier transform and overlap-add."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Spectrum(nn.Module):
    """Hann-windowed STFT without centring, and the overlap-add that undoes it.

    Frame ``i`` covers samples ``[i * hop, i * hop + size)`` of its input, so ``F`` frames need
    ``(F - 1) * hop + size`` samples. A squared Hann window at 75 % overlap sums to exactly 1.5,
    so synthesis divides by that constant and adjacent chunks may be added together.
    """

    window: Tensor
    """Hann window [size]."""

    def __init__(self, size: int, hop: int) -> None:
        """Take the window's size and the hop in samples; ValueError unless size is four hops."""
        super().__init__()
        if size != 4 * hop:
            raise ValueError(f"window of {size} samples needs a hop of {size // 4}, not {hop}")
        self.size, self.hop = size, hop
        self.register_buffer("window", torch.hann_window(size, device="cpu"), persistent=False)

    def analyse(self, audio: Tensor) -> Tensor:
        """Turn audio [B, (F - 1) * hop + size] into a complex spectrum [B, F, size / 2 + 1]."""
        frames = audio.unfold(-1, self.size, self.hop) * self.window
        return torch.fft.rfft(frames, norm="ortho")

    def synthesise(self, spectrum: Tensor) -> Tensor:
        """Turn a complex spectrum [B, F, size / 2 + 1] into audio [B, (F - 1) * hop + size].

        The first and last ``size - hop`` samples lack the frames of the neighbouring chunks.
        """
        frames = torch.fft.irfft(spectrum, n=self.size, norm="ortho") * (self.window / 1.5)
        batch, count, _ = frames.shape
        # Each frame is four hops long: add four shifted copies instead of looping over frames.
        parts = frames.reshape(batch, count, 4, self.hop)
        out = frames.new_zeros(batch, count + 3, self.hop)
        for k in range(4):
            out[:, k : k + count] += parts[:, :, k]
        return out.reshape(batch, -1)
