"""The record of the family ``spectokenizer``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neucodec.models.catalogue.card import Card
from neucodec.models.families.family import Family, configured

if TYPE_CHECKING:
    import torch

    from neucodec.models.codec import Codec

    from .network import SpecTokenizer


class SpecTokenizerFamily(Family):
    """SpecTokenizer, coded in chunks of their own that overlap by a hop."""

    name = "spectokenizer"
    strategies = ("overlap",)
    system = "SpecTokenizerSystem"

    def network(self, card: Card) -> SpecTokenizer:
        """Build the network that a card describes; see `Family.network`."""
        from .network import SpecTokenizer, SpecTokenizerConfig

        return SpecTokenizer(configured(card, SpecTokenizerConfig))

    def load(self, card: Card, path: Path, device: torch.device, precision: torch.dtype) -> Codec:
        """Load the codec of a card; see `Family.load`."""
        from neucodec.models.strategies import OverlapCodec

        from .network import SpecTokenizer, SpecTokenizerConfig

        network = SpecTokenizer.load(path, configured(card, SpecTokenizerConfig))
        fade = network.window[: network.config.hop].square()
        return OverlapCodec(card, network, device, fade)
