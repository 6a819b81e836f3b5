"""Define what cards of codecs and of entropy models have in common: where their weights are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .weights_source import WeightsSource


@dataclass(frozen=True, kw_only=True)
class WeightsEntry:
    """A network with weights: where they are and what one may do with them."""

    name: str
    """Name by which users and files refer to the network."""
    license_code: str
    """Licence of the authors' code, for people."""
    license_weights: str
    """Licence of the weights, for people."""
    paper: str = ""
    """Link to the paper that describes the network."""
    weights: str = ""
    """File name of weights that lie in the package or beside the card."""
    sha256: str = ""
    """SHA-256 of the weights' file, lower-case hexadecimal; a loaded codec's is always known."""
    embedded: bool = False
    """Whether the weights are part of the package."""
    sources: Sequence[WeightsSource] = ()
    """Places from which the weights can be fetched, in order of preference."""
    folder: Path | None = None
    """Folder of a card that is not the package's own; not a key of the card's file."""
