"""From a name to a loaded codec."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import store
from .card import Card, cards, find_card
from .errors import ModelError
from .monitor import SILENT, Monitor

if TYPE_CHECKING:
    import torch

    from .codec import Codec


def resolve(model: str | Card) -> Card:
    """The card of a model, given by name or as the path of a checkpoint of one's own.

    Raises ModelError where there is neither.
    """
    if isinstance(model, Card):
        return model
    if model in cards() or not _is_path(model):
        return find_card(model)
    from .own import card_at

    return card_at(Path(model))


def choose_device(name: str) -> torch.device:
    """``auto`` is the first of CUDA, MPS and CPU that there is; other names are torch's."""
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        raise ModelError(
            f"no device {name!r} here: use auto, cpu, cuda or mps, whichever this machine has"
        ) from None
    return device


def load(
    model: str | Card, device: str = "auto", *, offline: str = "", monitor: Monitor = SILENT
) -> Codec:
    """Load a codec by its card, its name or its path; what is not here is fetched and checked.

    ``offline`` names what forbids that; ``monitor`` learns how far it is. Raises ModelError.
    """
    card = resolve(model)
    found = store.fetch(card, offline=offline, monitor=monitor)
    return build(replace(card, sha256=store.check(found)), found.path, device)


def build(card: Card, path: Path, device: str = "auto") -> Codec:
    """Load the codec of a card from a weights file, wherever that is and in whichever of the
    family's formats; ModelError where the two do not fit."""
    from . import families

    return families.build(card, path, choose_device(device))


def _is_path(text: str) -> bool:
    return Path(text).name != text or Path(text).exists()
