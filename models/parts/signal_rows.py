"""Signals as rows, one moment's channels each, that are worked on block by block in the cache."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .causal_state import Carry
from .seanet import Conv, reflect

_BLOCK = 1 << 18
"""Values of a block, 1 MB: with smaller ones Python takes more than a better use of the cache
saves."""
_LEAST = 256
"""Rows of a block at least, so that weights are not read for few."""

Affine = tuple[Tensor, Tensor]
"""Factor and term [C] of each channel."""


class Rows:
    """A signal [T, C] with room for rows before and behind it."""

    def __init__(self, memory: Tensor, count: int, margin: int) -> None:
        """So many rows of [>= count + 2 * margin, C], behind the first ``margin``."""
        self._all, self.margin = memory, margin
        self.inner = memory[margin : margin + count]
        self.affine: Affine | None = None
        """What is still to be done to the rows."""

    @classmethod
    def empty(cls, count: int, width: int, margin: int) -> Rows:
        """In memory of their own."""
        return cls(torch.empty(count + 2 * margin, width, dtype=torch.float32), count, margin)

    def padded(self, carry: Carry, conv: Conv) -> Tensor:
        """The rows and all that a convolution sees around them, as `Conv` has it."""
        count, at = len(self.inner), self.margin
        behind = conv.reach - conv.ahead
        end = conv.ahead + (-count % conv.stride if carry.last else 0)
        stop = at + count
        if behind and not carry.first:
            self._all[at - behind : at] = carry.take()
        if behind and not carry.last:
            carry.leave(self._all[stop - behind : stop])
        first, start = (at, behind) if carry.first else (at - behind, 0)
        if stop - first <= max(start, end):
            signal = reflect(self._all[first:stop].t()[None], start, end)[0].t()
            self._all[first - start : stop + end] = signal
        else:
            if start:
                self._all[at - start : at] = self._all[at + 1 : at + 1 + start].flip(0)
            if end:
                self._all[stop : stop + end] = self._all[stop - 1 - end : stop - 1].flip(0)
        return self._all[at - behind : stop + end]

    def between(self, before: Tensor, behind: Tensor) -> Tensor:
        """Rows [T + 2, C], with one before them and one behind."""
        start, stop = self.margin - 1, self.margin + len(self.inner)
        self._all[start], self._all[stop] = before, behind
        return self._all[start : stop + 1]

    def done(self) -> Tensor:
        """The rows [T, C] with nothing left to be done to them."""
        if not self.affine:
            return self.inner
        factor, term = self.affine
        return torch.addcmul(term, self.inner, factor)

    def part(self, first: int, count: int) -> Rows:
        """So many rows from one on, in the same memory."""
        rows = Rows(self._all[first:], count, self.margin)
        rows.affine = self.affine
        return rows


def blocks(count: int, width: int) -> Iterator[slice]:
    """Places of ``count`` rows that are ``width`` wide, a block at a time."""
    size = max(_LEAST, _BLOCK // width)
    return (slice(at, min(at + size, count)) for at in range(0, count, size))


def elu(x: Tensor, out: Tensor | None = None) -> Tensor:
    """ELU as e^x - 1 where that is more than x: takes half the time of PyTorch's expm1, and errs
    by no more than rounding does at 1."""
    below = x.clamp_max(0.0).exp_().sub_(1.0)
    return torch.maximum(x, below, out=below if out is None else out)


class Moments:
    """Mean and variance of all values of a signal that a norm waits for, gathered block by block.

    What is counted lacks its bias, which the norm adds and takes away again: it goes into what is
    left to be done.
    """

    def __init__(self, norm: nn.GroupNorm, bias: Tensor) -> None:
        """``bias`` [C] is what the rows lack."""
        self._norm, self._bias = norm, bias
        self._count = 0
        self._sums: list[Tensor] = []
        self._squares: list[Tensor] = []

    def add(self, block: Tensor) -> None:
        """Count rows [N, C] in."""
        self._count += len(block)
        self._sums.append(block.sum(0))
        values = block.flatten()
        self._squares.append(torch.dot(values, values))

    def affine(self) -> Affine:
        """What bias and norm together do to each channel."""
        # Sums over a block are short enough for float32; those over a signal are not.
        bias, sums = self._bias.double(), torch.stack(self._sums).double().sum(0)
        squares = torch.stack(self._squares).double().sum()
        squares += (bias * (2 * sums + self._count * bias)).sum()
        mean = sums.mean() / self._count + bias.mean()
        variance = squares / (self._count * len(bias)) - mean.square()
        factor = self._norm.weight * torch.rsqrt(variance + self._norm.eps)
        return factor.float(), (self._norm.bias + (bias - mean) * factor).float()
