"""What an entropy model offers to a range coder."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

TOTAL_BITS = 24
"""Frequencies of a row sum to 2**24."""


class Stepper(Protocol):
    """The rows of a `FrequencyModel` while the codes become known: frame by frame, in each frame
    codebook by codebook."""

    def row(self) -> Tensor:
        """Frequencies of the next symbols, int32 [B, codebook_size]; once for each symbol."""
        ...

    def push(self, codes: Tensor) -> None:
        """What the symbols turned out to be, int64 [B]."""
        ...


class FrequencyModel(Protocol):
    """Integer frequencies of every code of a chunk, given the codes before it.

    They are the same bits on every machine, for any batch and any number of threads.
    """

    name: str
    fingerprint: bytes
    """8 bytes: of all that decides a frequency."""
    codebooks: int
    codebook_size: int
    frames: int
    """The most that it can take."""

    def frequencies(self, codes: Tensor) -> Tensor:
        """Codes [B, K, F] (int64) to frequencies [B, F, K, codebook_size] (int32).

        Each is at least 1 and each row sums to 2**TOTAL_BITS. Row [b, f, k] depends on
        codes[b, :, :f], codes[b, :k, f] and K alone.
        """
        ...

    def stepper(self, batch: int, codebooks: int) -> Stepper:
        """Begin to decode so many chunks, all with as many codebooks."""
        ...
