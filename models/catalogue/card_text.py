"""Write cards as TOML, which `Card.parse` reads."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import Any

from .card import Card
from .weights_entry import WeightsEntry
from .weights_source import WeightsSource

_TABLES = ("folder", "config", "sources", "entropy")
"""Fields that are no line of their own: what no file says, and tables."""


def card_text(card: Card) -> str:
    """Write the TOML of a card, without what is as it would be anyway, and without the sources of
    its weights."""
    lines = _lines(card)
    if card.entropy:
        lines += ["", "[entropy]", *_lines(card.entropy)]
        for source in card.entropy.sources:
            lines += ["", "[[entropy.sources]]", *_lines(source)]
    lines += ["", "[config]"]
    lines += [f"{key} = {_toml(value)}" for key, value in card.config.items() if value is not None]
    return "\n".join(lines) + "\n"


def _lines(entry: WeightsEntry | WeightsSource) -> list[str]:
    lines = []
    for f in fields(entry):
        value = getattr(entry, f.name)
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        if f.name not in _TABLES and value != default:
            lines.append(f"{f.name} = {_toml(value)}")
    return lines


def _toml(value: Any) -> str:
    # JSON's numbers, booleans, lists and strings of one line are TOML's, too.
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
