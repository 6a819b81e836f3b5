"""Codebooks of the published codecs, in inference form; see `residual_chain`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .argmax import argmax
from .residual_chain import Codebook, ResidualChain


class EuclideanCodebook(Codebook):
    """Codebook that takes the nearest entry by Euclidean distance, in the latent's dimensions."""

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.entries = nn.Parameter(torch.zeros(size, dim))

    def encode(self, latent: Tensor) -> Tensor:
        """Encode a latent [..., D] to codes [...] (int64)."""
        # |x|^2 does not change which entry is nearest, but without it the rounding of near-ties
        # would differ from that of the code that the weights were trained and published with.
        square = latent.square().sum(-1, keepdim=True)
        nearness = 2 * latent @ self.entries.T - square - self.entries.square().sum(-1)
        return argmax(nearness)

    def decode(self, codes: Tensor) -> Tensor:
        """Decode codes [...] to their entries [..., D]."""
        return F.embedding(codes, self.entries)


class CosineCodebook(Codebook):
    """Codebook that takes the nearest entry by angle, in a projection to a few dimensions.

    Only directions are compared; decoding gives the entry with its own length (arXiv 2306.06546,
    section 3.2).
    """

    def __init__(self, size: int, dim: int, latent: int) -> None:
        super().__init__()
        self.down = nn.Linear(latent, dim)
        self.up = nn.Linear(dim, latent)
        self.entries = nn.Parameter(torch.zeros(size, dim))

    def encode(self, latent: Tensor) -> Tensor:
        """Encode a latent [..., D] to codes [...] (int64)."""
        point = F.normalize(self.down(latent), dim=-1)
        return (point @ F.normalize(self.entries, dim=-1).T).argmax(-1)

    def decode(self, codes: Tensor) -> Tensor:
        """Decode codes [...] to their share of the latent [..., D]."""
        share: Tensor = self.up(F.embedding(codes, self.entries))
        return share


class ResidualCodebooks(ResidualChain[Codebook]):
    """A chain of published codebooks."""
