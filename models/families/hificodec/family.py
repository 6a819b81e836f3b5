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
        from .network import HifiCodec, HifiCodecConfig

        return self.codec(card, HifiCodec.load(path, configured(card, HifiCodecConfig)), device)

    def codec(self, card: Card, network: HifiCodec, device: torch.device) -> Codec:
        """Put a network behind the interface of all codecs; see `Family.codec`."""
        from neucodec.models.strategies import SegmentCodec

        from .segments import SegmentNetwork

        return SegmentCodec(card, SegmentNetwork(network), device)

    def rename(self, card: Card, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return a published checkpoint's tensors by this package's names."""
        from .network import rename

        return rename(tensors)

    def quantise(self, network: HifiCodec, latent: Tensor, codebooks: int) -> Tensor:
        """Return the codes of a latent; see `Family.quantise`."""
        return network.quantise(latent, codebooks)

    def embed(self, network: HifiCodec, codes: Tensor) -> Tensor:
        """Return the vectors that codes stand for; see `Family.embed`."""
        return network.embed(codes)

    def audio_of(self, network: HifiCodec, vectors: Tensor) -> Tensor:
        """Decode vectors to audio; see `Family.audio_of`."""
        audio: Tensor = network.generator(vectors.transpose(1, 2))
        return audio

    def inner_network(self, codec: Codec) -> HifiCodec:
        """Return the network within the one that fills up segments."""
        return cast("SegmentNetwork", super().inner_network(codec)).network
