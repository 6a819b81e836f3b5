"""Tokens: the codes of a batch of signals as tensors, and checks of those that are given."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from neucodec.coding.chunks import Geometry
from neucodec.models import Card

from .arguments import whole_number
from .errors import GivenTypeError, GivenValueError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Tokens:
    """Holds what `Model.encode` gives and `Model.decode` takes."""

    codes: Tensor
    """[batch, streams, codebooks, frames], int64. Any first codebooks of a residual quantiser can
    be decoded alone, at lower quality: slice them off with `first`."""
    scales: Tensor | None
    """[batch, streams, chunks], float32: the level of each chunk, where the codec has levels."""
    samples: int
    """Of the signal, at the model's rate."""

    def first(self, codebooks: int) -> Tokens:
        """Return the same tokens with so many codebooks only."""
        count = whole_number("codebooks", codebooks, 1, self.codes.shape[2])
        return Tokens(self.codes[:, :, :count], self.scales, self.samples)


def checked_tokens(tokens: Tokens, card: Card, geometry: Geometry) -> int:
    """Return how many samples the tokens are of. Raises GivenTypeError and GivenValueError for
    tokens that no encoder gives.
    """
    codes: Any = getattr(tokens, "codes", None)
    shape = _check_codes(codes, card)
    chunks = -(-shape[3] // geometry.frames)
    own = shape[3] - (chunks - 1) * geometry.frames
    most = (chunks - 1) * geometry.stride + own * geometry.hop - geometry.trim
    _check_scales(getattr(tokens, "scales", None), (shape[0], shape[1], chunks), card)
    return whole_number("samples", getattr(tokens, "samples", None), 0, most)


def _check_codes(codes: Any, card: Card) -> tuple[int, ...]:
    """Check codes and return their shape."""
    import torch

    wanted = f"give integers [batch, streams, codebooks, frames], with 1 to {card.codebooks}"
    if not isinstance(codes, torch.Tensor):
        kind = type(codes).__name__
        raise GivenTypeError(f"codes given as {kind}: {wanted} codebooks, in neucodec.Tokens")
    integers = not (codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool)
    if codes.ndim != 4 or not codes.numel() or codes.shape[2] > card.codebooks or not integers:
        raise GivenValueError(
            f"codes of shape {list(codes.shape)} and {codes.dtype}: {wanted} codebooks"
        )
    if codes.shape[2] not in card.counts:
        possible = ", ".join(map(str, card.codebook_counts))
        raise GivenValueError(f"codes of {codes.shape[2]} codebooks: {card.name} has {possible}")
    least, most = int(codes.min()), int(codes.max())
    if least < 0 or most >= card.codebook_size:
        raise GivenValueError(
            f"codes from {least} to {most}: {card.name} has 0 to {card.codebook_size - 1}"
        )
    return tuple(codes.shape)


def _check_scales(scales: Any, shape: tuple[int, int, int], card: Card) -> None:
    import torch

    if scales is None:
        return
    if card.level == "none":
        raise GivenValueError(f"scales for {card.name}, which has no levels: give None")
    if not isinstance(scales, torch.Tensor) or tuple(scales.shape) != shape:
        given = list(scales.shape) if isinstance(scales, torch.Tensor) else type(scales).__name__
        raise GivenValueError(
            f"scales of {given}: give [batch, streams, chunks], that is {list(shape)} here, or None"
        )
    if not bool((torch.isfinite(scales) & (scales >= 0)).all()):
        raise GivenValueError("scales that are negative or not finite: give 0 or more")


_MOVED = ("TokenReader", "arrow_table", "read_tokens", "write_npy", "write_npz")
"""Names that this module had up to version 0.8, which `neucodec.interchange.tokens` has now."""


def __getattr__(name: str) -> Any:
    """Return what has moved from here, with a DeprecationWarning."""
    if name not in _MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "neucodec.interchange.tokens"
    warnings.warn(f"{__name__}.{name} is {home}.{name} now", DeprecationWarning, stacklevel=2)
    return getattr(import_module(home), name)
