"""Stand in, in training, for the waveform that a layer codes beside the codes.

A codec whose decode gets quantised MDCT coefficients of the original below some frequency need not
spend codes on what those bring: shown the sum in training, it learns what is left to it, which is
the treble, the envelope, and what fills the coefficients that are zero.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SECONDS = 0.01
"""From one frame of coefficients to the next; a window is twice as long."""
TOP = 12_000.0
"""Hertz from which on nothing is coded, at the most."""
LEAST_TOP = 4_000.0
DEAD_ZONE = 0.36
"""Added before a magnitude, in steps, is rounded down."""
EXPONENT = 0.25
"""Of a band's mean square in its step: half of 0.5, so that louder bands get more bits."""
FILL, MOST_FILL = 0.7, 0.5
"""What of the decode's own coefficient, and of a step at most, stands in for a zero."""
PREDICTED, PREDICTION = 800.0, 0.85
"""Below so many hertz the difference from that share of the decode is quantised."""
TOGETHER = 4
"""Frames that have their steps in common."""
NONZERO = (0.01, 0.12)
"""Least and largest share of coefficients that are not zero: about 1 and 10 kbps up to 8 kHz."""


class WaveformLayer(nn.Module):
    """Quantises what a decode lacks of the original, with steps that the decode implies."""

    basis: Tensor
    gather: Tensor
    spread: Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.hop = hop = round(SECONDS * sample_rate)
        self.per_hertz = 2 * hop / sample_rate
        self.top = min(TOP, sample_rate / 2)
        count = round(self.top * self.per_hertz)
        n, k = np.arange(2 * hop), np.arange(count)
        angle = np.pi / hop * np.outer(n + 0.5 + hop / 2, k + 0.5)
        window = np.sin(np.pi * (n + 0.5) / (2 * hop))
        basis = math.sqrt(2 / hop) * window[:, None] * np.cos(angle)
        edges, low = [0], 0.0
        while low < self.top:
            low += max(100.0, 0.12 * low)
            edges.append(round(min(low, self.top) * self.per_hertz))
        band = np.searchsorted(edges, k, side="right") - 1
        member = (band[:, None] == np.arange(len(edges) - 1)).astype(np.float32)
        self.register_buffer("basis", torch.from_numpy(basis).float(), persistent=False)
        gather = torch.from_numpy(member / member.sum(0))
        self.register_buffer("gather", gather, persistent=False)
        self.register_buffer("spread", torch.from_numpy(member.T.copy()), persistent=False)

    def coefficients(self, audio: Tensor) -> Tensor:
        """Turn audio [B, T] into coefficients [B, frames, below the top]."""
        frames = F.pad(audio, (self.hop, self.hop + -audio.shape[-1] % self.hop))
        return frames.unfold(-1, 2 * self.hop, self.hop) @ self.basis

    def audio(self, coefficients: Tensor, length: int) -> Tensor:
        """Turn coefficients [B, frames, below the top] into audio [B, ``length``]."""
        pieces = coefficients @ self.basis.T
        first, second = pieces[..., : self.hop], pieces[..., self.hop :]
        return (first[:, 1:] + second[:, :-1]).flatten(1)[:, :length]

    def forward(self, reference: Tensor, decoded: Tensor, using: Tensor) -> Tensor:
        """Decoded audio [B, T] with the layer in those items that are ``using`` [B] it; how fine
        its steps are, and up to what frequency it goes, is drawn for each.

        Gradients go to what the layer leaves alone: the decode above its top frequency, where it
        fills zeros, and what was predicted. The integers count as given.
        """
        mine = self.coefficients(decoded)
        with torch.no_grad():
            step, near, share = self._steps(mine, using)
            aim = self.coefficients(reference)
            scaled = (aim - share * mine) / step
            # Drawn on the CPU, whose random state a run keeps.
            drawn = torch.rand(len(using)).to(using.device)
            low, high = (math.log(value) for value in NONZERO)
            rank = (drawn * (high - low) + low).exp()
            gain = self._gains(scaled.abs(), near, rank) / (1 - DEAD_ZONE)
            step = step * gain
            integers = (scaled / gain).abs().add(DEAD_ZONE).floor().copysign(scaled)
            most = MOST_FILL * step
        fill = torch.where(share > 0, share * mine, FILL * mine.maximum(-most).minimum(most))
        coded = integers * step + share * mine
        new = torch.where(integers == 0, fill, coded)
        change = torch.where(near, new - mine, 0.0)
        return decoded + self.audio(change, decoded.shape[-1])

    def _steps(self, mine: Tensor, using: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return relative steps of coefficients [B, frames, K], which of them the layer has [B,
        1, K], and what share of the decode is the prediction [K].
        """
        power = mine.square() @ self.gather
        frames = power.shape[1]
        padded = F.pad(power.transpose(1, 2), (0, -frames % TOGETHER), mode="replicate")
        mean = F.avg_pool1d(padded, TOGETHER).repeat_interleave(TOGETHER, -1)[..., :frames]
        step = (mean.transpose(1, 2).clamp_min(1e-6) @ self.spread).pow(EXPONENT)
        hertz = torch.arange(mine.shape[-1], device=mine.device) / self.per_hertz
        tops = LEAST_TOP * (TOP / LEAST_TOP) ** torch.rand(len(using)).to(using.device)
        near = (hertz < tops[:, None]) & using[:, None]
        return step, near[:, None], PREDICTION * (hertz < PREDICTED)

    @staticmethod
    def _gains(scaled: Tensor, near: Tensor, share: Tensor) -> Tensor:
        """Return what magnitudes [B, frames, K] a ``share`` [B] of those ``near`` is above [B,
        1, 1].
        """
        found = torch.ones(len(scaled), 1, 1, device=scaled.device)
        for item, (values, mask) in enumerate(zip(scaled, near, strict=True)):
            if mask.any():
                chosen = values[:, mask[0]].flatten()
                above = max(1, round(float(share[item]) * len(chosen)))
                found[item] = chosen.topk(above).values[-1].clamp_min(1e-6)
        return found
