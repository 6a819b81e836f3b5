"""Gather what the portable decoder needs of a Neu codec: its decoder, and its entropy model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from neucodec.models.catalogue.card import Card
from neucodec.models.families.family import configured
from neucodec.models.lm.integer import IntegerTransformer
from neucodec.models.parts.flat_weights import Array
from neucodec.models.parts.state_dict import read_checkpoint

from .network import NeuConfig

_DECODING = ("decoder.", "quantiser.")
_ENCODING = ".down."
"""In names of the quantiser's tensors, what marks those that encoding alone needs."""
_NUMBERS = (
    "window", "hop", "stack", "decoder_width", "decoder_blocks", "expansion", "latent",
    "codebooks", "codebook_size", "codebook_dim", "decoder_phase_bins", "bands", "fade_frames",
)  # fmt: skip
"""Fields of `NeuConfig` that decoding goes by."""


def portable_tensors(card: Card, path: Path, entropy_path: Path | None) -> dict[str, Array]:
    """Return the arrays of a portable file, by name, for the codec of a card.

    ``path`` is its weights file, ``entropy_path`` that of its entropy model, None where it has
    none. Weights that float16 holds exactly are float16. Raises ModelError where files and card do
    not fit.
    """
    config = asdict(configured(card, NeuConfig))
    out = {f"neu.{name}": _number(int(config[name])) for name in _NUMBERS}
    for name in ("sample_rate", "chunk_frames", "chunk_stride"):
        out[name] = _number(getattr(card, name))
    out["name"] = _bytes(card.name.encode())
    known = [card.fingerprint, *sorted(card.readable)]
    out["fingerprints"] = _bytes(b"".join(known)).reshape(-1, 8)
    for name, tensor in read_checkpoint(path).tensors.items():
        if name.startswith(_DECODING) and _ENCODING not in name:
            out[name] = _shortest(tensor.numpy())
    if entropy_path is not None and card.entropy is not None:
        out |= _entropy_model(card.entropy.name, entropy_path)
    return out


def _entropy_model(name: str, path: Path) -> Mapping[str, Array]:
    model = IntegerTransformer.load(path, name)  # checks what the file holds
    tensors = read_checkpoint(path).tensors
    out: dict[str, Array] = {f"entropy.{key}": value.numpy() for key, value in tensors.items()}
    out["entropy.name"] = _bytes(name.encode())
    out["entropy.fingerprint"] = _bytes(model.fingerprint)
    return out


def _number(value: int) -> Array:
    return np.array(value, "<i4")


def _bytes(value: bytes) -> Array:
    return np.frombuffer(value, np.uint8)


def _shortest(values: Array) -> Array:
    """Return weights as float16 where that holds them exactly, else as float32."""
    half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else values
