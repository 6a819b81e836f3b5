"""Run SEANet on a CPU: the same function as `parts.seanet`, time-major, block by block.

Every kernel is a whole number of strides wide. So if each stride of rows is taken as one long row,
a convolution is a sum of matrix products of shifted rows, and nothing is unfolded. A residual unit
works on rows that stay in the cache from its first ELU to the one behind it. A norm over a whole
signal is gathered while the signal is written, and applied where it is read next.
"""

from __future__ import annotations

import math
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neucodec.models.parts.causal_state import Carry
from neucodec.models.parts.seanet import (
    KERNEL,
    Conv,
    ConvTranspose,
    Lstm,
    ResidualUnit,
    SeanetConfig,
)
from neucodec.models.parts.signal_rows import Affine, Moments, Rows, blocks, elu
from neucodec.models.parts.winograd import TwoTaps, product

LANES = 6
"""How many segments go through the LSTM at once, so that it reads its weights once for all; where
there are fewer, silence fills up the rest."""
_FEW = 2
"""Up to this many channels, as audio has, all taps of a convolution are one product."""


class Layer(Protocol):
    """A layer of SEANet on rows."""

    def __call__(self, x: Rows, carry: Carry) -> Rows:
        """Put a whole signal or a chunk of a stream through the layer."""
        ...


class RowConvolution:
    """`Conv` on rows. Its norm is not applied, but handed on with the rows as ``affine``."""

    def __init__(self, conv: Conv) -> None:
        """Take over a layer, whose weights are put into another order."""
        self.conv = conv
        weight = conv.conv.weight
        self.outputs, inputs, self._kernel = weight.shape
        self._wide = conv.stride * inputs
        # The network's own weights lie in this order from now on, and so need no second copy.
        rows = weight.data.permute(2, 1, 0).contiguous()  # [kernel, in, out]
        weight.data = rows.permute(2, 1, 0)
        self.taps = rows.view(-1, self._wide, self.outputs)
        self.bias = cast(Tensor, conv.conv.bias)
        self._norm = conv.norm if isinstance(conv.norm, nn.GroupNorm) else None
        self._added = None if self._norm else self.bias
        self._from_few, self._to_few = inputs <= _FEW, self.outputs <= _FEW
        self._two = None
        if len(self.taps) == 2:
            first, second = self.taps
            self._two = TwoTaps(first, second, self._added)

    def moments(self) -> Moments | None:
        """Make a collector of this layer's output statistics; None unless a GroupNorm follows."""
        return Moments(self._norm, self.bias) if self._norm else None

    def apply(self, rows: Tensor, out: Tensor) -> Tensor:
        """Convolve rows [N + reach, in] into ``out`` [N, out].

        Where a norm follows, the bias is left out, as `Moments` expects.
        """
        groups, count = rows.view(-1, self._wide), len(out)
        if self._two:
            return self._two(groups, out)
        first, *others = self.taps
        product(self._added, groups[:count], first, out)
        for k, tap in enumerate(others, start=1):
            out.addmm_(groups[k : k + count], tap)
        return out

    def __call__(self, x: Rows, carry: Carry) -> Rows:
        """Put a whole signal or a chunk of a stream through the layer."""
        padded, stride = x.padded(carry, self.conv), self.conv.stride
        seen = self._kernel - stride
        out = Rows.empty((len(padded) - seen) // stride, self.outputs, x.margin)
        moments = self.moments()
        apply = self.apply
        if self._from_few:
            apply = self._of_few
        elif self._to_few:
            apply = self._few_of
        for block in blocks(len(out.inner), max(self.outputs, self._wide)):
            rows = padded[block.start * stride : block.stop * stride + seen]
            part = apply(rows, out.inner[block])
            if moments:
                moments.add(part)
        out.affine = moments.affine() if moments else None
        return out

    def _of_few(self, rows: Tensor, out: Tensor) -> Tensor:
        """Do as `apply`, with all inputs of an output side by side: one product for few inputs."""
        inputs = rows.shape[1]
        windows = rows.as_strided((len(out), self._kernel * inputs), (inputs, 1))
        return product(self._added, windows.contiguous(), self.taps.flatten(0, 1), out)

    def _few_of(self, rows: Tensor, out: Tensor) -> Tensor:
        """Do as `apply`, with each row's share in every output that sees it, then their sums."""
        shares = rows @ self.taps.transpose(0, 1).flatten(1)
        each, wide = shares.shape[1], self.outputs
        seen = shares.as_strided((len(out), self._kernel, wide), (each, each + wide, 1))
        torch.sum(seen, 1, out=out)
        return out if self._added is None else out.add_(self._added)


class RowTransposed:
    """`ConvTranspose` on rows. Its norm is handed on with the rows as ``affine``."""

    def __init__(self, conv: ConvTranspose) -> None:
        """Take over a layer, whose weights are put into another order."""
        self._conv, weight = conv, conv.conv.weight
        self._inputs, self._outputs, _ = weight.shape
        # As above: [in, kernel, out].
        rows = weight.data.transpose(1, 2).contiguous()
        weight.data = rows.transpose(1, 2)
        # A row gives the first half of the taps to its own samples and the other to the next row's.
        own, following = rows.view(self._inputs, 2, -1).unbind(1)
        self._bias, norm = cast(Tensor, conv.conv.bias), conv.norm
        self._norm = norm if isinstance(norm, nn.GroupNorm) else None
        self._taps = TwoTaps(following, own, None if self._norm else self._bias.repeat(conv.stride))

    def __call__(self, x: Rows, carry: Carry) -> Rows:
        """Put a whole signal or a chunk of a stream through the layer."""
        count, stride = len(x.inner), self._conv.stride
        before = x.inner.new_zeros(1, self._inputs) if carry.first else carry.take()
        if not carry.last:
            carry.leave(x.inner[-1:])
        rows = x.between(before, before.new_zeros(1, self._inputs))
        # A norm also sees what lies behind the last row's samples, and what is cut at the start.
        groups = count + 1 if self._norm or self._conv.trim else count
        out = Rows.empty(groups * stride, self._outputs, x.margin)
        moments = Moments(self._norm, self._bias) if self._norm else None
        wide = out.inner.view(groups, -1)
        for block in blocks(groups, wide.shape[1]):
            part = self._taps(rows[block.start : block.stop + 1], wide[block])
            if moments:
                moments.add(part.view(-1, self._outputs))
        out.affine = moments.affine() if moments else None
        return out.part(self._conv.trim, count * stride)


class RowUnit:
    """`ResidualUnit` on rows, with the ELU that follows every one."""

    def __init__(self, unit: ResidualUnit) -> None:
        _, wide, _, narrow = unit.block
        self._wide = RowConvolution(cast(Conv, wide))
        self._narrow = RowConvolution(cast(Conv, narrow))
        self._shortcut = RowConvolution(unit.shortcut)
        self._bias = self._narrow.bias + self._shortcut.bias

    def __call__(self, x: Rows, carry: Carry) -> Rows:
        """Put a whole signal or a chunk of a stream through the layer; the input is overwritten."""
        norms = tuple(layer.moments() for layer in (self._shortcut, self._wide, self._narrow))
        if x.affine and all(norms):
            return self._in_steps(
                x, x.affine, cast("tuple[Moments, Moments, Moments]", norms), carry
            )
        conv = self._wide.conv
        padded = x.padded(carry, conv)
        out = Rows.empty(len(x.inner), x.inner.shape[1], x.margin)
        own = conv.reach - conv.ahead
        for block in blocks(*x.inner.shape):
            rows, part = padded[block.start : block.stop + conv.reach], out.inner[block]
            hidden = part.new_empty(len(part), self._wide.outputs)
            self._wide.apply(elu(rows), hidden)
            torch.addmm(self._bias, rows[own : own + len(part)], self._shortcut.taps[0], out=part)
            part.addmm_(elu(hidden, out=hidden), self._narrow.taps[0])
            elu(part, out=part)
        return out

    def _in_steps(
        self, x: Rows, affine: Affine, norms: tuple[Moments, Moments, Moments], carry: Carry
    ) -> Rows:
        """Do the same with norms, each of which has to wait for the whole signal."""
        conv = self._wide.conv
        padded = x.padded(carry, conv)
        own, (factor, term) = conv.reach - conv.ahead, affine
        out = Rows.empty(len(x.inner), x.inner.shape[1], x.margin)
        hidden = out.inner.new_empty(len(out.inner), self._wide.outputs)
        of_shortcut, of_hidden, of_branch = norms
        for block in blocks(*x.inner.shape):
            rows = torch.addcmul(term, padded[block.start : block.stop + conv.reach], factor)
            part = out.inner[block]
            self._shortcut.apply(rows[own : own + len(part)], part)
            of_shortcut.add(part)
            of_hidden.add(self._wide.apply(elu(rows), hidden[block]))
        branch = x.inner
        factor, term = of_hidden.affine()
        for block in blocks(*x.inner.shape):
            rows = torch.addcmul(term, hidden[block], factor)
            of_branch.add(self._narrow.apply(elu(rows, out=rows), branch[block]))
        (factor, term), (other, more) = of_shortcut.affine(), of_branch.affine()
        term = term + more
        for block in blocks(*x.inner.shape):
            part = out.inner[block]
            torch.addcmul(term, part, factor, out=part).addcmul_(branch[block], other)
            elu(part, out=part)
        return out


class RowCoder:
    """A whole encoder or decoder on rows, without gradients.

    Signals go through convolutions one by one, which keeps them in the cache, and through the LSTM
    together, which reads its weights once for all.
    """

    def __init__(self, layers: nn.ModuleList, config: SeanetConfig) -> None:
        """Take over the layers of an `Encoder` or a `Decoder`, and reorder their weights."""
        # The most rows that a layer sees beyond a signal's end, or lacks for a whole stride.
        self._margin = max(KERNEL, 2 * max(config.ratios))
        hop = math.prod(layer.stride for layer in layers if isinstance(layer, Conv))
        # With norms a signal must be so long that it can be reflected without added zeros, which
        # would have to be other numbers before a norm.
        self._normed = config.group_norm
        self._min_length = KERNEL * hop if config.group_norm else 1
        at = next(k for k, layer in enumerate(layers) if isinstance(layer, Lstm))
        self._before, self._after = _on_rows(layers[:at]), _on_rows(layers[at + 1 :])
        self._lstm, self._in_segments = cast(Lstm, layers[at]), not config.causal

    def takes(self, x: Tensor, carry: Carry) -> bool:
        """Return whether chunks [B, C, T] can be run on rows: whole signals, or one chunk alone."""
        whole = carry.first and carry.last
        return (whole or (len(x) == 1 and not self._normed)) and x.shape[-1] >= self._min_length

    def __call__(self, x: Tensor, carry: Carry) -> Tensor:
        """Put chunks [B, C, T] through all layers, to [B, C', T']."""
        signals = [self._run(self._before, self._rows(item.t()), carry) for item in x]
        steps = torch.stack([x.done() for x in signals], dim=1)
        signals.clear()
        latent = self._recur(steps.permute(1, 2, 0), carry)
        rows = (self._rows(elu(item.t())) for item in latent)
        return torch.stack([self._run(self._after, item, carry).done() for item in rows]).mT

    def _recur(self, steps: Tensor, carry: Carry) -> Tensor:
        """Put steps [B, C, F] through the LSTM, always the same number of segments at once.

        How a matrix product is summed depends on its number of rows.
        """
        lanes = LANES if self._in_segments else 1
        filled = F.pad(steps, (0, 0, 0, 0, 0, -len(steps) % lanes))
        parts = [cast(Tensor, self._lstm(part, carry)) for part in torch.split(filled, lanes)]
        return torch.cat(parts)[: len(steps)]

    def _rows(self, x: Tensor) -> Rows:
        rows = Rows.empty(len(x), x.shape[1], self._margin)
        rows.inner.copy_(x)
        return rows

    @staticmethod
    def _run(layers: list[Layer], x: Rows, carry: Carry) -> Rows:
        for layer in layers:
            x = layer(x, carry)
        return x


def _on_rows(layers: nn.ModuleList) -> list[Layer]:
    """Make the convolutions before or behind the LSTM.

    Every ELU follows a residual unit or the LSTM and is computed there, so none is left here.
    """
    found: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Conv):
            found.append(RowConvolution(layer))
        elif isinstance(layer, ConvTranspose):
            found.append(RowTransposed(layer))
        elif isinstance(layer, ResidualUnit):
            found.append(RowUnit(layer))
    return found
