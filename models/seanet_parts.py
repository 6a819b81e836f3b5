"""Convolutions and norms of SEANet that go through large chunks in parts, in as little memory as
they can: what they compute is what PyTorch's own do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LARGE = 1 << 20
"""Values of a chunk from which on convolutions go through it in parts."""
_PART = 8192
"""Samples that a part gives: fewer take longer."""
_FRAMES = 4096
"""Frames that a part of a transposed convolution takes: all at once take up to twice as long."""


def spares(x: Tensor) -> bool:
    """Whether to save memory: on a CPU, in one precision, and where no gradient will want what
    there was."""
    mixed = torch.is_autocast_enabled("cpu")
    return x.device.type == "cpu" and not (mixed or torch.is_grad_enabled())


def is_large(x: Tensor) -> bool:
    """Whether a copy of it is worth avoiding."""
    return x.numel() > _LARGE


def reflect(x: Tensor, left: int, right: int) -> Tensor:
    """Pad by reflection; a signal too short to reflect is first lengthened by zeros."""
    short = max(0, max(left, right) + 1 - x.shape[-1])
    if short:
        x = F.pad(x, (0, short))
    # The same as F.pad's reflection, in a fraction of its time.
    last = x.shape[-1] - 1
    parts = [x[..., 1 : left + 1].flip(-1), x, x[..., last - right : last].flip(-1)]
    padded = torch.cat(parts, dim=-1)
    return padded[..., : padded.shape[-1] - short]


def convolve(x: Tensor, conv: nn.Conv1d) -> Tensor:
    """What the convolution gives of [B, C, T]. To one or two channels it is a product: of every
    sample the share in each output that it is seen by, then the shares' sums."""
    if conv.out_channels > 2 or conv.in_channels < 8 or x.device.type != "cpu":
        out: Tensor = conv(x)
        return out
    outputs, inputs, taps = conv.weight.shape
    products = conv.weight.transpose(1, 2).reshape(-1, inputs) @ x
    shares = products.view(len(x), outputs, taps, -1)
    count = x.shape[-1] - taps + 1
    total = shares[:, :, 0, :count] + cast(Tensor, conv.bias)[:, None]
    for tap in range(1, taps):
        total += shares[:, :, tap, tap : tap + count]
    return total


def convolve_in_parts(
    x: Tensor, conv: nn.Conv1d, left: int, right: int, spare: Tensor | None
) -> Tensor:
    """`convolve` of `reflect`, without a copy of all of [B, C, T]."""
    (kernel,), (stride,), count = conv.kernel_size, conv.stride, x.shape[-1]
    frames = (left + count + right - kernel) // stride + 1
    out = x.new_empty(len(x), conv.out_channels, frames) if spare is None else spare
    if kernel == 1 and conv.bias is not None:
        weight = conv.weight[None, :, :, 0].expand(len(x), -1, -1)
        return torch.baddbmm(conv.bias[:, None], weight, x, out=out)
    # The last part is long enough to be reflected at its end.
    firsts = range(0, max(1, frames - kernel), _PART)
    for first in firsts:
        last = frames if first == firsts[-1] else first + _PART
        start, end = first * stride - left, (last - 1) * stride + kernel - left
        part = x[..., max(0, start) : min(end, count)]
        if start < 0 or end > count:
            part = reflect(part, max(0, -start), max(0, end - count))
        out[..., first:last] = convolve(part, conv)
    return out


def transpose_in_parts(
    x: Tensor, conv: nn.ConvTranspose1d, start: int, count: int
) -> tuple[Tensor, list[Tensor]]:
    """Samples [B, C, count] from ``start`` on of a transposed convolution whose kernel is twice
    its stride, and those before and after."""
    (stride,), frames = conv.stride, x.shape[-1]
    out, beyond = x.new_empty(len(x), conv.out_channels, count), []
    for first in range(0, frames + 1, _FRAMES):
        last = min(first + _FRAMES, frames + 1)
        # A frame's samples are its own and the previous one's, which gives only its later half.
        part = conv(x[..., max(0, first - 1) : min(last, frames)])
        part = part[..., stride if first else 0 :][..., : (last - first) * stride]
        at = first * stride - start
        before, after = max(0, -at), max(0, at + part.shape[-1] - count)
        inner = part[..., before : max(before, part.shape[-1] - after)]
        out[..., at + before : at + before + inner.shape[-1]] = inner
        beyond += [part[..., :before].clone(), part[..., part.shape[-1] - after :].clone()]
    return out, beyond


def normalise(x: Tensor, norm: nn.Module, beyond: Sequence[Tensor] = ()) -> Tensor:
    """What the norm makes of [B, C, T], in the memory of that where no gradient will want it.

    ``beyond`` [B, C, ...] counts in its mean and variance; nobody wants what becomes of it.
    """
    if not isinstance(norm, nn.GroupNorm) or not spares(x):
        out: Tensor = norm(x)
        return out
    for item, *others in zip(x, *beyond, strict=True):
        parts = [item, *others]
        count = sum(part.numel() for part in parts)
        mean = torch.stack([part.sum() for part in parts]).sum() / count
        for part in parts:
            part -= mean
        # Row by row, since one sum over all is too long for float32.
        rows = torch.cat([torch.linalg.vector_norm(part, dim=1) for part in parts])
        item *= (norm.weight * torch.rsqrt(rows.square().sum() / count + norm.eps))[:, None]
        item += norm.bias[:, None]
    return x
