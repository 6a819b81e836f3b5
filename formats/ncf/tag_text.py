"""The text of a tag, which may have several values."""

from __future__ import annotations

from collections.abc import Sequence


class TagText(str):
    """A text that shows all values of one tag, joined by "; ", and remembers each of them."""

    values: tuple[str, ...]

    @classmethod
    def of(cls, values: Sequence[str]) -> str:
        """Return the text of some values; a plain one where there is but one."""
        if len(values) == 1:
            return values[0]
        text = cls("; ".join(values))
        text.values = tuple(values)
        return text


def values_of(text: str) -> tuple[str, ...]:
    """Return the values of a tag's text."""
    return text.values if isinstance(text, TagText) else (text,)
