"""How the codebooks of the published codecs, which `models.codebook` defines, learn.

Two ways: entries that follow the points they win (`FollowingQuantiser`: EnCodec, HiFi-Codec), and
entries learnt by gradient between two projections (`learn_factorised`: DAC).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neucodec.models.parts.published_rvq import CosineCodebook, EuclideanCodebook


@dataclass
class Learnt:
    """Holds what one pass through a quantiser gives."""

    latent: Tensor
    """Quantised latent [B, F, D], with straight-through gradients."""
    commitment: Tensor
    """How far points are from their entries (scalar), drawing the encoder to them."""
    codebook: Tensor | None = None
    """The same, drawing entries to their points; None where they follow by themselves."""


class FollowingQuantiser:
    """Learns entries as running means of the points they win (EnCodec, section 3.2).

    Started by k-means on the first batch; an entry that wins fewer than ``least`` points a batch on
    average is put on one of the batch's points (SoundStream, section III-C).
    """

    def __init__(self, books: Sequence[EuclideanCodebook], least: float = 2.0) -> None:
        self.books, self.least = list(books), least
        for book in self.books:
            book.entries.requires_grad_(False)
            book.register_buffer("counts", torch.zeros(len(book.entries)), persistent=False)
            book.register_buffer("sums", torch.zeros_like(book.entries), persistent=False)

    def learn(self, latent: Tensor, count: int, follow: bool = True) -> Learnt:
        """Quantise a latent [B, F, D] by the first ``count`` codebooks; ``follow`` moves them."""
        residual, total = latent, torch.zeros_like(latent)
        distances = []
        for book in self.books[:count]:
            points = residual.detach().flatten(0, 1)
            if follow and not bool(running(book)[0].any()):
                start(book, points)
            code = book.encode(residual.detach())
            entry = book.decode(code)
            if follow:
                self._follow(book, points, code.flatten())
            distances.append(F.mse_loss(residual, entry))
            residual, total = residual - entry, total + entry
        straight = latent + (total - latent).detach()
        return Learnt(straight, torch.stack(distances).mean())

    @torch.no_grad()
    def _follow(
        self, book: EuclideanCodebook, points: Tensor, codes: Tensor, keep: float = 0.99
    ) -> None:
        size = len(book.entries)
        counts, sums, _ = running(book)
        won = torch.bincount(codes, minlength=size).to(counts.dtype)
        counts.lerp_(won, 1 - keep)
        sums.lerp_(torch.zeros_like(sums).index_add_(0, codes, points), 1 - keep)
        idle = (counts < self.least).nonzero().flatten()
        if len(idle) and self.least:
            pick = torch.randint(len(points), (len(idle),), device=points.device)
            counts[idle] = max(self.least, float(counts.mean()))
            sums[idle] = points[pick] * counts[idle, None]
        # Counts are smoothed as upstream smooths them.
        smooth = (counts + 1e-5) / (counts.sum() + size * 1e-5) * counts.sum()
        book.entries.copy_(sums / smooth[:, None])


@torch.no_grad()
def start(book: EuclideanCodebook, points: Tensor, iterations: int = 10) -> None:
    """Return entries from k-means on points [N, D]."""
    size = len(book.entries)
    if len(points) >= size:
        picked = torch.randperm(len(points), device=points.device)[:size]
    else:
        picked = torch.randint(len(points), (size,), device=points.device)
    entries = points[picked].clone()
    won = torch.ones(size, device=points.device)
    for _ in range(iterations):
        codes = (points @ entries.T - entries.square().sum(-1) / 2).argmax(-1)
        won = torch.bincount(codes, minlength=size).to(points.dtype)
        sums = torch.zeros_like(entries).index_add_(0, codes, points)
        entries = torch.where(won[:, None] > 0, sums / won.clamp_min(1)[:, None], entries)
    counts, sums, _ = running(book)
    counts.copy_(won.clamp_min(1))
    sums.copy_(entries * counts[:, None])
    book.entries.copy_(entries)


def followers(network: nn.Module) -> list[nn.Module]:
    """Return the codebooks of a network whose entries follow the points they win.

    A resumed run needs their ``counts`` and ``sums``, too.
    """
    return [m for m in network.modules() if hasattr(m, "counts") and hasattr(m, "sums")]


def running(book: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """Return the running counts [N] and sums [N, D] of the points that each entry of a codebook
    wins, and its entries [N, D]."""
    counts, sums, entries = book.counts, book.sums, book.entries
    assert isinstance(counts, Tensor) and isinstance(sums, Tensor) and isinstance(entries, Tensor)
    return counts, sums, entries


def learn_factorised(books: Sequence[CosineCodebook], latent: Tensor, counts: Tensor) -> Learnt:
    """Quantise a latent [B, F, D] by DAC's codebooks (arXiv 2306.06546, section 3.2).

    Item ``b`` uses its first ``counts[b]`` codebooks. Distances are sums over codebooks of what
    the items that use them have, over all items.
    """
    residual, total = latent, torch.zeros_like(latent)
    commitment, codebook = latent.new_zeros(()), latent.new_zeros(())
    for k, book in enumerate(books[: int(counts.max())]):
        used = (counts > k).to(latent.dtype)
        point = book.down(residual)
        entry = F.embedding(book.encode(residual), book.entries)
        commitment = commitment + (_distance(point, entry.detach()) * used).mean()
        codebook = codebook + (_distance(entry, point.detach()) * used).mean()
        part = book.up(point + (entry - point).detach())
        total, residual = total + part * used[:, None, None], residual - part
    return Learnt(total, commitment, codebook)


def learn_by_gradient(books: Sequence[EuclideanCodebook], latent: Tensor) -> Learnt:
    """Quantise a latent [B, F, D] by codebooks that learn by gradient, as HiFi-Codec's do.

    Distances are averaged over codebooks.
    """
    residual, total = latent, torch.zeros_like(latent)
    commitment, codebook = [], []
    for book in books:
        entry = book.decode(book.encode(residual.detach()))
        commitment.append(F.mse_loss(residual, entry.detach()))
        codebook.append(F.mse_loss(entry, residual.detach()))
        residual, total = residual - entry.detach(), total + entry
    straight = latent + (total - latent).detach()
    return Learnt(straight, torch.stack(commitment).mean(), torch.stack(codebook).mean())


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean square [B] of each item's differences."""
    return (a - b).square().mean(dim=(1, 2))
