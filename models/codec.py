"""The one interface that every codec meets."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from .card import Card


class Codec(Protocol):
    """A loaded checkpoint: chunks of audio to codes and back.

    Both verbs take batches of equal-length chunks; results do not depend on what else is in
    the batch. Audio is float32 at the card's sample rate, levelled as the card says.
    """

    card: Card

    def encode(self, audio: Tensor, codebooks: int) -> Tensor:
        """Audio [B, C, F * hop + 2 * context] to codes [B, codebooks, F] (int64)."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, K, F] to audio [B, C, F * hop + 2 * context].

        The outer ``2 * context`` samples on either side are faded so that adding them to the
        neighbours' gives the joined signal.
        """
        ...

    def fade(self) -> Tensor:
        """The fade-in [2 * context] of ``decode``; the fade-out is one minus it."""
        ...
