"""Complete the phases of a spectrum whose lowest bins alone have phases from a decoder."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

FRAMES = 128
"""Length of the noise: after this many frames it begins anew."""
FADE = 32
"""Over how many bins noise takes over from the known phases, unless said otherwise."""
SPREAD = (0.125, 0.25, 0.25, 0.25, 0.125)
"""Kernel that spreads a bin's power over its neighbours. A decoder that is trained on magnitudes of
bands tends to put a band's power into one of its four bins; noise then rings at that spacing."""
STEP = 2.1
"""Largest difference in radians between neighbouring bins of the noise. It keeps a frame's sound
within a third of a window (STEP / 2 pi) of its middle. Independent phases would smear a sudden
sound over the whole window; with half this step noise pulsates at the frame rate."""


class Phases(nn.Module):
    """Directions of all bins of spectra: known ones for the lowest bins, noise for the others.

    For phases that are not coded a network settles on one pattern, the same in every frame, and
    noise comes out as a buzz at the frame rate. The noise here is always the same, so that decoding
    stays a function of the codes alone. The codes of a chunk decide where in the noise it begins,
    so that channels and chunks differ.
    """

    noise: Tensor
    """Cosines and sines [2, FRAMES, bins - given + fade] of the noise's phases."""
    known: Tensor
    """Weights [fade] of the known directions, where noise takes over from them."""

    def __init__(self, bins: int, given: int, fade: int = FADE) -> None:
        """Take how many of the ``bins`` are ``given``: all, or at least ``fade``.

        Over the last ``fade`` of the given bins the noise takes over. Raises ValueError for other
        numbers.
        """
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
        """Return at which frame of the noise [B] chunks of codes [B, K, F] begin."""
        return codes[:, 0].sum(-1) % FRAMES

    @staticmethod
    def anywhere(chunks: Tensor) -> Tensor:
        """Draw at which frame of the noise [B] chunks [B, ...] begin in training.

        So a network does not learn the noise by heart.
        """
        # Drawn on the CPU, whose random state a run keeps.
        return torch.randint(FRAMES, (len(chunks),)).to(chunks.device)

    def forward(self, x: Tensor, y: Tensor, start: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Complete directions: real and imaginary parts [B, F, given] to [B, F, bins].

        Those given may be of any length, those returned are of unit length. ``start`` [B] is as
        `start` gives it; None begins at the noise's first frame.
        """
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
        """Complete a spectrum [B, F, bins] whose magnitudes are roots of amplitudes.

        The given bins are those of the complex ``numbers`` [B, F, bins]. Above them come
        ``magnitudes`` [B, F, bins], their power spread over neighbours (`SPREAD`), with the noise's
        phases.
        """
        first = self.given - self.fade
        noise = torch.complex(*self._made_up(magnitudes, start)) * spread(magnitudes[..., first:])
        fading, above = noise[..., : self.fade], noise[..., self.fade :]
        mixed = numbers[..., first : self.given] * self.known + fading * (1 - self.known)
        return torch.cat([numbers[..., :first], mixed, above], dim=-1)

    def _made_up(self, like: Tensor, start: Tensor | None) -> Tensor:
        """Return the noise [2, B or 1, F, bins above] for as many frames as ``like`` [B, F] has."""
        frames = torch.arange(like.shape[1], device=like.device)
        at = frames[None] if start is None else frames + start[:, None]
        made_up: Tensor = self.noise[:, at % FRAMES]
        return made_up


def spread(magnitudes: Tensor) -> Tensor:
    """Average the powers of roots of amplitudes [B, F, bins] over neighbouring bins."""
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
