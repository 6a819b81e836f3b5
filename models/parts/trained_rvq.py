"""Residual vector quantisation with factorised codes.

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


@dataclass
class Quantised:
    """What one pass through the quantiser gives, for training."""

    latent: Tensor
    """Quantised latent [B, F, D], with straight-through gradients."""
    commitment: Tensor
    """Squared distance from points to their entries over the points' power, summed over
    codebooks (scalar): what the codebooks leave over, pulling the encoder towards them."""


class Codebook(nn.Module):
    """One stage: project to a few dimensions, pick the nearest entry, project back."""

    entries: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, latent: int, size: int, dim: int) -> None:
        super().__init__()
        self.down = nn.Linear(latent, dim)
        self.up = nn.Linear(dim, latent)
        entries = torch.empty(size, dim)
        if not entries.is_meta:  # drawing numbers for a sketch imports all of torch's compiler
            entries.normal_()
        self.register_buffer("entries", entries)
        # Running averages of how many points each entry wins, and of those points' sum.
        self.register_buffer("counts", torch.ones(size), persistent=False)
        self.register_buffer("sums", self.entries.clone(), persistent=False)

    def nearest(self, point: Tensor) -> Tensor:
        """Codes [...] of projected points [..., dim]: |p - e|^2 is least where p.e - |e|^2/2 is
        largest, which is one matrix product."""
        return (point @ self.entries.T - self.entries.square().sum(-1) / 2).argmax(-1)

    def lookup(self, codes: Tensor) -> Tensor:
        """Latent contribution [..., D] of codes [...]."""
        out: Tensor = self.up(F.embedding(codes, self.entries))
        return out

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
    """Mean [D] of points [N, D], and the directions [D, count] in which they vary most."""
    mean = points.mean(0)
    _, axes = torch.linalg.eigh((points - mean).T @ (points - mean))
    return mean, axes[:, -count:]


class ResidualQuantiser(nn.Module):
    """A chain of codebooks, each coding what the ones before it left over."""

    def __init__(self, latent: int, codebooks: int, size: int, dim: int) -> None:
        super().__init__()
        self.codebooks = nn.ModuleList(Codebook(latent, size, dim) for _ in range(codebooks))

    def stages(self, count: int | None = None) -> list[Codebook]:
        """The first ``count`` codebooks, all unless given."""
        return [book for book in self.codebooks if isinstance(book, Codebook)][:count]

    def encode(self, latent: Tensor, count: int) -> Tensor:
        """Latent [B, F, D] to codes [B, count, F] (int64)."""
        residual, codes = latent, []
        for book in self.stages(count):
            code = book.nearest(book.down(residual))
            codes.append(code)
            residual = residual - book.lookup(code)
        return torch.stack(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, K, F] to the quantised latent [B, F, D]."""
        latent = self.stages(1)[0].lookup(codes[:, 0])
        for k, book in enumerate(self.stages(codes.shape[1])[1:], start=1):
            latent = latent + book.lookup(codes[:, k])
        return latent

    def forward(self, latent: Tensor, counts: Tensor) -> Quantised:
        """Quantise for training; item ``b`` of the batch uses its first ``counts[b]`` codebooks.

        An item with a count of 0 passes as it is, so that the networks on either side keep
        learning from each other what the codebooks do not carry yet (SpectroStream's bypass).
        """
        residual, total = latent, torch.zeros_like(latent)
        commitment = latent.new_zeros(())
        for k, book in enumerate(self.stages(int(counts.max()))):
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
            residual = residual - book.lookup(code)
