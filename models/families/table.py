"""The families of networks that there are: one row for each. Never torch."""

from __future__ import annotations

from collections.abc import Mapping

from neucodec.models.catalogue.card import Card
from neucodec.models.errors import ModelError

from .dac.family import DacFamily
from .encodec.family import EncodecFamily
from .family import Family
from .hificodec.family import HifiCodecFamily
from .neu.family import NeuFamily
from .spectokenizer.family import SpecTokenizerFamily

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        NeuFamily(),
        EncodecFamily(),
        DacFamily(),
        HifiCodecFamily(),
        SpecTokenizerFamily(),
    )
}
"""The record of every family, by the name that cards have for it."""


def family_of(card: Card) -> Family:
    """Return the record of a card's family; ModelError where there is no such family."""
    if card.family not in FAMILIES:
        raise ModelError(f"{card.name}: {card.family!r} is no family; {', '.join(FAMILIES)} are")
    return FAMILIES[card.family]
