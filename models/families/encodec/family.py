"""The record of the family ``encodec``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from neucodec.models.catalogue.card import Card
from neucodec.models.families.family import Family, configured

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from neucodec.models.codec import Codec
    from neucodec.models.lm.frequencies import FrequencyModel

    from .network import Encodec


class EncodecFamily(Family):
    """EnCodec: causal networks code a stream, the others segments."""

    name = "encodec"
    strategies = ("stream", "segments")
    in_transformers = True
    system = "EncodecSystem"
    peer = "ecdc"

    def network(self, card: Card) -> Encodec:
        """Build the network that a card describes; see `Family.network`."""
        from .network import Encodec, EncodecConfig

        return Encodec(configured(card, EncodecConfig))

    def load(self, card: Card, path: Path, device: torch.device, precision: torch.dtype) -> Codec:
        """Load the codec of a card; see `Family.load`."""
        from neucodec.models.strategies import SegmentCodec, StreamCodec

        from .network import Encodec, EncodecConfig

        network = Encodec.load(path, configured(card, EncodecConfig))
        if card.chunk_strategy == "stream":
            return StreamCodec(card, network, device)
        return SegmentCodec(card, network, device)

    def rename(self, card: Card, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return a published checkpoint's tensors by this package's names."""
        from .network import rename

        return rename(tensors)

    def facts(self, network: nn.Module) -> Mapping[str, object]:
        """Return what a network is: one that levels its input itself gives scales."""
        config = cast("Encodec", network).config
        found = {
            **super().facts(network),
            "channels": config.channels,
            "chunk_strategy": "stream" if config.causal else "segments",
        }
        return {**found, "level": "codec"} if config.normalise else found

    def entropy_model(self, path: Path, name: str, frames: int) -> FrequencyModel:
        """Load one of the entropy models that EnCodec's authors publish."""
        from neucodec.models.lm.encodec_lm import EncodecLm

        return EncodecLm.load(path, name, frames)

    def card_of_transformers(self, config: Mapping[str, Any], name: str) -> Card:
        """Make a card from Transformers' ``EncodecModel``; see `Family.card_of_transformers`."""
        from .own_card import card_of_transformers

        return card_of_transformers(config, name)
