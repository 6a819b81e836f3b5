"""Define the Snake activation (arXiv 2006.08195): periodic, with a learnt frequency per channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_BLOCK = 1 << 16
"""How many samples are worked on at once: they stay in a processor's second-level cache."""


class Snake(nn.Module):
    """x + sin(a x)^2 / a over channels [B, C, ...], with ``dims`` dimensions after the channel."""

    def __init__(self, channels: int, dims: int = 1) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, *[1] * dims))

    def forward(self, x: Tensor) -> Tensor:
        """Turn any [B, C, ...] into the same shape."""
        # DAC adds the constant so that a channel with a = 0 passes unchanged.
        inverse = 1 / (self.alpha + 1e-9)
        fits = x.numel() < 8 * _BLOCK
        if fits or x.device.type != "cpu" or torch.is_grad_enabled():
            return torch.addcmul(x, (self.alpha * x).sin().square(), inverse)
        out = torch.empty(x.shape, dtype=x.dtype)
        scales = [a.flatten()[:, None].repeat(len(x), 1) for a in (self.alpha, inverse)]
        rows, results = x.flatten(2).flatten(0, 1), out.flatten(2).flatten(0, 1)
        at_once = max(1, _BLOCK // max(1, rows.shape[1]))
        parts = (torch.split(tensor, at_once) for tensor in (rows, results, *scales))
        for row, result, a, inverted in zip(*parts, strict=True):
            torch.mul(a, row, out=result).sin_().square_()
            torch.addcmul(row, result, inverted, out=result)
        return out
