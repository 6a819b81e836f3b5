"""The record of the family ``neu``: the embedded codecs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from neucodec.models.catalogue.card import Card
from neucodec.models.families.family import Family, configured

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from neucodec.models.codec import Codec

    from .network import Neu


class NeuFamily(Family):
    """Neu, whose entropy models are the package's own."""

    name = "neu"
    strategies = ("overlap",)
    onnx = True
    portable = True
    system = "NeuSystem"

    def network(self, card: Card) -> nn.Module:
        """Build the network that a card describes; see `Family.network`."""
        from .network import Neu, NeuConfig

        return Neu(configured(card, NeuConfig))

    def load(self, card: Card, path: Path, device: torch.device, precision: torch.dtype) -> Codec:
        """Load the codec of a card; see `Family.load`."""
        from .codec import NeuCodec

        return NeuCodec.load(card, path, device)

    def codec(self, card: Card, network: Neu, device: torch.device) -> Codec:
        """Put a network behind the interface of all codecs; see `Family.codec`."""
        from .codec import NeuCodec

        return NeuCodec(card, network, device)

    def latent_of(self, network: Neu, audio: Tensor) -> Tensor:
        """Encode audio, beyond whose ends there is silence, to the latent."""
        import torch.nn.functional as F

        return network.analyse(F.pad(audio[:, 0], (network.context, network.context)))

    def audio_of(self, network: Neu, vectors: Tensor) -> Tensor:
        """Decode vectors to audio; see `Family.audio_of`."""
        audio, hop = network.synthesise(vectors), network.hop
        return audio[:, None, network.context : network.context + vectors.shape[1] * hop]

    def facts(self, network: nn.Module) -> Mapping[str, object]:
        """Return what a network is; a frame may be several hops of its spectrum."""
        return {**super().facts(network), "hop": network.hop}

    def export_onnx(self, codec: Codec, folder: Path) -> tuple[Path, Path]:
        """Write both graphs; see `neucodec.models.families.neu.onnx`."""
        from .onnx import export_onnx

        return export_onnx(codec, folder)

    def portable_tensors(
        self, card: Card, path: Path, entropy_path: Path | None
    ) -> dict[str, NDArray[np.generic]]:
        """Return the arrays of a file for the portable decoder; see `Family.portable_tensors`."""
        from .portable import portable_tensors

        return portable_tensors(card, path, entropy_path)
