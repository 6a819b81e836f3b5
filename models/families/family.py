"""The record of a family of networks: all that the rest of the package has to know of it.

A family is a folder with a module ``family``, which holds one subclass of `Family`, and a row in
`neucodec.models.families.table`. These modules import torch only when a method is called, so that
commands that load no network can ask for facts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from neucodec.models.bounds import checked
from neucodec.models.catalogue.card import Card
from neucodec.models.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from neucodec.models.codec import Codec
    from neucodec.models.lm.frequencies import FrequencyModel

C = TypeVar("C")

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
"""Names of the two files that `Family.export_onnx` writes."""
OWN_LICENCE = "your own"
"""Licence of the weights on a card that is made for a user's own checkpoint."""
MAX_SAMPLE_RATE = 1 << 20
"""Highest sample rate in Hz that a user's own checkpoint may have."""


class Family:
    """What one family of networks is and can do.

    A subclass overrides what is different: at least ``name``, ``strategies``, `network` and `load`.
    """

    name: str
    """Name of the family, as cards and recipes write it."""
    strategies: tuple[str, ...]
    """Keys of `neucodec.models.catalogue.card.STRATEGIES` by which its codecs join chunks."""
    precisions: tuple[str, ...] = ("float32",)
    """Numbers that decoding can compute in. Encoding is always in float32."""
    halves: tuple[str, str] = ("encoder", "decoder")
    """Attributes of the network with the weights that only encoding and only decoding needs."""
    in_transformers: bool = False
    """Whether Transformers has the family under the same name, with a ``config.json``."""
    onnx: bool = False
    """Whether `export_onnx` can write its networks."""
    portable: bool = False
    """Whether the portable decoder has its networks, and `portable_tensors` gives their weights."""
    system: str = ""
    """Class in ``neucodec.training.codecs`` that trains the family; empty if nothing does."""
    peer: str = ""
    """Kind of file, without the dot, in which the authors' own program keeps this family's codes;
    empty if there is none."""

    def network(self, card: Card) -> nn.Module:
        """Build the untrained network that a card describes. Raises ModelError."""
        raise NotImplementedError

    def load(self, card: Card, path: Path, device: torch.device, precision: torch.dtype) -> Codec:
        """Load the codec of a card from a weights file, onto ``device``.

        ``precision`` is what decoding computes in, one of `precisions`. Raises ModelError where
        card and file do not fit.
        """
        raise NotImplementedError

    def codec(self, card: Card, network: Any, device: torch.device) -> Codec:
        """Put a network, as `network` builds it, behind the interface of all codecs."""
        raise NotImplementedError

    def rename(self, card: Card, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the tensors of a published checkpoint by the names that `network` has for them."""
        return tensors

    def inner_network(self, codec: Codec) -> nn.Module:
        """Return the network of a loaded codec, as `network` builds it."""
        network: nn.Module = codec.network  # type: ignore[attr-defined]
        return network

    def facts(self, network: nn.Module) -> Mapping[str, object]:
        """Return what a network is, by the names of the `Card` fields that must agree with it."""
        config: Any = network.config
        return {
            "hop": config.hop,
            "codebook_size": config.codebook_size,
            "codebooks": config.codebooks,
            "channels": 1,
            "chunk_strategy": self.strategies[0],
        }

    def embed(self, network: Any, codes: Tensor) -> Tensor:
        """Return the vectors [B, F, D] that codes [B, K, F] stand for."""
        vectors: Tensor = network.quantiser.decode(codes)
        return vectors

    def quantise(self, network: Any, latent: Tensor, codebooks: int) -> Tensor:
        """Return the codes [B, codebooks, F] of a latent [B, F, D]."""
        codes: Tensor = network.quantiser.encode(latent, codebooks)
        return codes

    def latent_of(self, network: Any, audio: Tensor) -> Tensor:
        """Encode audio [B, C, F * hop] to the latent [B, F, D]; gradients flow to the audio."""
        latent: Tensor = network.encoder(audio)
        return latent.transpose(1, 2)

    def audio_of(self, network: Any, vectors: Tensor) -> Tensor:
        """Decode vectors [B, F, D] to audio [B, C, F * hop]; gradients flow to the vectors."""
        audio: Tensor = network.decoder(vectors.transpose(1, 2))
        return audio

    def entropy_model(self, path: Path, name: str, frames: int) -> FrequencyModel:
        """Load an entropy model for chunks of up to ``frames`` frames. Raises ModelError."""
        from neucodec.models.lm.integer import IntegerTransformer

        return IntegerTransformer.load(path, name)

    def in_windows(self, codec: Codec, card: Card) -> Codec:
        """Return a codec with the same network that decodes by a card that `Card.windows` gave."""
        raise ModelError(f"{card.name}: {self.name} decodes no windows")

    def export_onnx(self, codec: Codec, folder: Path) -> tuple[Path, Path]:
        """Write a codec's encoder and decoder as ONNX graphs into a folder; return their paths.

        Only for families that have `onnx`. Raises ModelError where packages are missing.
        """
        raise NotImplementedError

    def portable_tensors(
        self, card: Card, path: Path, entropy_path: Path | None
    ) -> dict[str, NDArray[np.generic]]:
        """Return what the portable decoder's file of weights holds, arrays by their names.

        ``path`` is the codec's weights file, ``entropy_path`` that of its entropy model, None where
        there is none. Only for families that are `portable`. Raises ModelError where files and card
        do not fit.
        """
        raise NotImplementedError

    def card_of_transformers(self, config: Mapping[str, Any], name: str) -> Card:
        """Make a card called ``name`` from the ``config.json`` of Transformers.

        Only for families that are `in_transformers`. Raises ModelError, or KeyError for what is
        missing, where it does not describe a network that can be run.
        """
        raise NotImplementedError

    def describes(self, metadata: Mapping[str, Any]) -> bool:
        """Tell whether what a weights file says beside its tensors describes such a network."""
        return False

    def card_of_metadata(self, metadata: Mapping[str, Any], name: str) -> Card:
        """Make a card called ``name`` from what a weights file says beside its tensors.

        Only for what the family `describes`. Raises ModelError, or KeyError for what is missing,
        where it is not a network that can be run.
        """
        raise NotImplementedError


def configured(card: Card, config: Callable[..., C]) -> C:
    """Make the configuration of a card's network; ModelError where it is out of bounds."""
    try:
        return checked(config, card.config)
    except ModelError as error:
        raise ModelError(f"{card.name}: its [config] does not fit {card.family}: {error}") from None
