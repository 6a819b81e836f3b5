"""Read the table ``[entropy]`` of a codec's card, which describes the codec's entropy model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from neucodec.models.errors import ModelError

from .weights_entry import WeightsEntry
from .weights_source import WeightsSource

_KINDS: dict[str, type] = {"embedded": bool, "sources": list}


@dataclass(frozen=True, kw_only=True)
class EntropyCard(WeightsEntry):
    """An entropy model: its name and where its weights are. The rest follows from the codec."""

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> EntropyCard:
        """Read a card's table. Raises ModelError where it is incomplete or has unknown keys."""
        unknown = sorted(set(table) - {f.name for f in fields(cls) if f.name != "folder"})
        if unknown:
            raise ModelError(f"[entropy] has no {', '.join(unknown)}")
        for key, value in table.items():
            if type(value) is not (kind := _KINDS.get(key, str)):
                raise ModelError(f"[entropy]: {key} is to be {kind.__name__}, not {value!r}")
        sources = [WeightsSource.of(each) for each in table.get("sources", [])]
        try:
            return cls(**{**table, "sources": sources})
        except TypeError as error:
            raise ModelError(f"[entropy] is incomplete: {error}") from None
