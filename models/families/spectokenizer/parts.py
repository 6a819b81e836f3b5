"""Layers of SpecTokenizer, over time and frequency: causal in time, and remembering the past of a
stream."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neucodec.models.parts.causal_state import Carry
from neucodec.models.parts.snake import Snake

TIME, FREQUENCY = 3, 4
"""Kernel sizes. A layer sees the current frame and the two before it."""


class Conv(nn.Module):
    """Convolution over time and frequency, causal in time, halving the frequency axis."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, (TIME, FREQUENCY), stride=(1, 2), padding=(0, 1))

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Chunk [B, inputs, F, P] to [B, outputs, F, P / 2]."""
        out: Tensor = self.conv(past(x, carry))
        return out


class ConvTranspose(nn.Module):
    """Transposed convolution over time and frequency, causal in time, doubling the frequency axis.

    ``extra`` adds a position at the end: the top bin, which halving lost.
    """

    def __init__(self, inputs: int, outputs: int, extra: int = 0) -> None:
        super().__init__()
        # Time padding crops what belongs to the past frames and what reaches into the future.
        self.conv = nn.ConvTranspose2d(
            inputs,
            outputs,
            (TIME, FREQUENCY),
            stride=(1, 2),
            padding=(TIME - 1, 1),
            output_padding=(0, extra),
        )

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Chunk [B, inputs, F, P] to [B, outputs, F, 2 * P + extra]."""
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
        """Chunk [B, width, F, P] to the same shape."""
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
    """A complex convolution by a real one whose outputs are the two parts of the weights' products:
    (A + iB)(x + iy) = (Ax - By) + i(Ay + Bx)."""
    a, b = conv(torch.cat([real, imaginary]), carry).chunk(2, dim=1)
    (ax, ay), (bx, by) = a.chunk(2), b.chunk(2)
    return ax - by, ay + bx
