"""Residual vector quantisers of the published codecs, in inference form.

A residual quantiser is a chain of codebooks, each coding what the ones before it left over
(SoundStream, arXiv 2107.03312, section III-C). The chain is the same in all of them; what
"nearest" means is the codebook's to say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .argmax import argmax


class Codebook(nn.Module, ABC):
    """One stage of a residual quantiser."""

    @abstractmethod
    def encode(self, latent: Tensor) -> Tensor:
        """Latent [..., D] to codes [...] (int64)."""

    @abstractmethod
    def decode(self, codes: Tensor) -> Tensor:
        """Codes [...] to their share of the latent [..., D]."""


class EuclideanCodebook(Codebook):
    """Nearest entry by Euclidean distance, in the latent's own dimensions."""

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.entries = nn.Parameter(torch.zeros(size, dim))

    def encode(self, latent: Tensor) -> Tensor:
        """Latent [..., D] to codes [...] (int64)."""
        # |x|^2 does not change which entry is nearest, but without it the rounding of near-ties
        # would differ from that of the code that the weights were trained and published with.
        square = latent.square().sum(-1, keepdim=True)
        nearness = 2 * latent @ self.entries.T - square - self.entries.square().sum(-1)
        return argmax(nearness)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [...] to their entries [..., D]."""
        return F.embedding(codes, self.entries)


class CosineCodebook(Codebook):
    """Nearest entry by angle, in a projection to a few dimensions (arXiv 2306.06546, section 3.2).

    Only the direction is compared; what is decoded is the entry with its own length.
    """

    def __init__(self, size: int, dim: int, latent: int) -> None:
        super().__init__()
        self.down = nn.Linear(latent, dim)
        self.up = nn.Linear(dim, latent)
        self.entries = nn.Parameter(torch.zeros(size, dim))

    def encode(self, latent: Tensor) -> Tensor:
        """Latent [..., D] to codes [...] (int64)."""
        point = F.normalize(self.down(latent), dim=-1)
        return (point @ F.normalize(self.entries, dim=-1).T).argmax(-1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [...] to their share of the latent [..., D]."""
        share: Tensor = self.up(F.embedding(codes, self.entries))
        return share


class ResidualCodebooks(nn.Module):
    """A chain of codebooks of one kind."""

    def __init__(self, codebooks: Iterable[Codebook]) -> None:
        super().__init__()
        self.codebooks = nn.ModuleList(codebooks)

    def _first(self, count: int) -> list[Codebook]:
        if not 1 <= count <= len(self.codebooks):
            raise ValueError(f"{count} codebooks asked for, there are 1 to {len(self.codebooks)}")
        return list(cast("Iterable[Codebook]", self.codebooks))[:count]

    def encode(self, latent: Tensor, count: int) -> Tensor:
        """Latent [B, F, D] to codes [B, count, F] (int64)."""
        residual, codes = latent, []
        for book in self._first(count):
            code = book.encode(residual)
            codes.append(code)
            residual = residual - book.decode(code)
        return torch.stack(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, K, F] to the quantised latent [B, F, D]."""
        first, *rest = self._first(codes.shape[1])
        latent = first.decode(codes[:, 0])
        for k, book in enumerate(rest, start=1):
            latent = latent + book.decode(codes[:, k])
        return latent
