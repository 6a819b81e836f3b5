"""Foresee codes: the models that give an entropy coder its frequencies, with arrays for tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from neucodec.formats import (
    AdaptiveStepper,
    EntropyCoder,
    Look,
    RowLook,
    adaptive_intervals,
    intervals_of,
)

if TYPE_CHECKING:
    from neucodec.models import FrequencyModel
    from neucodec.models import Stepper as TorchStepper

Codes = npt.NDArray[np.int64]


class Stepper(Protocol):
    """Gives frequencies symbol by symbol: for each frame, for each codebook."""

    def row(self) -> npt.NDArray[np.int32]:
        """Return the frequencies of the next symbol [n, size] of every stream that has the
        codebook; each row sums to 2**24.
        """
        ...

    def look(self) -> Look:
        """Return the same frequencies in a form in which a decoder can search for symbols."""
        ...

    def push(self, codes: Codes) -> None:
        """Take what the symbols [n] turned out to be."""
        ...


class EntropyModel(Protocol):
    """Foresees codes, with the same bits on every machine. Safe to use in several threads."""

    coder: EntropyCoder
    name: str
    """Empty where a file need not name it."""
    fingerprint: bytes
    codebooks: int
    """The most that it can take."""
    left: float
    """The part of the bytes that usually is left."""

    def intervals(self, codes: Codes) -> tuple[Codes, Codes]:
        """Return left ends and widths [S, K, F] of the intervals of a chunk's codes [S, K, F]."""
        ...

    def stepper(self, counts: Sequence[int]) -> Stepper:
        """Return what gives the same frequencies while the codes become known, for streams with
        ``counts`` codebooks, most first.
        """
        ...


class Adaptive:
    """Foresees each code by those before it in its chunk."""

    coder = EntropyCoder.ADAPTIVE
    name = ""
    fingerprint = b""
    codebooks = 255
    left = 0.97

    def __init__(self, size: int) -> None:
        self._size = size

    def intervals(self, codes: Codes) -> tuple[Codes, Codes]:
        """See `EntropyModel`."""
        flat = codes.reshape(-1, codes.shape[-1])
        left, width = adaptive_intervals(flat, self._size)
        return left.reshape(codes.shape), width.reshape(codes.shape)

    def stepper(self, counts: Sequence[int]) -> Stepper:
        """See `EntropyModel`."""
        return AdaptiveStepper(counts, self._size)


class Learned:
    """Foresees codes by a model of `neucodec.models.lm`."""

    coder = EntropyCoder.LM
    left = 0.82

    def __init__(self, model: FrequencyModel) -> None:
        self.model = model
        self.name, self.fingerprint = model.name, model.fingerprint
        self.codebooks = model.codebooks

    def intervals(self, codes: Codes) -> tuple[Codes, Codes]:
        """See `EntropyModel`."""
        import torch

        left, width = np.empty_like(codes), np.empty_like(codes)
        rows = self.model.rows(torch.from_numpy(np.ascontiguousarray(codes)))
        for k, row in enumerate(rows):
            left[:, k], width[:, k] = intervals_of(row.numpy(), codes[:, k])
        return left, width

    def stepper(self, counts: Sequence[int]) -> Stepper:
        """See `EntropyModel`."""
        return _LearnedStepper(self.model.stepper(counts))


class _LearnedStepper:
    def __init__(self, stepper: TorchStepper) -> None:
        self._stepper = stepper

    def row(self) -> npt.NDArray[np.int32]:
        """See `Stepper`."""
        rows: npt.NDArray[np.int32] = self._stepper.row().numpy()
        return rows

    def look(self) -> Look:
        """See `Stepper`."""
        return RowLook(self.row())

    def push(self, codes: Codes) -> None:
        """See `Stepper`."""
        import torch

        self._stepper.push(torch.from_numpy(codes))
