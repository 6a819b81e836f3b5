"""Find, check and load the entropy model of a codec."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neucodec.models.catalogue import weights_store
from neucodec.models.catalogue.card import Card
from neucodec.models.catalogue.download_progress import SILENT, Monitor
from neucodec.models.errors import ModelError
from neucodec.models.families.table import family_of

if TYPE_CHECKING:
    from .frequencies import FrequencyModel


def fetch_entropy_model(
    card: Card, *, offline: str = "", monitor: Monitor = SILENT
) -> weights_store.WeightsFile:
    """Find the weights of a codec's entropy model, which its card must name, or fetch them.

    ``offline`` names what forbids fetching, "" if nothing does; ``monitor`` is told how far a
    download is. Raises ModelError.
    """
    assert card.entropy is not None
    return weights_store.fetch(card.entropy, offline=offline, monitor=monitor)


def load_entropy_model(card: Card, found: weights_store.WeightsFile) -> FrequencyModel:
    """Check and load the weights that `fetch_entropy_model` has found. Raises ModelError."""
    weights_store.check(found)
    return build_entropy_model(card, found.path)


def build_entropy_model(card: Card, path: Path) -> FrequencyModel:
    """Load the entropy model of a codec from a weights file; ModelError where it does not fit."""
    assert card.entropy is not None
    name = card.entropy.name
    model = family_of(card).entropy_model(path, name, card.chunk_frames)
    if model.codebook_size != card.codebook_size or model.frames < card.chunk_frames:
        raise ModelError(
            f"{name} foresees {model.frames} frames of codebooks of {model.codebook_size}, but "
            f"{card.name} has {card.chunk_frames} of {card.codebook_size}"
        )
    return model
