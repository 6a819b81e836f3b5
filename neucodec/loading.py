"""Load models once for all who ask for them from Python."""

from __future__ import annotations

from functools import lru_cache
from os import PathLike
from threading import Lock
from typing import Any

from neucodec.coding.default_model import AUTO, DEFAULT_MODEL, choose_model
from neucodec.models import Card, Codec, load_codec, resolve

from .arguments import is_path, path_of
from .errors import GivenTypeError
from .model import Model

ModelGiven = str | PathLike[Any] | Model
"""A model by its name, by the path of a checkpoint of one's own, as `load_model` gave it, or
"auto"."""

loaded = lru_cache(maxsize=2)(load_codec)
_loading = Lock()


def load_model(name: str | PathLike[Any] = DEFAULT_MODEL, device: str = "auto") -> Model:
    """A model by its name, or by the path of a checkpoint of one's own; "auto" is the default.

    What is not here is fetched once and checked. The last two models stay loaded, so that asking
    again costs nothing; to hold more, keep what this gives. Raises NeucodecError where there is
    none, or it cannot be had.

    >>> import torch
    >>> model = load_model("neu2-44khz")
    >>> tokens = model.encode(torch.zeros(2, 1, model.sample_rate), codebooks=4)
    >>> tokens.codes.shape  # [batch, codebooks, frames]
    torch.Size([2, 4, 87])
    >>> model.decode(tokens).shape
    torch.Size([2, 1, 44100])
    """
    if not is_path(name):
        raise GivenTypeError(f"model {name!r}: give its name, or a path")
    chosen = path_of(name)
    with _loading:
        return Model(loaded(DEFAULT_MODEL if chosen == AUTO else chosen, str(device)))


def codec_of(model: ModelGiven) -> Codec:
    """Return the codec of a model, whichever way it is given. Raises NeucodecError."""
    if isinstance(model, Model):
        return model.codec
    if not is_path(model):
        raise GivenTypeError(f"model {model!r}: give its name, a path, or what load_model gave")
    return load_model(model).codec


def codec_for_bitrate(model: ModelGiven, bitrate: float | None, channels: int) -> Codec:
    """Return the codec of a model; for "auto" the one that suits a bitrate in bit/s of so many
    channels, as ``neucodec encode`` chooses it. Raises NeucodecError.
    """
    if is_path(model) and path_of(model) == AUTO:  # type: ignore[arg-type]
        return load_model(choose_model(bitrate, channels).name).codec
    return codec_of(model)


def card_of(model: ModelGiven | None) -> Card:
    """Return the card of a model without loading it; of the default one for None and "auto"."""
    if isinstance(model, Model):
        return model.card
    if model is None or path_of(model) == AUTO:
        return resolve(DEFAULT_MODEL)
    return resolve(path_of(model))


def own_codec(model: ModelGiven | None) -> Codec | None:
    """Return the codec that a file is said to be made with; None for the one that it names."""
    if model is None or (is_path(model) and path_of(model) == AUTO):  # type: ignore[arg-type]
        return None
    return codec_of(model)
