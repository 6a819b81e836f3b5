"""Run Neu's layers for inference: the same functions as in training, in fewer passes over memory.

Adjacent constants are multiplied once, when the weights are loaded: layer norms with the layers
after them, the scales of residuals with the layers before them. Results differ from those of the
network by no more than rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from .network import ConvNeXtBlock, Trunk


def exact(parameter: Tensor) -> Tensor:
    """Return a parameter in float64, for what is computed once, when the weights are loaded.

    It is on the CPU, since not every device has float64.
    """
    return parameter.detach().cpu().double()


class Linear:
    """A linear layer ``x @ weight + bias``, with the weights as the product reads them."""

    def __init__(self, weight: Tensor, bias: Tensor, device: torch.device) -> None:
        """Take a weight [out, in] and a bias [out], as torch has them."""
        self.weight = weight.float().T.contiguous().to(device)
        self.bias = bias.float().contiguous().to(device)

    def __call__(self, x: Tensor) -> Tensor:
        """Turn rows [N, in] into rows [N, out]."""
        return torch.addmm(self.bias, x, self.weight)


def after_norm(norm: nn.LayerNorm, layer: nn.Linear) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a linear layer with the scale and shift of the norm before it."""
    weight = exact(layer.weight)
    return weight * exact(norm.weight), exact(layer.bias) + weight @ exact(norm.bias)


class Block:
    """`ConvNeXtBlock` for inference, which adds its result to its input in place."""

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
        """Run the block on frames [B, F, C], which are overwritten."""
        # Two dimensions with channels last is how frames lie in memory already.
        image = x.transpose(1, 2)[:, :, None]
        y = F.conv2d(image, self.taps, self.tap_bias, padding=self.padding, groups=self.width)
        rows = y[:, :, 0].transpose(1, 2).reshape(-1, self.width)
        rows = self.expand(F.layer_norm(rows, (self.width,)))
        x.view(-1, self.width).add_(self.reduce(F.gelu(rows)))


class Middle:
    """The layers between the first and the last linear layer of a `Trunk`.

    The last norm's scale and shift are left out; `after_norm` puts them into the last layer.
    """

    def __init__(self, trunk: Trunk) -> None:
        self._norm = trunk.input_norm
        self._blocks = [Block(cast("ConvNeXtBlock", block)) for block in trunk.blocks]

    def __call__(self, x: Tensor) -> Tensor:
        """Turn frames [B, F, C] into rows [B * F, C]."""
        x = self._norm(x)
        for block in self._blocks:
            block(x)
        return F.layer_norm(x, x.shape[-1:]).flatten(0, 1)
