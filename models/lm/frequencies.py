"""Define what an entropy model offers to the coder: integer frequencies of every code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

TOTAL_BITS = 24
"""The frequencies of all codes of a symbol sum to 2 ** TOTAL_BITS."""


class Stepper(Protocol):
    """The rows of a batch of chunks, one symbol at a time, for decoding.

    Symbols come frame by frame and, within a frame, codebook by codebook.
    """

    def row(self) -> Tensor:
        """Return frequencies int32 [n, size] of the next symbol of the n chunks that have it.

        They are good until the next `push`. Asking again gives the same rows.
        """

    def push(self, codes: Tensor) -> None:
        """Take the symbols int64 [n] that were decoded by the last `row`."""


class FrequencyModel(Protocol):
    """Integer frequencies of every code of a chunk, given the codes before it.

    They are the same to the last bit on every machine, device, batch size and thread count.
    """

    @property
    def name(self) -> str:
        """Name by which files refer to the model."""

    @property
    def fingerprint(self) -> bytes:
        """Digest, 8 bytes, of everything that decides a frequency."""

    @property
    def codebooks(self) -> int:
        """Largest number of codebooks that the model can take."""

    @property
    def codebook_size(self) -> int:
        """How many codes each codebook has."""

    @property
    def frames(self) -> int:
        """Largest number of frames that a chunk can have."""

    def rows(self, codes: Tensor) -> Iterator[Tensor]:
        """Turn codes int64 [B, K, F] into frequencies int32 [B, F, size], codebook by codebook.

        Every frequency is at least 1 and every row sums to 2 ** TOTAL_BITS. Row [b, f] of codebook
        k depends on codes[b, :, :f], on codes[b, :k, f] and on K, on nothing else.
        """

    def stepper(self, counts: Sequence[int]) -> Stepper:
        """Give the same rows for chunks whose codes are yet to be decoded.

        ``counts`` are the chunks' numbers of codebooks, the largest first.
        """


def frequencies(model: FrequencyModel, codes: Tensor) -> Tensor:
    """Return the rows of all codebooks, [B, F, K, size], of codes [B, K, F]."""
    return torch.stack(list(model.rows(codes)), dim=2)


def digest(model: FrequencyModel) -> str:
    """Return the SHA-256, hexadecimal, of the frequencies of fixed codes, same on every machine.

    Two chunks of up to eight frames of all codebooks, their codes from a linear congruential
    generator; frequencies as little-endian int32 in the order [chunk, frame, codebook, code].
    """
    shape = (2, model.codebooks, min(8, model.frames))
    codes = fixed_integers(shape, model.codebook_size, seed=1)
    rows = frequencies(model, codes).cpu().numpy().astype("<i4")
    return hashlib.sha256(rows.tobytes()).hexdigest()


def fixed_integers(shape: tuple[int, ...], size: int, seed: int) -> Tensor:
    """Return an int64 tensor of integers below size, which will always be the same.

    x <- (1664525 x + 1013904223) mod 2**32 from x = seed, and floor(x size / 2**32) each time
    (the generator of Numerical Recipes, 2nd edition, section 7.1).
    """
    values, x = [], seed
    for _ in range(torch.Size(shape).numel()):
        x = (1664525 * x + 1013904223) % 2**32
        values.append(x * size >> 32)
    return torch.tensor(values).view(shape)
