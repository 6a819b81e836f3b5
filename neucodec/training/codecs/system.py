"""Define what the trainer asks of a codec."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from neucodec.models.bounds import checked
from neucodec.models.catalogue.card import Card
from neucodec.models.errors import ModelError
from neucodec.models.parts.precision import autocast
from neucodec.training.recipe import Recipe

C = TypeVar("C")


@dataclass
class Decoded:
    """Holds what coding a batch gives, both signals as the losses are to compare them."""

    reference: Tensor
    """[B, C, T]."""
    decoded: Tensor
    """[B, C, T], where the gradients of the losses begin."""
    penalties: dict[str, Tensor] = field(default_factory=dict)
    """What else is to be small (scalars): distances of points and codebook entries."""


class System(nn.Module, ABC):
    """Holds a codec's network as it is trained.

    Steps are functions of the recipe's seed, the step and torch's random state.
    """

    WEIGHTS: ClassVar[Mapping[str, float]]
    """Of the losses, unless the recipe has others."""
    GROUPS: ClassVar[Mapping[str, str]] = {}
    """Losses that share one gradient where gradients are balanced."""

    network: nn.Module
    """As in `neucodec.models`, under the same names, apart from weight norm."""
    channels = 1
    quantises_from = 0
    """Step from which on codes are used."""
    quantising = True
    """Whether it has been reached; what happens until then is up to the system."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.weights = {**self.WEIGHTS, **recipe.weights}

    @property
    @abstractmethod
    def most(self) -> int:
        """Return the number of all codebooks."""

    @property
    @abstractmethod
    def length(self) -> int:
        """Return the samples of an item."""

    @abstractmethod
    def counts(self, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Draw how many codebooks each item [B] of a step uses; 0 for none of them, unquantised."""

    @abstractmethod
    def forward(self, audio: Tensor, counts: Tensor) -> Decoded:
        """Code audio [B, C, T] with ``counts`` [B] codebooks."""

    @abstractmethod
    def distances(
        self, reference: Tensor, decoded: Tensor, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Return how far apart two signals [B, C, T] are, by the names of ``WEIGHTS``."""

    @abstractmethod
    def card(self, name: str, title: str) -> Card:
        """Return the card of the trained network, weights aside."""

    def weight_norm(self) -> None:
        """Factorise what the paper does; called once the weights to start from are there."""

    def begin(self, batch: Callable[[int], Tensor]) -> None:
        """Prepare a run that starts from nothing; called before its first step."""

    def start_codebooks(self, batch: Callable[[int], Tensor]) -> None:
        """Start codebooks; called once, before the first step that uses codes. ``batch`` gives
        audio by number.
        """

    def autocast(self, audio: Tensor) -> torch.autocast:
        """Return a context in which the recipe's precision holds where the audio is."""
        return autocast(self.recipe.precision, audio.device)


def configured(kind: Callable[..., C], arguments: Mapping[str, Any]) -> C:
    """Return a network's configuration from a recipe's ``[model]``. Raises ValueError where it
    does not fit.
    """
    try:
        return checked(kind, arguments)
    except ModelError as error:
        raise ValueError(f"[model] does not fit: {error}") from None


def normed(network: nn.Module, skip: Callable[[str], bool] = lambda name: False) -> None:
    """Give every convolution and factorised projection weight norm, in place."""
    kinds = (nn.Conv1d, nn.ConvTranspose1d, nn.Linear)
    for name, module in list(network.named_modules()):
        if isinstance(module, kinds) and not skip(name):
            weight_norm(module)


def count_parameters(network: nn.Module) -> int:
    """Return how many numbers are learnt, entries of codebooks included, weight norm's lengths
    not.
    """
    tensors = network.state_dict()
    lengths = sum(t.numel() for name, t in tensors.items() if name.endswith("original0"))
    return sum(t.numel() for t in tensors.values()) - lengths
