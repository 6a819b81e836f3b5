"""Make the layers of discriminators: weight-normed convolutions, and features along a stack."""

from __future__ import annotations

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

DISCRIMINATOR_SLOPE = 0.1
"""Of the leaky ReLUs of HiFi-GAN's discriminators, and of DAC's."""


def conv1d(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    """Return a weight-normed convolution, padded by half the kernel."""
    return weight_norm(
        nn.Conv1d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups)
    )


def conv2d(
    inputs: int,
    outputs: int,
    kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    dilation: int = 1,
) -> nn.Module:
    """Return a weight-normed convolution, padded by half the kernel; dilated along the first
    axis.
    """
    padding = (dilation * (kernel[0] // 2), kernel[1] // 2)
    return weight_norm(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=padding, dilation=(dilation, 1))
    )


def through(
    layers: Iterable[nn.Module], x: Tensor, slope: float = DISCRIMINATOR_SLOPE
) -> list[Tensor]:
    """Return what each layer puts out, after a leaky ReLU."""
    features = []
    for layer in layers:
        x = F.leaky_relu(layer(x), slope)
        features.append(x)
    return features
