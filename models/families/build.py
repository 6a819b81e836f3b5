"""From a card and a weights file to a codec, by the record of the card's family."""

from __future__ import annotations

from pathlib import Path

import torch

from neucodec.models.catalogue.card import Card
from neucodec.models.codec import Codec
from neucodec.models.errors import ModelError

from .table import family_of


def build(card: Card, path: Path, device: torch.device, precision: torch.dtype) -> Codec:
    """Load the codec of a card from a weights file, onto ``device``.

    ``precision`` is that of decoding, for the families that have a choice. Raises ModelError where
    file and card do not fit, and OSError where the file cannot be read.
    """
    family = family_of(card)
    if device.type == "cuda":
        # A product in TF32 keeps 10 bits: codes would not be those of any other machine.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True
    try:
        codec = family.load(card, path, device, precision)
    except (ModelError, OSError, MemoryError):
        raise
    except Exception as error:  # of whatever kind: torch makes many of numbers that do not fit
        reason = " ".join(str(error).split())[:200]
        if card.folder is None or "allocate memory" in reason:
            raise  # the package's own cards are right
        raise ModelError(f"{card.name}: {path.name} does not fit its card: {reason}") from None
    _check_agreement(card, codec)
    return codec


def keep_half(codec: Codec, half: str) -> None:
    """Free the weights of the half of a codec that is not ``half``, "encoder" or "decoder"."""
    family = family_of(codec.card)
    of_encoder, of_decoder = family.halves
    network = family.inner_network(codec)
    setattr(network, of_decoder if half == "encoder" else of_encoder, None)


def _check_agreement(card: Card, codec: Codec) -> None:
    """Raise ModelError where a card and the network that was built for it do not agree.

    Otherwise coding would fail in the midst of a file, or give sound of another rate.
    """
    family = family_of(card)
    facts = family.facts(family.inner_network(codec))
    for key, value in facts.items():
        said = getattr(card, key)
        if said != value:
            raise ModelError(f"{card.name}: its card has {key} {said}, its network {value}")
    if card.level == "codec" and "level" not in facts:
        raise ModelError(f'{card.name}: level = "codec" is for networks that give a scale')
