"""Measure how well codes use their codebooks, over the files of a codec at one bitrate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from neucodec.coding.entropy import EntropyModel
from neucodec.coding.payloads import codes_of
from neucodec.file import NcfFile
from neucodec.formats import Chunk, Header

if TYPE_CHECKING:
    from neucodec.models import Codec


@dataclass(frozen=True)
class CodebookUse:
    """Says how the codes of many frames are spread over the entries."""

    entries: int
    """In each codebook."""
    seen: list[int]
    """By codebook, how many entries occur at all."""
    entropies: list[float]
    """By codebook, in bits, of the codes by themselves (no neighbours taken into account)."""

    @property
    def used(self) -> float:
        """Return the share of all entries that occur."""
        return sum(self.seen) / (self.entries * len(self.seen))

    @property
    def efficiency(self) -> float:
        """Return the entropy over the bits that codes of fixed length take (DAC paper, arXiv
        2306.06546).
        """
        return sum(self.entropies) / (math.log2(self.entries) * len(self.entropies))


def codebook_use(files: Iterable[Path], codec: Codec) -> CodebookUse | None:
    """Measure all chunks in some .ncf files of one codec; None where they hold no codes.

    Files with fewer codebooks than others count for those that they have. The entropy of few frames
    comes out too low: it cannot exceed log2 of their number.
    """
    entries = codec.card.codebook_size
    counts: dict[int, npt.NDArray[np.int64]] = {}
    for header, model, chunks in _alike(files, codec):
        for codes in codes_of(chunks, header, model):
            if codes is None or not codes.size:
                continue
            for book in range(codes.shape[1]):
                found = np.bincount(codes[:, book].ravel(), minlength=entries)
                counts[book] = counts.get(book, 0) + found
    if not counts:
        return None
    shares = [counts[book] / counts[book].sum() for book in sorted(counts)]
    return CodebookUse(
        entries,
        [int(np.count_nonzero(share)) for share in shares],
        [float(-(s[s > 0] * np.log2(s[s > 0])).sum()) for s in shares],
    )


def _alike(
    files: Iterable[Path], codec: Codec
) -> Iterable[tuple[Header, EntropyModel | None, list[Chunk]]]:
    """Give the chunks of files whose codes stand in them alike, so that they can be unpacked
    together.
    """
    groups: dict[tuple[object, ...], tuple[Header, EntropyModel | None, list[Chunk]]] = {}
    for path in files:
        with NcfFile(path, codec) as file:
            header = file.header
            kind = (header.streams, header.scale_kind, header.entropy, header.entropy_fingerprint)
            chunks = groups.setdefault(kind, (header, file.entropy, []))[2]
            chunks += [chunk for chunk in file.chunks() if chunk]
    return groups.values()
