"""The record of the family ``neu``: the embedded codecs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from neucodec.models.catalogue.card import Card
from neucodec.models.families.family import Family, configured

if TYPE_CHECKING:
    import torch
    from torch import nn

    from neucodec.models.codec import Codec


class NeuFamily(Family):
    """Neu, whose entropy models are the package's own."""

    name = "neu"
    strategies = ("overlap",)
    onnx = True
    system = "NeuSystem"

    def network(self, card: Card) -> nn.Module:
        """Build the network that a card describes; see `Family.network`."""
        from .network import Neu, NeuConfig

        return Neu(configured(card, NeuConfig))

    def load(self, card: Card, path: Path, device: torch.device, precision: torch.dtype) -> Codec:
        """Load the codec of a card; see `Family.load`."""
        from .codec import NeuCodec

        return NeuCodec.load(card, path, device)

    def facts(self, network: nn.Module) -> Mapping[str, object]:
        """Return what a network is; a frame may be several hops of its spectrum."""
        return {**super().facts(network), "hop": network.hop}

    def export_onnx(self, codec: Codec, folder: Path) -> tuple[Path, Path]:
        """Write both graphs; see `neucodec.models.families.neu.onnx`."""
        from .onnx import export_onnx

        return export_onnx(codec, folder)
