"""Write what an evaluation found, as text and as files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .codebooks import CodebookUse, codebook_use
from .codecs import Neural
from .metrics import METRICS
from .summary import Mean, codebook_table, csv_text, means, table
from .trial import Row


@dataclass(frozen=True)
class Results:
    """Holds all rows of an evaluation, and what follows from them."""

    rows: Sequence[Row]
    codecs: Mapping[str, Neural]
    """The codecs that were measured, by name."""
    folder: Path
    """Where the coded files are."""

    @cached_property
    def means(self) -> list[Mean]:
        """Return means by kind, codec and bitrate."""
        return means(self.rows)

    @cached_property
    def codebooks(self) -> list[tuple[str, float, CodebookUse]]:
        """Return the codebook use of our codecs over all files, with their names and bitrates."""
        groups: dict[tuple[str, float], list[Path]] = {}
        for row in self.rows:
            if row.codec in self.codecs:
                groups.setdefault((row.codec, row.bitrate), []).append(self.folder / row.coded)
        uses = []
        for (name, bitrate), files in sorted(groups.items()):
            use = codebook_use(files, self.codecs[name].codec)
            if use:
                uses.append((name, bitrate, use))
        return uses

    def text(self) -> str:
        """Return tables in Markdown."""
        return f"{table(self.means)}\n\n{codebook_table(self.codebooks)}"

    def csv(self) -> str:
        """Return one line for each measurement."""
        return csv_text(self.rows)

    def json(self) -> str:
        """Return everything."""
        data: dict[str, Any] = {
            "metrics": {
                name: {"title": m.title, "says": m.says, "higher_is_better": m.higher}
                for name, m in METRICS.items()
                if any(name in row.scores for row in self.rows)
            },
            "means": [asdict(mean) for mean in self.means],
            "codebooks": [
                {"codec": name, "bitrate": bitrate, "used": use.used,
                 "efficiency": use.efficiency, "entropies": use.entropies}
                for name, bitrate, use in self.codebooks
            ],
            "rows": [asdict(row) | {"kbps": row.kbps} for row in self.rows],
        }  # fmt: skip
        return json.dumps(data, indent=1)
