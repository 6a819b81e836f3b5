"""Networks without weights, built to be measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

N = TypeVar("N", bound=nn.Module)


def sketch(build: Callable[[], N]) -> N:
    """Build a network whose tensors have shapes but no memory."""
    with torch.device("meta"):
        return build()


def parameter_count(network: nn.Module) -> int:
    """Return how many numbers the parameters of a network are."""
    return sum(parameter.numel() for parameter in network.parameters())
