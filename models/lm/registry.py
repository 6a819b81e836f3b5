"""From a codec to its entropy model."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from .. import store
from ..card import Card
from ..errors import ModelError
from ..monitor import SILENT, Monitor

if TYPE_CHECKING:
    from .frequencies import FrequencyModel

_loaded: dict[tuple[str, str, Path], FrequencyModel] = {}
_lock = Lock()


def entropy_model_for(
    card: Card, *, offline: str = "", monitor: Monitor = SILENT
) -> FrequencyModel | None:
    """The model that foresees a codec's codes, loaded once; None where there is none.

    What is not here is fetched and checked as a codec's weights are, see `registry.load`. Raises
    ModelError.
    """
    if card.entropy is None:
        return None
    with _lock:
        found = store.fetch(card.entropy, offline=offline, monitor=monitor)
        key = card.name, card.entropy.name, found.path
        if key not in _loaded:
            store.check(found)
            _loaded[key] = build(card, found.path)
        return _loaded[key]


def build(card: Card, path: Path) -> FrequencyModel:
    """Load the entropy model of a codec from a weights file; ModelError where it does not fit."""
    assert card.entropy is not None
    name = card.entropy.name
    model: FrequencyModel
    if card.family == "encodec":
        from .encodec import EncodecLm

        model = EncodecLm.load(path, name, card.chunk_frames)
    else:
        from .integer import IntegerTransformer

        model = IntegerTransformer.load(path, name)
    if model.codebook_size != card.codebook_size or model.frames < card.chunk_frames:
        raise ModelError(
            f"{name} foresees {model.frames} frames of codebooks of {model.codebook_size}, but "
            f"{card.name} has {card.chunk_frames} of {card.codebook_size}"
        )
    return model
