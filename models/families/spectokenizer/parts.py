"""Define SpecTokenizer's layers over time and frequency.

They are causal in time, and remember the past of a stream.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neucodec.models.parts.causal_state import Carry
from neucodec.models.parts.snake import Snake

TIME, FREQUENCY = 3, 4
"""Sizes of kernels along time and frequency: a layer sees a frame and the two before it."""


class Conv(nn.Module):
    """Convolution over time and frequency, causal in time, halving the frequency axis."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, (TIME, FREQUENCY), stride=(1, 2), padding=(0, 1))

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Turn a chunk [B, inputs, F, P] into [B, outputs, F, P / 2]."""
        out: Tensor = self.conv(past(x, carry))
        return out


class ConvTranspose(nn.Module):
    """Transposed convolution over time and frequency, causal in time, doubling the frequency axis.

    ``extra`` is the number of positions to add at the end: 1 for the top bin, which halving lost.
    """

    def __init__(self, inputs: int, outputs: int, extra: int = 0) -> None:
        super().__init__()
        # Padding along time crops the past frames' own output, and what reaches into the future.
        self.conv = nn.ConvTranspose2d(
            inputs,
            outputs,
            (TIME, FREQUENCY),
            stride=(1, 2),
            padding=(TIME - 1, 1),
            output_padding=(0, extra),
        )

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Turn a chunk [B, inputs, F, P] into [B, outputs, F, 2 * P + extra]."""
        out: Tensor = self.conv(past(x, carry))
        return out


def past(x: Tensor, carry: Carry) -> Tensor:
    """Put the frames before the chunk [B, C, F, P] in front of it, zeros at the signal's start."""
    x = F.pad(x, (0, 0, TIME - 1, 0)) if carry.first else torch.cat([carry.take(), x], dim=2)
    if not carry.last:
        carry.leave(x[:, :, 1 - TIME :])
    return x


class Recurrent(nn.Module):
    """The paper's RNN2D: layer norm of each frame, tanh, GRU along time, 1x1 convolution, Snake."""

    def __init__(self, width: int, positions: int, skip: bool) -> None:
        super().__init__()
        self.skip = skip
        self.norm = nn.LayerNorm((width, positions))
        self.gru = nn.GRU(width, width)
        self.mix = nn.Linear(width, width)
        self.snake = Snake(width, dims=2)

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Turn a chunk [B, width, F, P] into the same shape."""
        batch, width, frames, positions = x.shape
        normed = self.norm(x.transpose(1, 2)).tanh()
        steps = normed.permute(1, 0, 3, 2).reshape(frames, batch * positions, width)
        steps, state = self.gru(steps, None if carry.first else carry.take())
        if not carry.last:
            carry.leave(state)
        mixed = self.mix(steps).reshape(frames, batch, positions, width)
        out: Tensor = self.snake(mixed.permute(1, 3, 0, 2))
        return x + out if self.skip else out


def complex_convolution(
    conv: nn.Module, real: Tensor, imaginary: Tensor, carry: Carry
) -> tuple[Tensor, Tensor]:
    """Convolve complex numbers, given as real and imaginary parts, by complex weights A + iB.

    The outputs of the real ``conv`` are the products with A, then those with B:
    (A + iB)(x + iy) = (Ax - By) + i(Ay + Bx).
    """
    a, b = conv(torch.cat([real, imaginary]), carry).chunk(2, dim=1)
    (ax, ay), (bx, by) = a.chunk(2), b.chunk(2)
    return ax - by, ay + bx
