"""Recognise published networks by the names and shapes of a checkpoint's tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from neucodec.models.catalogue.card import Card, cards
from neucodec.models.errors import ModelError
from neucodec.models.parts.checkpoint_header import CheckpointHeader
from neucodec.models.parts.state_dict import fold_weight_norm

from .table import family_of


def recognise(header: CheckpointHeader) -> list[Card]:
    """Return the package's cards whose networks have just these tensors: none, one, or several.

    Networks are built and tensors folded without memory, for their shapes alone.
    """
    with torch.device("meta"):
        tensors = {name: torch.empty(shape) for name, shape in header.shapes.items()}
        try:
            folded = fold_weight_norm(tensors)
        except ModelError:
            return []
        return [card for card in cards().values() if card.sources and _fits(card, folded)]


def _fits(card: Card, tensors: Mapping[str, Tensor]) -> bool:
    family = family_of(card)
    places = family.network(card).state_dict()
    wanted = {name: place.shape for name, place in places.items()}
    if len(tensors) < len(wanted):
        return False
    renamed = family.rename(card, tensors)
    return {name: tensor.shape for name, tensor in renamed.items()} == wanted
