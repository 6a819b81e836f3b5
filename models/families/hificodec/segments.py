"""HiFi-Codec on segments of any length."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from neucodec.models.batching import one_by_one

from .network import HifiCodec


class SegmentNetwork(nn.Module):
    """HiFi-Codec as `neucodec.models.strategies.SegmentCodec` takes a network.

    The last frame of a segment is filled up with silence.
    """

    together = 1
    """Segments that a CPU best codes at once: convolutions alone want one after the other."""

    def __init__(self, network: HifiCodec) -> None:
        """Wrap a loaded network."""
        super().__init__()
        self.network = network

    def encode(self, audio: Tensor, codebooks: int) -> tuple[Tensor, None]:
        """Code audio [B, 1, T] to codes [B, codebooks, ceil(T / hop)], without scales."""
        whole = F.pad(audio, (0, -audio.shape[-1] % self.network.config.hop))
        return one_by_one(lambda one: self.network.encode(one, codebooks), whole), None

    def decode(self, codes: Tensor, scale: Tensor | None) -> Tensor:
        """Decode codes [B, K, F] to audio [B, 1, F * hop]; ``scale`` is not used."""
        return one_by_one(self.network.decode, codes)
