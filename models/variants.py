"""Make other codecs of the same weights: on another device, or with other chunks."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from .families.table import family_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from .catalogue.card import Card
    from .codec import Codec


def in_windows(codec: Codec, card: Card) -> Codec:
    """Return a codec with the same network that decodes by a card that `Card.windows` gave."""
    return family_of(card).in_windows(codec, card)


def on_whole_frames(codec: Codec) -> Codec:
    """Return a codec with the same network whose chunks are whole frames apart.

    Only segments of EnCodec at 48 kHz are not: 148.5 frames. There they are 148 frames apart, and
    fade over two frames.
    """
    card = codec.card
    if card.chunk_stride % card.hop == 0:
        return codec
    other: Any = copy(codec)
    other.card = replace(card, chunk_stride=card.chunk_stride // card.hop * card.hop)
    return cast("Codec", other)


def device_of(codec: Codec) -> torch.device:
    """Return the device on which a codec's network is."""
    return next(_network_of(codec).parameters()).device


def dtype_of(codec: Codec) -> torch.dtype:
    """Return the type of the numbers of a codec's weights."""
    return next(_network_of(codec).parameters()).dtype


def on_device(codec: Codec, device: torch.device) -> Codec:
    """Return a codec with a copy of the network on another device; itself if it is there."""
    if device_of(codec) == device:
        return codec
    return codec_of(codec.card, weights_of(codec), device)


def codec_of(card: Card, weights: Mapping[str, Tensor], device: torch.device) -> Codec:
    """Make a codec of a card and the state of its network."""
    from .parts.precision import float32_by_default
    from .parts.single_thread import single_thread

    family = family_of(card)
    with single_thread(), float32_by_default():
        network = family.network(card)
        network.load_state_dict(weights)
        return family.codec(card, network, device)


def weights_of(codec: Codec) -> dict[str, Tensor]:
    """Return the state of a codec's network, on the CPU, which `codec_of` takes."""
    tensors = _network_of(codec).state_dict()
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


class PlainNetwork:
    """The network of a codec as torch knows it, for gradients: a copy with weights of its own.

    Codecs reorder their weights for speed where nothing is recorded for gradients. All of this is
    done on whole signals, in one piece.
    """

    def __init__(self, codec: Codec) -> None:
        self._family = family_of(codec.card)
        copied = codec_of(codec.card, weights_of(codec), device_of(codec))
        self.network = _network_of(copied)
        """The network. Gradients flow to its parameters where these require them."""

    def embed(self, codes: Tensor) -> Tensor:
        """Return the vectors [B, F, D] that codes [B, K, F] stand for: the sums of their entries.

        On a CPU each item is computed by itself, so that it does not depend on the others.
        """
        from .batching import one_by_one

        return one_by_one(lambda one: self._family.embed(self.network, one), codes)

    def quantise(self, latent: Tensor, codebooks: int) -> Tensor:
        """Return the codes [B, codebooks, F] of a latent [B, F, D] as `latent_of` gives it."""
        return self._family.quantise(self.network, latent, codebooks)

    def latent_of(self, audio: Tensor) -> Tensor:
        """Encode audio [B, C, F * hop], at the network's level, to the latent [B, F, D]."""
        return self._family.latent_of(self.network, audio)

    def audio_of(self, vectors: Tensor) -> Tensor:
        """Decode vectors [B, F, D], as `embed` gives them, to audio [B, C, F * hop]."""
        return self._family.audio_of(self.network, vectors)


def _network_of(codec: Codec) -> nn.Module:
    """Return the network of a loaded codec, with the weights that it was loaded with."""
    return family_of(codec.card).inner_network(codec)
