"""Train codecs that code overlapped chunks by themselves, each at unit level: Neu and
SpecTokenizer.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from neucodec.models.parts.trained_rvq import ResidualQuantiser
from neucodec.training.recipe import Recipe

from .system import Decoded, System


class ChunkNetwork(Protocol):
    """Describes what Neu and SpecTokenizer have in common."""

    quantiser: ResidualQuantiser


class ChunkedSystem(System):
    """Trains on items of a few adjacent chunks, added together where they overlap, so that the
    losses see the seams.
    """

    codebooks: int
    hop: int
    context: int
    """Samples beyond a chunk's own that its windows reach, on either side."""
    shared: ClassVar[int] = 0
    """Frames that adjacent chunks share."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.quantises_from = recipe.unquantised

    @property
    def quantiser(self) -> ResidualQuantiser:
        """The network's."""
        return cast(ChunkNetwork, self.network).quantiser

    @abstractmethod
    def analyse(self, chunks: Tensor) -> Tensor:
        """Chunks [N, width] to latents [N, F, D]."""

    @abstractmethod
    def synthesise(self, latent: Tensor) -> Tensor:
        """Latents [N, F, D] to chunks [N, width], ready to overlap-add."""

    @property
    def most(self) -> int:
        """Return the number of all codebooks."""
        return self.codebooks

    @property
    def width(self) -> int:
        """Return the samples of a chunk, context included."""
        return self.recipe.frames * self.hop + 2 * self.context

    @property
    def stride(self) -> int:
        """Return the samples from one chunk's start to the next's."""
        return (self.recipe.frames - self.shared) * self.hop

    @property
    def length(self) -> int:
        """Return the samples of an item."""
        return (self.recipe.chunks - 1) * self.stride + self.width

    def counts(self, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Draw the number of codebooks of each item; half of the draws are skewed to few
        codebooks, which need most of the learning.
        """
        r = self.recipe
        most = np.where(rng.random(r.batch) < 0.5, self.codebooks, min(10, self.codebooks))
        drawn = rng.integers(1, most + 1)
        kind = rng.random(r.batch)
        drawn[kind < r.bypass_share + r.full_share] = self.codebooks
        drawn[kind < r.bypass_share] = 0
        return drawn

    def forward(self, audio: Tensor, counts: Tensor) -> Decoded:
        """Code audio [B, 1, T]: both signals come at unit level, without the ends that lack a
        neighbour. Until codes are used, latents pass as they are, or through a noisy channel."""
        mono = audio[:, 0]
        chunks, scale = self._levelled(mono)
        each = counts.repeat_interleave(self.recipe.chunks)
        penalties = {}
        with self.autocast(audio):
            latent = self.analyse(chunks.flatten(0, 1)).float()
            with torch.autocast(audio.device.type, enabled=False):
                if self.quantising:
                    quantised = self.quantiser(latent, each)
                    latent, penalties["commitment"] = quantised.latent, quantised.commitment
                elif self.recipe.channel_bits:
                    latent = through_noise(latent, self.recipe.channel_bits * each)
            out = self.synthesise(latent)
        out = out.float().reshape(chunks.shape) * scale
        decoded = torch.zeros_like(mono)
        for k in range(self.recipe.chunks):
            decoded[:, k * self.stride : k * self.stride + self.width] += out[:, k]
        edge = self.width - self.stride
        level = mono.square().mean(-1, keepdim=True).sqrt() + 1e-5
        keep = slice(edge, mono.shape[-1] - edge)
        return Decoded((mono / level)[:, None, keep], (decoded / level)[:, None, keep], penalties)

    def _levelled(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Cut items [B, T] into chunks [B, chunks, width] at unit RMS; also return the scales
        that undo it.
        """
        chunks = audio.unfold(-1, self.width, self.stride)
        scale = chunks.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-5)
        return chunks / scale, scale

    @torch.no_grad()
    def start_codebooks(self, batch: Callable[[int], Tensor]) -> None:
        """By k-means on the latents of at least four batches, and forty points for each entry: with
        twelve what is new to it has half as much error again as what it started from."""
        latents = []
        size = len(self.quantiser.stages(1)[0].entries)
        r = self.recipe
        for number in range(max(4, -(-40 * size // (r.batch * r.chunks * r.frames)))):
            latents.append(self._latents(batch(number)))
        self.quantiser.start(torch.cat(latents))

    def _latents(self, audio: Tensor) -> Tensor:
        """Return the latents [N, D] of the frames of items [B, 1, T]."""
        chunks, _ = self._levelled(audio[:, 0])
        return self.analyse(chunks.flatten(0, 1)).flatten(0, 1).float()


def through_noise(latent: Tensor, bits: Tensor) -> Tensor:
    """Hand on latents [N, F, D] as a channel does that carries ``bits`` [N] a frame, of 0 bits as
    they are.

    All dimensions get white noise of one variance, such that of a Gaussian source with their
    variances no more can come through, and what arrives is scaled to the best guess, as the means
    are that codebooks hold (Cover and Thomas, Elements of Information Theory, 2nd edition, sections
    9.4 and 10.3).
    """
    flat = latent.flatten(0, 1)
    mean, variance = flat.mean(0), flat.var(0) + 1e-12
    low, high = (variance.detach().max() * share for share in (1e-8, 1e8))
    low, high = low.expand_as(bits), high.expand_as(bits)
    for _ in range(40):
        noise = (low * high).sqrt()
        too_much = (1 + variance.detach() / noise[:, None]).log2().sum(-1) / 2 > bits
        low, high = torch.where(too_much, noise, low), torch.where(too_much, high, noise)
    # It grows with the latents, or they would grow without end to be heard above it.
    share = torch.where(bits > 0, high, 0.0)[:, None, None] / variance.detach().sum()
    noise = share * variance.sum()
    arrived = latent - mean + noise.clamp_min(1e-12).sqrt() * torch.randn_like(latent)
    return mean + arrived * variance / (variance + noise)
