"""Measure distances of spectra between a reference and a reconstruction, both [B, T]."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neucodec.evaluation import spectral

NEAR = 9
"""The number of neighbouring bins over which the coherence of two spectra is averaged."""


def mel_filters(sample_rate: int, window: int, bands: int) -> Tensor:
    """Return the mel filter bank [bands, window / 2 + 1] with which codecs are evaluated, too."""
    filters = spectral.mel_filters(sample_rate, window, bands)
    return torch.from_numpy(np.ascontiguousarray(filters.T))


def stft(audio: Tensor, window: Tensor) -> Tensor:
    """Return the complex STFT [B, F, bins] of audio [B, T], with hops of a quarter window.

    Windows are not centred: the first one begins with the first sample.
    """
    spectrum: Tensor = _Stft.apply(audio, window)  # type: ignore[no-untyped-call]
    return spectrum


class _Stft(torch.autograd.Function):
    """Computes `stft` with a gradient of its own: one real transform and four shifted sums.

    The gradient that torch derives takes a complex transform of twice the size, and scatters
    sample by sample.
    """

    @staticmethod
    def forward(ctx: Any, audio: Tensor, window: Tensor) -> Tensor:
        ctx.save_for_backward(window)
        ctx.length = audio.shape[-1]
        size = len(window)
        return torch.fft.rfft(audio.unfold(-1, size, size // 4) * window)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (window,) = ctx.saved_tensors
        size, hop = len(window), len(window) // 4
        # The first and last bin have no twin above, so they count twice as much as irfft has it.
        gradient = gradients[0].clone()
        gradient[..., 0] *= 2
        gradient[..., -1] *= 2
        frames = torch.fft.irfft(gradient, n=size, norm="forward") * (window / 2)
        batch, count, _ = frames.shape
        out = frames.new_zeros(batch, ctx.length)
        for k, part in enumerate(frames.split(hop, dim=-1)):
            out[:, k * hop : (k + count) * hop] += part.reshape(batch, -1)
        return out, None


class SpectralLoss(nn.Module):
    """Computes a multi-scale mel distance and a compressed complex distance from the same spectra.

    Mel: L1 between log10 mel magnitudes, summed over windows 32 to 2048 with 5 to 320 bands and
    hops of a quarter window (DAC paper, section 3.4). Complex: L1 between spectra of two of the
    windows (``complex_windows``) with magnitudes raised to 0.3; unlike magnitudes it sees the
    phase, and the power keeps quiet bins in the count (cf. Braun and Tashev, arXiv 2009.12286,
    equation 3).
    """

    BANDS = {32: 5, 64: 10, 128: 20, 256: 40, 512: 80, 1024: 160, 2048: 320}  # noqa: RUF012

    def __init__(
        self, sample_rate: int, min_coherence: float = 1.0, phases_to: float = 1.0
    ) -> None:
        """Weight bins in the complex distance by their coherence with the reference.

        No weight is below ``min_coherence``: at 1 all bins count alike. Bins above ``phases_to``
        (a share of half the sample rate), where a codec codes no phases, do not count.
        """
        super().__init__()
        self.min_coherence = min_coherence
        self.phases_to = phases_to
        # 12 and 46 ms, 16 and 32 ms: much longer ones see no phase where a voice moves.
        self.complex_windows = (512, 2048) if sample_rate > 30000 else (256, 512)
        for size, bands in self.BANDS.items():
            self.register_buffer(f"window{size}", torch.hann_window(size), persistent=False)
            filters = mel_filters(sample_rate, size, bands)
            self.register_buffer(f"filters{size}", filters.T.contiguous(), persistent=False)
            # About even per octave above 500 Hz: phase is heard, and can be coded, low down.
            emphasis = 1 / (torch.linspace(0, sample_rate / 2, size // 2 + 1) + 500)
            emphasis = emphasis[: self._phases(size)]
            self.register_buffer(f"emphasis{size}", emphasis / emphasis.mean(), persistent=False)

    def draw(self, rng: np.random.Generator) -> dict[int, float]:
        """Draw the windows of one step, and return their weights by size.

        The windows of the complex distance are always among them; two of the others stand for all.
        """
        always = self.complex_windows
        others = [size for size in self.BANDS if size not in always]
        drawn = rng.choice(others, 2, replace=False)
        return dict.fromkeys(always, 1.0) | {int(size): len(others) / 2 for size in drawn}

    def forward(
        self, reference: Tensor, decoded: Tensor, weights: dict[int, float] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the mel and the complex distance (scalars) of two signals [B, T].

        ``weights`` are by window, 1 each unless given. A caller short of time may take a random few
        windows with larger weights, as `draw` gives them.
        """
        mel, phase = reference.new_zeros(()), reference.new_zeros(())
        for size, weight in (weights or dict.fromkeys(self.BANDS, 1.0)).items():
            window, filters = getattr(self, f"window{size}"), getattr(self, f"filters{size}")
            # By unbind(), whose gradient is one copy; that of .real and .imag is two and zeros.
            spectra = [
                torch.view_as_real(stft(audio, window)).unbind(-1) for audio in (reference, decoded)
            ]
            # |s| by hand: the gradient of abs() is not finite at zero.
            powers = [real.square() + imaginary.square() for real, imaginary in spectra]
            mels = [((p + 1e-10).sqrt() @ filters).clamp_min(1e-5).log10() for p in powers]
            mel = mel + weight * (mels[0] - mels[1]).abs().mean()
            if size in self.complex_windows:
                low = slice(self._phases(size))
                gains = [(p[..., low] / size + 1e-6).pow(-0.35) / math.sqrt(size) for p in powers]
                emphasis = getattr(self, f"emphasis{size}")
                real, imaginary = (
                    [s[part][..., low] * g for s, g in zip(spectra, gains, strict=True)]
                    for part in (0, 1)
                )
                worth = self._worth(real, imaginary)
                for a, b in (real, imaginary):
                    per_bin = ((a - b).abs() * worth).mean((0, 1))
                    phase = phase + weight * (per_bin @ emphasis) / a.shape[-1] / 2
        return mel, phase

    def _phases(self, size: int) -> int:
        """Return how many bins of a window count in the complex distance."""
        return round(self.phases_to * (size // 2)) + 1

    @torch.no_grad()
    def _worth(self, real: list[Tensor], imaginary: list[Tensor]) -> Tensor | float:
        """Return the weights of bins [B, F, bins], whose mean is 1, from the spectra's coherence.

        The phase of noise does not come through at low bitrates. Asking for it all the same makes
        decoded bins too small, and takes bits from their levels.
        """
        if self.min_coherence >= 1:
            return 1.0
        (a, b), (c, d) = real, imaginary

        def around(x: Tensor) -> Tensor:
            return F.avg_pool1d(x, NEAR, 1, NEAR // 2, count_include_pad=False)

        power = around(a.square() + c.square()) * around(b.square() + d.square())
        coherence = around(a * b + c * d) * (power + 1e-12).rsqrt()
        worth = coherence.clamp_min(self.min_coherence)
        return worth / worth.mean()
