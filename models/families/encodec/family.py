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
        from .network import Encodec, EncodecConfig

        return self.codec(card, Encodec.load(path, configured(card, EncodecConfig)), device)

    def codec(self, card: Card, network: Encodec, device: torch.device) -> Codec:
        """Put a network behind the interface of all codecs; see `Family.codec`."""
        from neucodec.models.strategies import SegmentCodec, StreamCodec

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

    def latent_of(self, network: Encodec, audio: Tensor) -> Tensor:
        """Encode audio to the latent; see `Family.latent_of`."""
        from neucodec.models.parts.causal_state import Carry

        latent: Tensor = network.encoder(audio, Carry())
        return latent.transpose(1, 2)

    def audio_of(self, network: Encodec, vectors: Tensor) -> Tensor:
        """Decode vectors to audio; see `Family.audio_of`."""
        from neucodec.models.parts.causal_state import Carry

        audio: Tensor = network.decoder(vectors.transpose(1, 2), Carry())
        return audio

    def entropy_model(self, path: Path, name: str, frames: int) -> FrequencyModel:
        """Load one of the entropy models that EnCodec's authors publish."""
        from neucodec.models.lm.encodec_lm import EncodecLm

        return EncodecLm.load(path, name, frames)

    def card_of_transformers(self, config: Mapping[str, Any], name: str) -> Card:
        """Make a card from Transformers' ``EncodecModel``; see `Family.card_of_transformers`."""
        from .own_card import card_of_transformers

        return card_of_transformers(config, name)
