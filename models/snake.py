"""The Snake activation (arXiv 2006.08195): periodic, with a learnt frequency per channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Snake(nn.Module):
    """x + sin(a x)^2 / a over channels [B, C, ...], with ``dims`` dimensions after the channel."""

    def __init__(self, channels: int, dims: int = 1) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, *[1] * dims))

    def forward(self, x: Tensor) -> Tensor:
        """Any [B, C, ...] to the same shape."""
        # DAC adds the constant so that a channel with a = 0 passes unchanged.
        return torch.addcmul(x, (self.alpha * x).sin().square(), 1 / (self.alpha + 1e-9))
