"""What an entropy model offers to the coder: integer frequencies of every code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

TOTAL_BITS = 24
"""Frequencies of a code's row sum to 2 ** TOTAL_BITS."""


class Stepper(Protocol):
    """The rows of a batch of chunks, one symbol at a time, for decoding.

    Symbols come frame by frame and, within a frame, codebook by codebook.
    """

    def row(self) -> Tensor:
        """int32 [n, size]: frequencies of the next symbol of the n chunks that have this codebook,
        good until the next `push`. Asking again gives the same rows."""

    def push(self, codes: Tensor) -> None:
        """int64 [n]: what the symbols turned out to be."""


class FrequencyModel(Protocol):
    """Integer frequencies of every code of a chunk, given the codes before it.

    They are the same to the last bit on every machine, device, batch size and thread count.
    """

    @property
    def name(self) -> str:
        """As the file names it."""

    @property
    def fingerprint(self) -> bytes:
        """8 bytes, a digest of all that decides a frequency."""

    @property
    def codebooks(self) -> int:
        """The most codebooks that it can take."""

    @property
    def codebook_size(self) -> int:
        """Codes of each codebook."""

    @property
    def frames(self) -> int:
        """The most frames that a chunk can have."""

    def rows(self, codes: Tensor) -> Iterator[Tensor]:
        """Codes int64 [B, K, F] to int32 [B, F, size] for one codebook after the other.

        Every frequency is at least 1 and every row sums to 2 ** TOTAL_BITS. Row [b, f] of codebook
        k depends on codes[b, :, :f], on codes[b, :k, f] and on K, on nothing else.
        """

    def stepper(self, counts: Sequence[int]) -> Stepper:
        """The same rows for chunks with so many codebooks, most first, whose codes are yet to be
        decoded."""


def frequencies(model: FrequencyModel, codes: Tensor) -> Tensor:
    """The rows of all codebooks, [B, F, K, size]."""
    return torch.stack(list(model.rows(codes)), dim=2)


def digest(model: FrequencyModel) -> str:
    """SHA-256, hexadecimal, of the frequencies of fixed codes: the same on every machine.

    Two chunks of up to eight frames of all codebooks, their codes from a linear congruential
    generator; frequencies as little-endian int32 in the order [chunk, frame, codebook, code].
    """
    shape = (2, model.codebooks, min(8, model.frames))
    codes = fixed_integers(shape, model.codebook_size, seed=1)
    rows = frequencies(model, codes).cpu().numpy().astype("<i4")
    return hashlib.sha256(rows.tobytes()).hexdigest()


def fixed_integers(shape: tuple[int, ...], size: int, seed: int) -> Tensor:
    """int64 tensor of integers below size, the same for ever.

    x <- (1664525 x + 1013904223) mod 2**32 from x = seed, and floor(x size / 2**32) each time
    (the generator of Numerical Recipes, 2nd edition, section 7.1).
    """
    values, x = [], seed
    for _ in range(torch.Size(shape).numel()):
        x = (1664525 * x + 1013904223) % 2**32
        values.append(x * size >> 32)
    return torch.tensor(values).view(shape)
