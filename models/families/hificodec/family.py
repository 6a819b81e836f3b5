"""The record of the family ``hificodec``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from neucodec.models.catalogue.card import Card
from neucodec.models.families.family import Family, configured

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from neucodec.models.codec import Codec

    from .network import HifiCodec
    from .segments import SegmentNetwork


class HifiCodecFamily(Family):
    """HiFi-Codec, coded in segments, whose decoder is called a generator."""

    name = "hificodec"
    strategies = ("segments",)
    halves = ("encoder", "generator")
    system = "HifiCodecSystem"

    def network(self, card: Card) -> HifiCodec:
        """Build the network that a card describes; see `Family.network`."""
        from .network import HifiCodec, HifiCodecConfig

        return HifiCodec(configured(card, HifiCodecConfig))

    def load(self, card: Card, path: Path, device: torch.device, precision: torch.dtype) -> Codec:
        """Load the codec of a card; see `Family.load`."""
        from neucodec.models.strategies import SegmentCodec

        from .network import HifiCodec, HifiCodecConfig
        from .segments import SegmentNetwork

        network = HifiCodec.load(path, configured(card, HifiCodecConfig))
        return SegmentCodec(card, SegmentNetwork(network), device)

    def rename(self, card: Card, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return a published checkpoint's tensors by this package's names."""
        from .network import rename

        return rename(tensors)

    def inner_network(self, codec: Codec) -> HifiCodec:
        """Return the network within the one that fills up segments."""
        return cast("SegmentNetwork", super().inner_network(codec)).network
