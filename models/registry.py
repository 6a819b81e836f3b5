"""From a name to a loaded codec."""

from __future__ import annotations

import hashlib
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from .card import Card, find_card
from .errors import ModelError

if TYPE_CHECKING:
    import torch

    from .codec import Codec


def is_here(card: Card) -> bool:
    """Whether the card's weights can be loaded without a download."""
    return bool(card.weights) and (files(__package__) / "weights" / card.weights).is_file()


def weights_size(card: Card) -> int | None:
    """Bytes of the weights' file; None where it is not here."""
    if not is_here(card):
        return None
    with as_file(files(__package__) / "weights" / card.weights) as path:
        return path.stat().st_size


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


def load(name: str, device: str = "auto") -> Codec:
    """Load a codec by its card's name, checking its weights against the card."""
    card = find_card(name)
    if not is_here(card):
        raise ModelError(f"the weights of {name} ({card.weights}) are not here")
    with as_file(files(__package__) / "weights" / card.weights) as path:
        check(path, card)
        return build(card, path, device)


def build(card: Card, path: Path, device: str = "auto") -> Codec:
    """Load the codec of a card from a weights file, wherever that is and in whichever of the
    family's formats; ModelError where the two do not fit."""
    from . import families

    return families.build(card, path, choose_device(device))


def check(path: Path, card: Card) -> None:
    """Compare a weights file's SHA-256 with the card's."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != card.sha256:
        raise ModelError(
            f"{path.name} is damaged or of another version: its SHA-256 is {found[:16]}..., "
            f"the card of {card.name} says {card.sha256[:16]}...; reinstall the package"
        )
