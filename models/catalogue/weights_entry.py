"""What the cards of codecs and those of their entropy models have in common: their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .weights_source import WeightsSource


@dataclass(frozen=True, kw_only=True)
class WeightsEntry:
    """Something with weights, where they are and what one may do with them."""

    name: str
    license_code: str
    license_weights: str
    paper: str = ""
    weights: str = ""
    """File name of the weights, where they lie in the package or beside the card."""
    sha256: str = ""
    """SHA-256 of the weights' file, lower-case hexadecimal; of a loaded codec always known."""
    embedded: bool = False
    """Whether the weights are part of the package."""
    sources: Sequence[WeightsSource] = ()
    """Where else the weights are, one source as good as the other; the first is preferred."""
    folder: Path | None = None
    """Where a card that is not the package's own lies; never in its file."""
