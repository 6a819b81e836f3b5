"""The record of the family ``dac``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neucodec.models.catalogue.card import Card
from neucodec.models.families.family import Family, configured

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from neucodec.models.codec import Codec

    from .network import Dac


class DacFamily(Family):
    """DAC, the Descript Audio Codec: the one family that can decode in bfloat16."""

    name = "dac"
    strategies = ("context",)
    precisions = ("float32", "bfloat16")
    in_transformers = True
    system = "DacSystem"
    peer = "dac"

    def network(self, card: Card) -> Dac:
        """Build the network that a card describes; see `Family.network`."""
        from .network import Dac, DacConfig

        return Dac(configured(card, DacConfig))

    def load(self, card: Card, path: Path, device: torch.device, precision: torch.dtype) -> Codec:
        """Load the codec of a card; see `Family.load`."""
        from .network import Dac, DacConfig

        network = Dac.load(path, configured(card, DacConfig))
        network.precision = precision
        return self.codec(card, network, device)

    def codec(self, card: Card, network: Dac, device: torch.device) -> Codec:
        """Put a network behind the interface of all codecs; see `Family.codec`."""
        from neucodec.models.strategies import ContextCodec

        return ContextCodec(card, network, device)

    def audio_of(self, network: Dac, vectors: Tensor) -> Tensor:
        """Decode vectors; a stride of 5 gives too few samples, see `Dac.decode`."""
        import torch.nn.functional as F

        audio = super().audio_of(network, vectors)
        return F.pad(audio, (0, vectors.shape[1] * network.config.hop - audio.shape[-1]))

    def rename(self, card: Card, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return a published checkpoint's tensors by this package's names."""
        from .network import DacConfig, rename

        return rename(tensors, len(configured(card, DacConfig).rates))

    def in_windows(self, codec: Codec, card: Card) -> Codec:
        """Return a codec that decodes what ``descript-audio-codec`` has coded in windows."""
        from neucodec.models.strategies import ContextCodec

        from .windows import WindowCodec

        assert isinstance(codec, ContextCodec)
        return WindowCodec(card, codec.network, codec.device)

    def card_of_transformers(self, config: Mapping[str, Any], name: str) -> Card:
        """Make a card from Transformers' ``DacModel``; see `Family.card_of_transformers`."""
        from .own_card import card_of_transformers

        return card_of_transformers(config, name)

    def describes(self, metadata: Mapping[str, Any]) -> bool:
        """Tell whether a file has the constructor's arguments that DAC's training puts there."""
        arguments = metadata.get("kwargs")
        return isinstance(arguments, Mapping) and "encoder_rates" in arguments

    def card_of_metadata(self, metadata: Mapping[str, Any], name: str) -> Card:
        """Make a card from those arguments; see `Family.card_of_metadata`."""
        from .own_card import card_of_arguments

        return card_of_arguments(metadata["kwargs"], name)
