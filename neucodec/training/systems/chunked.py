"""Codecs that code overlapped chunks by themselves, each at unit level: Neu and SpecTokenizer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from ...models.quantise import ResidualQuantiser
from ..recipe import Recipe
from .system import Decoded, System


class ChunkNetwork(Protocol):
    """What Neu and SpecTokenizer have in common."""

    quantiser: ResidualQuantiser


class ChunkedSystem(System):
    """An item is a few adjacent chunks, added together where they overlap, so that the losses see
    the seams."""

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
        """All the codebooks that there are."""
        return self.codebooks

    @property
    def width(self) -> int:
        """Samples of a chunk, context included."""
        return self.recipe.frames * self.hop + 2 * self.context

    @property
    def stride(self) -> int:
        """Samples from one chunk's start to the next's."""
        return (self.recipe.frames - self.shared) * self.hop

    @property
    def length(self) -> int:
        """Samples of an item."""
        return (self.recipe.chunks - 1) * self.stride + self.width

    def counts(self, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Half of the draws are skewed to few codebooks, which need most of the learning."""
        r = self.recipe
        most = np.where(rng.random(r.batch) < 0.5, self.codebooks, min(10, self.codebooks))
        drawn = rng.integers(1, most + 1)
        kind = rng.random(r.batch)
        drawn[kind < r.bypass_share + r.full_share] = self.codebooks
        drawn[kind < r.bypass_share] = 0
        return drawn

    def forward(self, audio: Tensor, counts: Tensor | None) -> Decoded:
        """Code audio [B, 1, T]: both signals come at unit level, without the ends that lack a
        neighbour."""
        mono = audio[:, 0]
        chunks, scale = self._levelled(mono)
        penalties = {}
        with self.autocast(audio):
            latent = self.analyse(chunks.flatten(0, 1)).float()
            if counts is not None:
                with torch.autocast(audio.device.type, enabled=False):
                    each = counts.repeat_interleave(self.recipe.chunks)
                    quantised = self.quantiser(latent, each)
                latent = quantised.latent
                penalties["commitment"] = quantised.commitment
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
        """Chunks [B, chunks, width] of items [B, T] at unit RMS, and the scales that undo it."""
        chunks = audio.unfold(-1, self.width, self.stride)
        scale = chunks.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-5)
        return chunks / scale, scale

    @torch.no_grad()
    def start_codebooks(self, batch: Callable[[int], Tensor]) -> None:
        """By k-means on the latents of at least four batches, and twelve points for each entry."""
        latents = []
        size = len(self.quantiser.stages(1)[0].entries)
        r = self.recipe
        for number in range(max(4, -(-12 * size // (r.batch * r.chunks * r.frames)))):
            chunks, _ = self._levelled(batch(number)[:, 0])
            latents.append(self.analyse(chunks.flatten(0, 1)).flatten(0, 1))
        self.quantiser.start(torch.cat(latents).float())
