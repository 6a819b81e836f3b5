"""Work on signals as rows, one moment's channels each, block by block in the cache."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .causal_state import Carry
from .seanet import Conv, reflect

_BLOCK = 1 << 18
"""How many values a block has, 1 MB: with smaller blocks Python's own time outweighs what a better
use of the cache saves."""
_MIN_ROWS = 256
"""How many rows a block has at least, so that weights are not read for a few rows."""

Affine = tuple[Tensor, Tensor]
"""Factor and term of each channel, [C] each."""


class Rows:
    """A signal [T, C] with room for rows before and behind it."""

    def __init__(self, memory: Tensor, count: int, margin: int) -> None:
        """Take ``count`` rows of ``memory`` [>= count + 2 * margin, C], behind ``margin`` rows."""
        self._all, self.margin = memory, margin
        self.inner = memory[margin : margin + count]
        self.affine: Affine | None = None
        """Factor and term still to be applied to the rows; None where nothing is."""

    @classmethod
    def empty(cls, count: int, width: int, margin: int) -> Rows:
        """Make ``count`` rows of ``width`` channels in new memory, their values undefined."""
        return cls(torch.empty(count + 2 * margin, width, dtype=torch.float32), count, margin)

    def padded(self, carry: Carry, conv: Conv) -> Tensor:
        """Return the rows with all that a convolution sees around them, padded as `Conv` does."""
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
        """Return rows [T + 2, C]: these with the row ``before`` and the row ``behind``, [1, C]."""
        start, stop = self.margin - 1, self.margin + len(self.inner)
        self._all[start], self._all[stop] = before, behind
        return self._all[start : stop + 1]

    def done(self) -> Tensor:
        """Return the rows [T, C] with their ``affine`` applied."""
        if not self.affine:
            return self.inner
        factor, term = self.affine
        return torch.addcmul(term, self.inner, factor)

    def part(self, first: int, count: int) -> Rows:
        """Return ``count`` rows from the row ``first`` on, in the same memory."""
        rows = Rows(self._all[first:], count, self.margin)
        rows.affine = self.affine
        return rows


def blocks(count: int, width: int) -> Iterator[slice]:
    """Split ``count`` rows of ``width`` values into blocks, as slices."""
    size = max(_MIN_ROWS, _BLOCK // width)
    return (slice(at, min(at + size, count)) for at in range(0, count, size))


def elu(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return ELU of any tensor, as e^x - 1 where that is more than x, in ``out`` if given.

    It takes half the time of PyTorch's expm1, and its error is no more than rounding at 1.
    """
    below = x.clamp_max(0.0).exp_().sub_(1.0)
    return torch.maximum(x, below, out=below if out is None else out)


class Moments:
    """Mean and variance of all values of a signal, gathered block by block for a norm.

    Sums are taken before the convolution's bias is added; `affine` puts the bias in, so that the
    signal is written once.
    """

    def __init__(self, norm: nn.GroupNorm, bias: Tensor) -> None:
        """Take the norm, and the bias [C] that the rows lack."""
        self._norm, self._bias = norm, bias
        self._count = 0
        self._sums: list[Tensor] = []
        self._squares: list[Tensor] = []

    def add(self, block: Tensor) -> None:
        """Count in a block of rows [N, C], which lack the bias."""
        self._count += len(block)
        self._sums.append(block.sum(0))
        values = block.flatten()
        self._squares.append(torch.dot(values, values))

    def affine(self) -> Affine:
        """Return factor and term of each channel by which bias and norm are applied together."""
        # Sums over a block are short enough for float32; those over a signal are not.
        bias, sums = self._bias.double(), torch.stack(self._sums).double().sum(0)
        squares = torch.stack(self._squares).double().sum()
        squares += (bias * (2 * sums + self._count * bias)).sum()
        mean = sums.mean() / self._count + bias.mean()
        variance = squares / (self._count * len(bias)) - mean.square()
        factor = self._norm.weight * torch.rsqrt(variance + self._norm.eps)
        return factor.float(), (self._norm.bias + (bias - mean) * factor).float()
