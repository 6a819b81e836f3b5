"""The receptive field of a stack of convolutions: how far its outputs see."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

Convolution = nn.Conv1d | nn.ConvTranspose1d


def convolutions(network: nn.Module) -> list[Convolution]:
    """List a network's one-dimensional convolutions in the order of their definition."""
    return [m for m in network.modules() if isinstance(m, nn.Conv1d | nn.ConvTranspose1d)]


def receptive_field(layers: Sequence[Convolution], first: int, last: int) -> tuple[int, int]:
    """Return the first and the last input on which outputs ``first`` to ``last`` depend.

    ``layers`` run one after the other. Positions count from the signal's start and may lie
    outside of it, where the padding is.
    """
    for layer in reversed(layers):
        stride, padding = layer.stride[0], int(layer.padding[0])
        span = layer.dilation[0] * (layer.kernel_size[0] - 1)
        if isinstance(layer, nn.ConvTranspose1d):
            first = -((span - first - padding) // stride)
            last = (last + padding) // stride
        else:
            first = first * stride - padding
            last = last * stride - padding + span
    return first, last
