"""Published networks, told by the names and shapes of a checkpoint's tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from neucodec.models.catalogue.card import Card, cards
from neucodec.models.errors import ModelError
from neucodec.models.parts.checkpoint_header import CheckpointHeader
from neucodec.models.parts.state_dict import fold_weight_norm

from .table import configured

Rename = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


def recognise(header: CheckpointHeader) -> list[Card]:
    """The cards of the package whose networks have just these tensors; none, one, or several.

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
    network, rename = _made(card)
    wanted = {name: place.shape for name, place in network.state_dict().items()}
    if len(tensors) < len(wanted):
        return False
    return {name: tensor.shape for name, tensor in rename(tensors).items()} == wanted


def _made(card: Card) -> tuple[nn.Module, Rename]:
    from .dac import network as dac
    from .encodec import network as encodec
    from .hificodec import network as hificodec

    config: Any
    if card.family == "encodec":
        config = configured(card, encodec.EncodecConfig)
        return encodec.Encodec(config), encodec.rename
    if card.family == "dac":
        config = configured(card, dac.DacConfig)
        return dac.Dac(config), lambda tensors: dac.rename(tensors, len(config.rates))
    config = configured(card, hificodec.HifiCodecConfig)
    return hificodec.HifiCodec(config), hificodec.rename
