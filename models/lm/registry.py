"""From a codec to its entropy model."""

from __future__ import annotations

from ..card import Card
from .frequencies import FrequencyModel


def entropy_model_for(card: Card) -> FrequencyModel | None:
    """The model that foresees a codec's codes, loaded once; None where there is none."""
    return None
