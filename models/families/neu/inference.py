"""Neu's layers for inference: the same functions as in training, in fewer passes over memory.

What is constant beside each other is multiplied once, when the weights are loaded: layer norms with
the layers after them, the scales of residuals with the layers before them. Results differ from
those of the network by no more than rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from .network import ConvNeXtBlock, Trunk


def exact(parameter: Tensor) -> Tensor:
    """In float64, for what is done once, on loading; on the CPU, as not every device has it."""
    return parameter.detach().cpu().double()


class Linear:
    """A linear layer ``x @ weight + bias``, with the weights as the product reads them."""

    def __init__(self, weight: Tensor, bias: Tensor, device: torch.device) -> None:
        """From a weight [out, in], as torch has it."""
        self.weight = weight.float().T.contiguous().to(device)
        self.bias = bias.float().contiguous().to(device)

    def __call__(self, x: Tensor) -> Tensor:
        """Rows [N, in] to rows [N, out]."""
        return torch.addmm(self.bias, x, self.weight)


def after_norm(norm: nn.LayerNorm, layer: nn.Linear) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear layer that takes what the norm gives before scale and shift."""
    weight = exact(layer.weight)
    return weight * exact(norm.weight), exact(layer.bias) + weight @ exact(norm.bias)


class Block:
    """`ConvNeXtBlock`, added to its input in place."""

    def __init__(self, block: ConvNeXtBlock) -> None:
        self.width = block.depthwise.out_channels
        self.taps = block.depthwise.weight[:, :, None].contiguous(
            memory_format=torch.channels_last
        )  # [C, 1, 1, 7]
        self.tap_bias = cast(Tensor, block.depthwise.bias)
        self.padding = (0, block.depthwise.kernel_size[0] // 2)
        device, scale = block.scale.device, exact(block.scale)
        self.expand = Linear(*after_norm(block.norm, block.expand), device)
        weight, bias = exact(block.reduce.weight), exact(block.reduce.bias)
        self.reduce = Linear(weight * scale[:, None], bias * scale, device)

    def __call__(self, x: Tensor) -> None:
        """Frames [B, F, C], which change."""
        # Two dimensions with channels last is how frames lie in memory already.
        image = x.transpose(1, 2)[:, :, None]
        y = F.conv2d(image, self.taps, self.tap_bias, padding=self.padding, groups=self.width)
        rows = y[:, :, 0].transpose(1, 2).reshape(-1, self.width)
        rows = self.expand(F.layer_norm(rows, (self.width,)))
        x.view(-1, self.width).add_(self.reduce(F.gelu(rows)))


class Middle:
    """What is between the first and the last linear layer of a `Trunk`, without the last norm's
    scale and shift."""

    def __init__(self, trunk: Trunk) -> None:
        self._norm = trunk.input_norm
        self._blocks = [Block(cast("ConvNeXtBlock", block)) for block in trunk.blocks]

    def __call__(self, x: Tensor) -> Tensor:
        """Frames [B, F, C] to rows [B * F, C]."""
        x = self._norm(x)
        for block in self._blocks:
            block(x)
        return F.layer_norm(x, x.shape[-1:]).flatten(0, 1)
