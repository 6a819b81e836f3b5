"""The chain of a residual quantiser, the same for trained and for published codebooks.

Each codebook codes what the ones before it left over (SoundStream, arXiv 2107.03312, section
III-C). What "nearest" means is the codebook's to say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn


class Codebook(nn.Module, ABC):
    """One stage of a residual quantiser."""

    @abstractmethod
    def encode(self, latent: Tensor) -> Tensor:
        """Encode a latent [..., D] to codes [...] (int64)."""

    @abstractmethod
    def decode(self, codes: Tensor) -> Tensor:
        """Decode codes [...] to their share of the latent [..., D]."""


B = TypeVar("B", bound=Codebook)


class ResidualChain(nn.Module, Generic[B]):
    """A chain of codebooks of one kind."""

    def __init__(self, codebooks: Iterable[B]) -> None:
        super().__init__()
        self.codebooks = nn.ModuleList(codebooks)

    def stages(self, count: int | None = None) -> list[B]:
        """Return the first ``count`` codebooks, all unless given; ValueError for more or none."""
        books = list(cast("Iterable[B]", self.codebooks))
        if count is not None and not 1 <= count <= len(books):
            raise ValueError(f"{count} codebooks asked for, there are 1 to {len(books)}")
        return books[:count]

    def encode(self, latent: Tensor, count: int) -> Tensor:
        """Encode a latent [B, F, D] to codes [B, count, F] (int64)."""
        residual, codes = latent, []
        for book in self.stages(count):
            code = book.encode(residual)
            codes.append(code)
            residual = residual - book.decode(code)
        return torch.stack(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Decode codes [B, K, F] to the quantised latent [B, F, D]."""
        first, *rest = self.stages(codes.shape[1])
        latent = first.decode(codes[:, 0])
        for k, book in enumerate(rest, start=1):
            latent = latent + book.decode(codes[:, k])
        return latent
