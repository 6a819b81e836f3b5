"""Residual vector quantiser with factorised codes, which can be trained; see `residual_chain`.

Sources: SoundStream (arXiv 2107.03312, section III-C: residual quantiser, k-means start, dead
entries restarted, quantiser dropout), EnCodec (arXiv 2210.13438, section 3.2: entries follow
the points they win by an exponential average) and the DAC paper (arXiv 2306.06546, section
3.2: look-up in few dimensions, between two learned projections).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .residual_chain import Codebook, ResidualChain


@dataclass
class Quantised:
    """Result of one pass through the quantiser in training."""

    latent: Tensor
    """Quantised latent [B, F, D], with straight-through gradients."""
    commitment: Tensor
    """Squared distance from points to their entries over the points' power, summed over codebooks
    (scalar). A loss of this pulls the encoder towards what the codebooks can say."""


class FactorisedCodebook(Codebook):
    """One stage: project to a few dimensions, pick the nearest entry, project back."""

    entries: Tensor
    """Entries [size, dim]."""
    counts: Tensor
    """Running average [size] of how many points each entry wins."""
    sums: Tensor
    """Running average [size, dim] of the sum of those points."""

    def __init__(self, latent: int, size: int, dim: int) -> None:
        """Draw ``size`` entries of ``dim`` dimensions, for a latent of ``latent`` dimensions."""
        super().__init__()
        self.down = nn.Linear(latent, dim)
        self.up = nn.Linear(dim, latent)
        entries = torch.empty(size, dim)
        if not entries.is_meta:  # drawing numbers for a sketch imports all of torch's compiler
            entries.normal_()
        self.register_buffer("entries", entries)
        self.register_buffer("counts", torch.ones(size), persistent=False)
        self.register_buffer("sums", self.entries.clone(), persistent=False)

    def encode(self, latent: Tensor) -> Tensor:
        """Encode a latent [..., D] to codes [...] (int64)."""
        return self.nearest(self.down(latent))

    def decode(self, codes: Tensor) -> Tensor:
        """Decode codes [...] to their share of the latent [..., D]."""
        share: Tensor = self.up(F.embedding(codes, self.entries))
        return share

    def nearest(self, point: Tensor) -> Tensor:
        """Return the codes [...] of projected points [..., dim].

        |p - e|^2 is least where p.e - |e|^2 / 2 is largest, which is one matrix product.
        """
        return (point @ self.entries.T - self.entries.square().sum(-1) / 2).argmax(-1)

    @torch.no_grad()
    def follow(self, points: Tensor, codes: Tensor, keep: float = 0.99) -> None:
        """Move entries to the running mean of the points [N, dim] they win; restart idle ones."""
        size = len(self.entries)
        self.counts.lerp_(torch.bincount(codes, minlength=size).float(), 1 - keep)
        self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, codes, points), 1 - keep)
        share = self.counts.sum() / size
        idle = (self.counts < 0.03 * share).nonzero().flatten()
        if len(idle):
            pick = torch.randint(len(points), (len(idle),), device=points.device)
            self.counts[idle] = share
            self.sums[idle] = points[pick] * share
        self.entries.copy_(self.sums / self.counts[:, None].clamp_min(1e-8))


def principal_axes(points: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the mean [D] of points [N, D] and the directions [D, count] of most variance."""
    mean = points.mean(0)
    _, axes = torch.linalg.eigh((points - mean).T @ (points - mean))
    return mean, axes[:, -count:]


class ResidualQuantiser(ResidualChain[FactorisedCodebook]):
    """A chain of factorised codebooks, with what training needs."""

    def __init__(self, latent: int, codebooks: int, size: int, dim: int) -> None:
        """Make ``codebooks`` stages of ``size`` entries in ``dim`` of ``latent`` dimensions."""
        super().__init__(FactorisedCodebook(latent, size, dim) for _ in range(codebooks))

    def forward(self, latent: Tensor, counts: Tensor) -> Quantised:
        """Quantise for training; item ``b`` of the batch uses its first ``counts[b]`` codebooks.

        An item with a count of 0 passes as it is, so that the networks on either side keep
        learning from each other what the codebooks do not carry yet (SpectroStream's bypass).
        """
        residual, total = latent, torch.zeros_like(latent)
        commitment = latent.new_zeros(())
        for k, book in enumerate(self.stages()[: int(counts.max())]):
            using = counts > k
            used = using.to(latent.dtype)[:, None, None]
            point = book.down(residual)
            code = book.nearest(point)
            entry = F.embedding(code, book.entries)
            power = (used * point.detach().square()).mean() + 1e-8
            commitment = commitment + (used * (point - entry).square()).mean() / power
            part = book.up(point + (entry - point).detach()) * used
            total, residual = total + part, residual - part
            if self.training:
                book.follow(point.detach()[using].flatten(0, 1), code[using].flatten())
        total = torch.where((counts == 0)[:, None, None], latent, total)
        return Quantised(total, commitment)

    @torch.no_grad()
    def start(self, latent: Tensor, iterations: int = 10) -> None:
        """Set every codebook by k-means on a batch of latents [N, D]."""
        residual = latent
        for book in self.stages():
            # Project onto the directions in which the residual varies most.
            mean, axes = principal_axes(residual, book.down.out_features)
            book.down.weight.copy_(axes.T)
            book.down.bias.copy_(-book.down.weight @ mean)
            points = book.down(residual)
            # Where there are fewer points than entries, some begin as twins.
            picked = torch.randperm(len(points)).repeat(-(-len(book.entries) // len(points)))
            entries = points[picked[: len(book.entries)]].clone()
            for _ in range(iterations):
                bias = entries.square().sum(-1) / 2
                # In blocks: all distances at once would fill the memory for large codebooks.
                code = torch.cat([(p @ entries.T - bias).argmax(-1) for p in points.split(4096)])
                sums = torch.zeros_like(entries).index_add_(0, code, points)
                won = torch.bincount(code, minlength=len(entries))[:, None]
                entries = torch.where(won > 0, sums / won.clamp_min(1), entries)
            book.entries.copy_(entries)
            book.counts.fill_(len(points) / len(entries))
            book.sums.copy_(entries * book.counts[:, None])
            # And back by what fits best.
            code = torch.cat([book.nearest(p) for p in points.split(4096)])
            ones = torch.ones(len(code), 1, device=latent.device)
            inputs = torch.cat([F.embedding(code, book.entries), ones], dim=1)
            fitted = torch.linalg.lstsq(inputs, residual).solution
            book.up.weight.copy_(fitted[:-1].T)
            book.up.bias.copy_(fitted[-1])
            residual = residual - book.decode(code)
