"""Define SEANet, the network of EnCodec (arXiv 2210.13438, section 3.1).

Tensors are [B, C, T]. Every layer runs on consecutive chunks of a signal as well as on a whole
signal: what a layer needs of the past goes from chunk to chunk in a `Carry`, and a whole signal is
a stream of one chunk.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .causal_state import Carry

KERNEL = 7
"""Width of the first and the last convolution."""
RESIDUAL_KERNEL = 3
"""Width of the first convolution of a residual unit."""


@dataclass(frozen=True)
class SeanetConfig:
    """Constructor arguments shared by an encoder and the decoder that mirrors it."""

    channels: int = 1
    """Channels of the audio."""
    causal: bool = True
    """Whether convolutions see the past only, so that a signal can be coded as a stream."""
    group_norm: bool = False
    """Whether each convolution is normalised, over all channels and the whole time."""
    filters: int = 32
    """Channels at the audio's rate, doubled by every stage towards the latent."""
    latent: int = 128
    """Channels between encoder and decoder."""
    ratios: Sequence[int] = (8, 5, 4, 2)
    """Upsampling factors of the decoder; the encoder has them in reverse."""
    lstm_layers: int = 2

    @property
    def hop(self) -> int:
        """Samples per frame."""
        return math.prod(self.ratios)


class Conv(nn.Module):
    """Convolution, padded by reflection so that T samples in are ceil(T / stride) out.

    In a stream, every chunk but the last must be a multiple of ``stride`` long, and the first
    longer than ``reach``.
    """

    def __init__(
        self, c: SeanetConfig, inputs: int, outputs: int, kernel: int, stride: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride)
        self.norm = nn.GroupNorm(1, outputs) if c.group_norm else nn.Identity()
        self.stride = stride
        self.reach = kernel - stride
        """Samples that a frame sees beyond its own: all before it if causal, else on both sides."""
        self.ahead = 0 if c.causal else self.reach // 2
        """How many of those lie behind the frame."""

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Turn a chunk [B, inputs, T] into [B, outputs, ceil(T / stride)]."""
        behind = self.reach - self.ahead
        fill = -x.shape[-1] % self.stride if carry.last else 0
        if behind and not carry.first:
            x = torch.cat([carry.take(), x], dim=-1)
        if behind and not carry.last:
            carry.leave(x[..., -behind:])
        out: Tensor = self.conv(reflect(x, behind if carry.first else 0, self.ahead + fill))
        return cast(Tensor, self.norm(out))


class ConvTranspose(nn.Module):
    """Transposed convolution, trimmed so that T frames in are T * stride samples out.

    The kernel is twice the stride wide: a sample comes from its own frame and one neighbour.
    """

    def __init__(self, c: SeanetConfig, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(inputs, outputs, 2 * stride, stride)
        self.norm = nn.GroupNorm(1, outputs) if c.group_norm else nn.Identity()
        self.stride = stride
        self.trim = 0 if c.causal else stride - stride // 2
        """Samples to cut off at the start of the signal."""

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Turn a chunk [B, inputs, T] into [B, outputs, T * stride]."""
        count = x.shape[-1] * self.stride
        start = self.trim
        if not carry.first:
            x = torch.cat([carry.take(), x], dim=-1)
            start += self.stride
        if not carry.last:
            carry.leave(x[..., -1:])
        # The normalisation sees what is about to be trimmed: the weights were trained that way.
        out: Tensor = self.norm(self.conv(x))
        return out[..., start : start + count]


class Lstm(nn.Module):
    """LSTM over time with a skip connection."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, layers)

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Turn a chunk [B, width, T] into the same shape."""
        steps = x.permute(2, 0, 1)
        out, state = self.lstm(steps, None if carry.first else (carry.take(), carry.take()))
        if not carry.last:
            for tensor in state:
                carry.leave(tensor)
        with_skip: Tensor = out + steps
        return with_skip.permute(1, 2, 0)


class ResidualUnit(nn.Module):
    """A branch of half the width, added to a convolution of width 1."""

    def __init__(self, c: SeanetConfig, width: int) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            [
                nn.ELU(),
                Conv(c, width, width // 2, RESIDUAL_KERNEL),
                nn.ELU(),
                Conv(c, width // 2, width, 1),
            ]
        )
        self.shortcut = Conv(c, width, width, 1)

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Turn a chunk [B, width, T] into the same shape."""
        # The shortcut first: a stream carries states in the order in which layers are called.
        out: Tensor = self.shortcut(x, carry)
        return out + run(self.block, x, carry)


def run(layers: Iterable[nn.Module], x: Tensor, carry: Carry) -> Tensor:
    """Put a chunk [B, C, T] through layers one after the other; activations carry nothing."""
    for layer in layers:
        x = cast(Tensor, layer(x) if isinstance(layer, nn.ELU) else layer(x, carry))
    return x


def reflect(x: Tensor, left: int, right: int) -> Tensor:
    """Pad [B, C, T] by reflection; a signal too short for that is first lengthened by zeros."""
    if not left and not right:
        return x
    short = max(0, max(left, right) + 1 - x.shape[-1])
    padded = F.pad(F.pad(x, (0, short)), (left, right), mode="reflect")
    return padded[..., : padded.shape[-1] - short]


class Encoder(nn.Module):
    """Residual units and strided convolutions, then an LSTM at frame rate."""

    def __init__(self, c: SeanetConfig) -> None:
        super().__init__()

        def layers() -> Iterator[nn.Module]:
            width = c.filters
            yield Conv(c, c.channels, width, KERNEL)
            for ratio in reversed(c.ratios):
                yield ResidualUnit(c, width)
                yield nn.ELU()
                yield Conv(c, width, 2 * width, 2 * ratio, ratio)
                width *= 2
            yield Lstm(width, c.lstm_layers)
            yield nn.ELU()
            yield Conv(c, width, c.latent, KERNEL)

        self.layers = nn.ModuleList(layers())

    def forward(self, audio: Tensor, carry: Carry) -> Tensor:
        """Turn audio [B, channels, T] into a latent [B, latent, ceil(T / hop)]."""
        return run(self.layers, audio, carry)


class Decoder(nn.Module):
    """The encoder backwards: an LSTM at frame rate, then transposed convolutions."""

    def __init__(self, c: SeanetConfig) -> None:
        super().__init__()

        def layers() -> Iterator[nn.Module]:
            width = c.filters * 2 ** len(c.ratios)
            yield Conv(c, c.latent, width, KERNEL)
            yield Lstm(width, c.lstm_layers)
            for ratio in c.ratios:
                yield nn.ELU()
                yield ConvTranspose(c, width, width // 2, ratio)
                width //= 2
                yield ResidualUnit(c, width)
            yield nn.ELU()
            yield Conv(c, width, c.channels, KERNEL)

        self.layers = nn.ModuleList(layers())

    def forward(self, latent: Tensor, carry: Carry) -> Tensor:
        """Turn a latent [B, latent, F] into audio [B, channels, F * hop]."""
        return run(self.layers, latent, carry)
