"""Lay out the list of models, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

_NAME_WIDTH = 24
"""Characters of a name that stand in the same line as what follows it."""


def short_table(described: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Give the lines of the list for people, of at most 80 characters; * marks the default."""
    form = "{:1} {:24} {:>4} {:>6} {:>10} {:8} {}"
    yield form.format("", "NAME", "KHZ", "FRAMES", "KBPS", "HERE", "BEST FOR").rstrip()
    for entry in described:
        name, mark = entry["name"], "*" if entry["default"] else ""
        if len(name) > _NAME_WIDTH:
            yield f"{mark:1} {name}"
            mark = name = ""
        khz, frames = entry["sample_rate"] / 1000, entry["frame_rate"]
        yield form.format(
            mark, name, f"{khz:g}", f"{frames:.4g}", _kbps(entry, "-"), _here(entry),
            entry["best_for"],
        ).rstrip()  # fmt: skip


def full_table(described: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Give the lines of the list with all that there is to say, however wide."""
    rows: list[tuple[str, ...]] = [
        ("NAME", "RATE", "CHANNELS", "KBPS", "SIZE", "LICENCE", "HERE", "")
    ]
    rows += [_row(entry) for entry in described]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()


def _kbps(entry: dict[str, Any], to: str) -> str:
    """Return the lowest and the highest bitrate of a model, or the only one."""
    rates = [rate / 1000 for rate in entry["bitrates"]]
    return f"{rates[0]:.3g}{to}{rates[-1]:.3g}" if len(rates) > 1 else f"{rates[0]:.3g}"


def _here(entry: dict[str, Any]) -> str:
    """Say whether a model's weights are on this machine."""
    if entry["here"]:
        return "built in" if entry["embedded"] else "yes"
    return "no" if entry["sources"] or entry["embedded"] else "nowhere"


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    size = entry["weights_bytes"]
    return (
        entry["name"],
        f"{entry['sample_rate']} Hz",
        {1: "mono", 2: "stereo"}.get(entry["channels"], str(entry["channels"])),
        _kbps(entry, " to "),
        f"{size / 1e6:.1f} MB" if size else f"{entry['parameters'] / 1e6:.1f} M parameters",
        entry["license_weights"],
        _here(entry),
        entry["title"],
    )
