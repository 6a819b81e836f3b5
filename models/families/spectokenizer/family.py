"""The record of the family ``spectokenizer``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neucodec.models.catalogue.card import Card
from neucodec.models.families.family import Family, configured

if TYPE_CHECKING:
    import torch
    from torch import Tensor

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
        from .network import SpecTokenizer, SpecTokenizerConfig

        config = configured(card, SpecTokenizerConfig)
        return self.codec(card, SpecTokenizer.load(path, config), device)

    def latent_of(self, network: SpecTokenizer, audio: Tensor) -> Tensor:
        """Encode audio, beyond whose ends there is silence, to the latent."""
        import torch.nn.functional as F

        context = network.config.hop // 2
        return network.analyse(F.pad(audio, (context, context)))

    def audio_of(self, network: SpecTokenizer, vectors: Tensor) -> Tensor:
        """Decode vectors to audio; see `Family.audio_of`."""
        audio, hop = network.synthesise(vectors), network.config.hop
        return audio[..., hop // 2 : hop // 2 + vectors.shape[1] * hop]

    def codec(self, card: Card, network: SpecTokenizer, device: torch.device) -> Codec:
        """Put a network behind the interface of all codecs; see `Family.codec`."""
        from neucodec.models.strategies import OverlapCodec

        fade = network.window[: network.config.hop].square()
        return OverlapCodec(card, network, device, fade)
