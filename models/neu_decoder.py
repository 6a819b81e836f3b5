"""Neu's decoder for inference: the same function as `Neu.decode`, in fewer passes over memory.

What is constant beside each other is multiplied once, when the weights are loaded: codebooks with
the first layer, layer norms with the layers after them, the scales of residuals with the layers
before them. Results differ from those of the network by no more than rounding.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .limiter import limit
from .phase import Phases

if TYPE_CHECKING:
    from .neu import ConvNeXtBlock, Neu

_ALIGNED = 16
"""A matrix product is up to half as fast again where its rows have a multiple of that many floats,
the width of a vector register."""


class _Linear:
    """A linear layer ``x @ weight + bias``, with the weights as the product reads them."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """From a weight [out, in], as torch has it."""
        self.weight = weight.float().T.contiguous()
        self.bias = bias.float().contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """Rows [N, in] to rows [N, out]."""
        return torch.addmm(self.bias, x, self.weight)


def _after_norm(norm: nn.LayerNorm, layer: nn.Linear) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear layer that takes what the norm gives before scale and shift."""
    weight = layer.weight.double()
    return weight * norm.weight.double(), layer.bias.double() + weight @ norm.bias.double()


class _Block:
    """`ConvNeXtBlock`, added to its input in place."""

    def __init__(self, block: ConvNeXtBlock) -> None:
        self.width = block.depthwise.out_channels
        self.taps = block.depthwise.weight[:, :, None].contiguous(
            memory_format=torch.channels_last
        )  # [C, 1, 1, 7]
        self.tap_bias = cast(Tensor, block.depthwise.bias)
        self.padding = (0, block.depthwise.kernel_size[0] // 2)
        self.expand = _Linear(*_after_norm(block.norm, block.expand))
        scale = block.scale.double()
        self.reduce = _Linear(
            block.reduce.weight.double() * scale[:, None], block.reduce.bias.double() * scale
        )

    def __call__(self, x: Tensor) -> None:
        """Frames [B, F, C], which change."""
        # Two dimensions with channels last is how frames lie in memory already.
        image = x.transpose(1, 2)[:, :, None]
        y = F.conv2d(image, self.taps, self.tap_bias, padding=self.padding, groups=self.width)
        rows = y[:, :, 0].transpose(1, 2).reshape(-1, self.width)
        rows = self.expand(F.layer_norm(rows, (self.width,)))
        x.view(-1, self.width).add_(self.reduce(F.gelu(rows)))


class NeuDecoder:
    """Made from a loaded `Neu`, on its device; several threads may use one."""

    def __init__(self, network: Neu) -> None:
        c, trunk = network.config, network.decoder
        self._spectrum = network.spectrum
        self._frame_weights = lru_cache(maxsize=2)(network.frame_weights)
        first = trunk.input.weight.double()
        books = network.quantiser.stages()
        self._entries = torch.cat([book.entries for book in books]).float()
        self._starts = torch.arange(len(books), device=first.device) * c.codebook_size
        weights = torch.cat([first @ book.up.weight.double() for book in books], dim=1)
        self._first_weight = weights.float().T.contiguous()  # [codebooks * dim, width]
        shifts = torch.stack([first @ book.up.bias.double() for book in books]).cumsum(0)
        self._first_bias = (shifts + trunk.input.bias.double()).float()  # [codebooks, width]
        self._norm = trunk.input_norm
        self._blocks = [_Block(cast("ConvNeXtBlock", block)) for block in trunk.blocks]
        weight, bias = _after_norm(trunk.output_norm, trunk.output)
        self._phases = network.phases
        parts = [self._phases.bins, self._phases.given, self._phases.given]
        level, *direction = (
            (F.pad(w, (0, 0, 0, -len(w) % _ALIGNED)), F.pad(b, (0, -len(b) % _ALIGNED)))
            for w, b in zip(*(torch.split(x, parts) for x in (weight, bias)), strict=True)
        )
        # `Neu.synthesise` takes three times the level.
        self._level = _Linear(3 * level[0], 3 * level[1])
        self._direction = [_Linear(*layer) for layer in direction]

    def __call__(self, codes: Tensor) -> Tensor:
        """Codes [B, K, F] to windowed audio [B, F * hop + 2 * context], see `Neu.decode`."""
        batch, count, frames = codes.shape
        places = (codes + self._starts[:count, None]).transpose(1, 2)
        points = F.embedding(places, self._entries).view(batch * frames, -1)
        x = torch.addmm(
            self._first_bias[count - 1], points, self._first_weight[: points.shape[1]]
        ).view(batch, frames, -1)
        x = self._norm(x)
        for block in self._blocks:
            block(x)
        rows = F.layer_norm(x, x.shape[-1:]).flatten(0, 1)
        size = self._level(rows).clamp_(max=7.0).exp_().view(batch, frames, -1)
        size = size[..., : self._phases.bins] * self._frame_weights(frames)[:, None]
        real, imaginary = self._phases(
            *(
                layer(rows).view(batch, frames, -1)[..., : self._phases.given]
                for layer in self._direction
            ),
            Phases.start(codes),
        )
        spectrum = torch.complex(real.mul_(size), imaginary.mul_(size))
        return limit(self._spectrum.synthesise(spectrum), self._spectrum.hop)
