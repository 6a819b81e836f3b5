"""What stands in for an entropy model while files are fuzzed: quick, and far from any recording."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import cycle

import numpy as np
import numpy.typing as npt

from neucodec.coding.entropy import EntropyModel
from neucodec.coding.entropy_models import SHARED
from neucodec.errors import NeucodecError
from neucodec.formats import EntropyCoder, Header, RowLook

Codes = npt.NDArray[np.int64]

MAX_CODEBOOK_SIZE = 4096
"""Entries of a codebook up to which there are models that foresee codes."""


class Lopsided:
    """An entropy model without a network: an entry is likelier the smaller its number."""

    coder = EntropyCoder.LM
    name = "lm"
    fingerprint = bytes(8)
    codebooks = 63
    left = 0.8

    def __init__(self, size: int) -> None:
        weights = 1 / np.arange(1, size + 1)
        self._widths = 1 + np.floor(weights / weights.sum() * (2**24 - size)).astype(np.int64)
        self._widths[0] += 2**24 - self._widths.sum()
        self._lefts = np.cumsum(self._widths) - self._widths

    def intervals(self, codes: Codes) -> tuple[Codes, Codes]:
        return self._lefts[codes], self._widths[codes]

    def stepper(self, counts: Sequence[int]) -> Constant:
        return Constant(self._widths.astype(np.int32), counts)


@lru_cache(32)
def lopsided(size: int) -> Lopsided:
    return Lopsided(size)


class Constant:
    """The same frequencies at every step."""

    def __init__(self, row: npt.NDArray[np.int32], counts: Sequence[int]) -> None:
        self._rows = np.tile(row, (len(counts), 1))
        # Of each codebook in turn: the streams that have it.
        self._having = cycle([sum(k < count for count in counts) for k in range(counts[0])])
        self._now = next(self._having)

    def row(self) -> npt.NDArray[np.int32]:
        return self._rows[: self._now]

    def look(self) -> RowLook:
        return RowLook(self.row())

    def push(self, codes: Codes) -> None:
        self._now = next(self._having)


def model_of(header: Header) -> EntropyModel | None:
    """Return what stands in for the model that a header names.

    Raises NeucodecError for codebooks that no entropy model here is for, as loading a real one
    does where a header does not fit it.
    """
    if header.entropy == EntropyCoder.LM:
        if header.codebook_size > MAX_CODEBOOK_SIZE:
            raise NeucodecError(f"no entropy model has {header.codebook_size} codes")
        return lopsided(header.codebook_size)
    return SHARED.of(header)
