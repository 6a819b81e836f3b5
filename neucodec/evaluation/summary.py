"""Put measurements into tables: means by kind of sound, codec and bitrate."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from neucodec.terminal.console import printable
from neucodec.terminal.standard_streams import readable

from .codebooks import CodebookUse
from .metrics import METRICS
from .trial import Row

ALL = "all"


@dataclass(frozen=True)
class Mean:
    """Holds the means of a codec at one bitrate, over the files of a kind or all of them."""

    kind: str
    codec: str
    matched: str
    bitrate: float
    """Asked for, in bit/s."""
    files: int
    kbps: float
    """Mean of the files' real bitrates."""
    scores: dict[str, float | None]
    """Means over the files for which a metric is defined; None where there are none."""
    encode_speed: float
    """Seconds of audio for each second of one processor's time."""
    decode_speed: float


def means(rows: Iterable[Row]) -> list[Mean]:
    """Return the means of all files and, where there are several kinds, of each kind."""
    groups: dict[tuple[str, str, float, str], list[Row]] = defaultdict(list)
    rows = list(rows)
    several = len({row.kind for row in rows}) > 1
    for row in rows:
        for kind in (ALL, row.kind) if several else (ALL,):
            groups[kind, row.matched, row.bitrate, row.codec].append(row)
    # Kinds by name behind "all"; a codec stands before those that were matched to it.
    ordered = sorted(groups.items(), key=lambda item: _order(*item[0]))
    return [_mean(kind, group) for (kind, *_), group in ordered]


def _order(kind: str, matched: str, bitrate: float, codec: str) -> tuple[object, ...]:
    return kind != ALL, kind, matched, bitrate, codec != matched, codec


def _mean(kind: str, group: Sequence[Row]) -> Mean:
    first, seconds = group[0], sum(row.seconds for row in group)
    scores = {}
    for name in dict.fromkeys(name for row in group for name in row.scores):
        known = [v for row in group if (v := row.scores.get(name)) is not None]
        scores[name] = sum(known) / len(known) if known else None
    return Mean(
        kind=kind, codec=first.codec, matched=first.matched, bitrate=first.bitrate,
        files=len(group), kbps=sum(row.kbps for row in group) / len(group), scores=scores,
        encode_speed=seconds / max(1e-9, sum(row.encode_seconds for row in group)),
        decode_speed=seconds / max(1e-9, sum(row.decode_seconds for row in group)),
    )  # fmt: skip


def labels(found: Iterable[Mean | Row]) -> dict[tuple[str, str], str]:
    """Return what to call each (codec, matched): rivals say to whom they were matched if there
    are several.
    """
    keys = list(dict.fromkeys((one.codec, one.matched) for one in found))
    several = len({matched for codec, matched in keys if codec != matched}) > 1
    return {
        (codec, matched): f"{codec} (as {matched})" if several and codec != matched else codec
        for codec, matched in keys
    }


def table(found: Sequence[Mean]) -> str:
    """Write the means as Markdown."""
    names = [n for n in METRICS if any(n in mean.scores for mean in found)]
    titles = [METRICS[name].title for name in names]
    called = labels(found)
    rows = [["kind", "files", "codec", "kbps", *titles, "encode", "decode"]]
    for mean in found:
        scores = [number(mean.scores.get(name), METRICS[name].digits) for name in names]
        rows.append([
            printable(mean.kind), str(mean.files),
            called[mean.codec, mean.matched], f"{mean.kbps:.2f}",
            *scores, f"{mean.encode_speed:.0f}x", f"{mean.decode_speed:.0f}x",
        ])  # fmt: skip
    return markdown(rows)


def codebook_table(uses: Sequence[tuple[str, float, CodebookUse]]) -> str:
    """Write the codebook use of codecs, given with their names and bitrates in bit/s, as
    Markdown.
    """
    rows = [["codec", "asked", "codebooks", "entries used", "bitrate efficiency"]]
    for codec, bitrate, use in uses:
        rows.append([
            codec, f"{bitrate / 1000:g} kbps", str(len(use.entropies)),
            f"{use.used:.1%}", f"{use.efficiency:.1%}",
        ])  # fmt: skip
    return markdown(rows)


def number(value: float | None, digits: int) -> str:
    """Write a mean as tables show it."""
    return "" if value is None else f"{value:.{digits}f}"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Write a table whose first row is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def cell(text: str) -> str:
    """Write a text as a cell of a CSV file, which is nothing but text to any program."""
    text = readable(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def csv_text(rows: Sequence[Row]) -> str:
    """Write one line for each measurement.

    Bytes of names that are no UTF-8 stand as in ``\xff``. Texts that a spreadsheet would take for a
    formula have an apostrophe before them.
    """
    names = [n for n in METRICS if any(n in row.scores for row in rows)]
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow([
        "clip", "kind", "codec", "matched", "asked_bps", "setting", "bytes", "seconds", "kbps",
        *names, "encode_seconds", "decode_seconds",
    ])  # fmt: skip
    for row in rows:
        writer.writerow([
            cell(row.clip), cell(row.kind), cell(row.codec), cell(row.matched),
            f"{row.bitrate:g}", cell(row.setting),
            row.bytes, f"{row.seconds:.3f}", f"{row.kbps:.3f}",
            *("" if (v := row.scores.get(name)) is None else f"{v:.4f}" for name in names),
            f"{row.encode_seconds:.4f}", f"{row.decode_seconds:.4f}",
        ])  # fmt: skip
    return target.getvalue()
