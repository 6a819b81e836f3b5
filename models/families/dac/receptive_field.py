"""How far a stack of convolutions sees."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

Convolution = nn.Conv1d | nn.ConvTranspose1d


def convolutions(network: nn.Module) -> list[Convolution]:
    """A network's one-dimensional convolutions in the order of their definition."""
    return [m for m in network.modules() if isinstance(m, nn.Conv1d | nn.ConvTranspose1d)]


def seen(layers: Sequence[Convolution], first: int, last: int) -> tuple[int, int]:
    """The first and the last input on which outputs ``first`` to ``last`` of a chain depend.

    Positions count from the signal's start and may lie outside of it, where the padding is.
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
