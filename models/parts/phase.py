"""Phases of a spectrum that a decoder knows in part."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

FRAMES = 128
"""After so many frames the noise begins anew."""
FADE = 32
"""Bins over which it takes over from the phases that are known, unless said otherwise."""
SPREAD = (0.125, 0.25, 0.25, 0.25, 0.125)
"""Shares that neighbouring bins have in the power of one: a decoder that is judged by bands puts
all the power of four bins into one of them, and what was noise rings at their spacing."""
STEP = 2.1
"""Radians by which neighbouring bins of the noise differ at most. So a frame's sound stays within a
third of a window (STEP / 2 pi) of its middle: phases that have nothing to do with each other smear
what is sudden over all of the window, while with half of this noise pulsates at the frame rate."""


class Phases(nn.Module):
    """Directions of all bins from those of the lowest ones: the others get noise.

    For phases that nobody has coded a network settles on one pattern, the same in every frame, and
    what was noise comes out as a buzz at the frame rate. The noise is always the same, so that
    decoding stays a function of the codes alone; where in it a chunk begins is up to its codes, so
    that no two channels or chunks have the same.
    """

    noise: Tensor
    known: Tensor

    def __init__(self, bins: int, given: int, fade: int = FADE) -> None:
        """``given`` of the ``bins`` are known: all, or at least ``fade``, over which the noise
        takes over."""
        super().__init__()
        if not fade <= given <= bins:
            raise ValueError(f"{given} of {bins} bins with a phase: give {fade} to {bins}")
        self.bins, self.given, self.fade = bins, given, fade
        if given == bins:
            return
        # The one generator of numpy's whose numbers will never change (NEP 19).
        drawn = np.random.RandomState(0).random_sample((FRAMES, bins))
        # From bin to bin half a turn is a delay of half a window, the middle of the frame.
        angle = np.cumsum(np.pi + STEP * (2 * drawn - 1), axis=1)[:, given - fade :]
        noise = torch.from_numpy(np.stack([np.cos(angle), np.sin(angle)]))
        self.register_buffer("noise", noise.float(), persistent=False)
        known = torch.arange(fade, 0, -1, dtype=torch.float32, device="cpu") / (fade + 1)
        self.register_buffer("known", known, persistent=False)

    @staticmethod
    def start(codes: Tensor) -> Tensor:
        """The frame of the noise [B] at which chunks of codes [B, K, F] begin."""
        return codes[:, 0].sum(-1) % FRAMES

    @staticmethod
    def anywhere(chunks: Tensor) -> Tensor:
        """Frames [B] of the noise at which chunks [B, ...] begin in training, any, as with codes:
        none of the noise is to be learnt by heart."""
        # Drawn on the CPU, whose random state a run keeps.
        return torch.randint(FRAMES, (len(chunks),)).to(chunks.device)

    def forward(self, x: Tensor, y: Tensor, start: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Real and imaginary parts [B, F, given], of any length, to those of unit length
        [B, F, bins]. ``start`` [B] is as from `start`, or the noise's own."""
        x, y = _unit(x, y)
        if self.given == self.bins:
            return x, y
        first = self.given - self.fade
        noise = self._made_up(x, start)
        among = [
            part[..., first:] * self.known + made_up[..., : self.fade] * (1 - self.known)
            for part, made_up in zip((x, y), noise, strict=True)
        ]
        above = slice(self.fade, None)
        real, imaginary = (
            torch.cat(
                [part[..., :first], mixed, made_up[..., above].expand(x.shape[0], -1, -1)], dim=-1
            )
            for part, mixed, made_up in zip((x, y), _unit(*among), noise, strict=True)
        )
        return real, imaginary

    def complete(self, numbers: Tensor, magnitudes: Tensor, start: Tensor | None = None) -> Tensor:
        """Spectrum [B, F, bins], magnitudes being roots of amplitudes: of the complex ``numbers``
        [B, F, bins], of which only what is given counts, and above of ``magnitudes`` [B, F, bins],
        whose power is spread over neighbours (`SPREAD`), with the noise's phases."""
        first = self.given - self.fade
        noise = torch.complex(*self._made_up(magnitudes, start)) * spread(magnitudes[..., first:])
        fading, above = noise[..., : self.fade], noise[..., self.fade :]
        mixed = numbers[..., first : self.given] * self.known + fading * (1 - self.known)
        return torch.cat([numbers[..., :first], mixed, above], dim=-1)

    def _made_up(self, like: Tensor, start: Tensor | None) -> Tensor:
        """The noise [2, B or 1, F, bins above] for so many frames."""
        frames = torch.arange(like.shape[1], device=like.device)
        at = frames[None] if start is None else frames + start[:, None]
        made_up: Tensor = self.noise[:, at % FRAMES]
        return made_up


def spread(magnitudes: Tensor) -> Tensor:
    """Roots of amplitudes [B, F, bins] with their powers averaged over neighbouring bins."""
    reach = len(SPREAD) // 2
    power = magnitudes.square().square()
    padded = F.pad(power, (reach, reach), mode="replicate")
    bins = power.shape[-1]
    total = sum(weight * padded[..., k : k + bins] for k, weight in enumerate(SPREAD))
    assert isinstance(total, Tensor)
    return (total + 1e-12).pow(0.25)


def _unit(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    scale = torch.rsqrt(x.square() + y.square() + 1e-8)
    return x * scale, y * scale
