"""Tokens: the codes of a batch of signals as tensors, and checks of those that are given."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from neucodec.models import Card

from .arguments import whole_number
from .errors import GivenTypeError, GivenValueError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from neucodec.coding.tensor_coder import TensorCoder


@dataclass(frozen=True, eq=False)
class Tokens:
    """Holds what `Model.encode` gives and `Model.decode` takes."""

    codes: Tensor
    """Integers [batch, codebooks, frames], int64; [batch, streams, codebooks, frames] where signals
    have several streams, as two channels have that a mono codec codes, and always where they are
    not uniform. Any first codebooks of a residual quantiser can be decoded alone, at lower quality:
    slice them off with `first`."""
    scales: Tensor | None
    """The level of each chunk, float32 [batch, chunks], or [batch, streams, chunks] where the codes
    have streams; None where the codec has no levels, and to decode all at a level of 1."""
    samples: int
    """The length of the signals, in samples per channel at the model's rate; of the longest one."""
    uniform: bool = False
    """Whether every frame stands for one hop, ceil(samples / hop) in all. Otherwise codes are as in
    an .ncf: chunk after chunk, and frames that two chunks share are in both."""
    lengths: Tensor | None = None
    """The length of each signal, int64 [batch], in samples per channel at the model's rate; None
    where all have ``samples``. Codes beyond a signal's end are 0."""
    mask: Tensor | None = None
    """Which frames are a signal's own, booleans [batch, frames]; None where all are."""

    def first(self, codebooks: int) -> Tokens:
        """Return the same tokens with so many codebooks only."""
        count = whole_number("codebooks", codebooks, 1, self.codes.shape[-2])
        return replace(self, codes=self.codes[..., :count, :])

    def to(self, device: str | torch.device) -> Tokens:
        """Return the same tokens on a device."""
        tensors = (self.scales, self.lengths, self.mask)
        scales, lengths, mask = (None if t is None else t.to(device) for t in tensors)
        codes = self.codes.to(device)
        return replace(self, codes=codes, scales=scales, lengths=lengths, mask=mask)


def together(parts: Sequence[Tokens]) -> Tokens:
    """Put the tokens of single signals, codes [streams, codebooks, frames], into a batch.

    Shorter ones are filled up with codes of 0, and with the level of their last chunk.
    """
    import torch
    import torch.nn.functional as F

    frames = max(part.codes.shape[-1] for part in parts)
    codes = [F.pad(part.codes, (0, frames - part.codes.shape[-1])) for part in parts]
    levels = [part.scales for part in parts if part.scales is not None]
    chunks = max((level.shape[-1] for level in levels), default=0)
    levels = [torch.cat([s, s[..., -1:].expand(-1, chunks - s.shape[-1])], -1) for s in levels]
    whole, scales = torch.stack(codes), torch.stack(levels) if levels else None
    if parts[0].uniform and whole.shape[1] == 1:
        whole, scales = whole[:, 0], None if scales is None else scales[:, 0]
    lengths = torch.tensor([part.samples for part in parts])
    samples, mask = int(lengths.max()), None
    if bool((lengths != samples).any()):
        ends = torch.tensor([part.codes.shape[-1] for part in parts])
        mask = torch.arange(frames) < ends[:, None]
    return Tokens(whole, scales, samples, parts[0].uniform, None if mask is None else lengths, mask)


def tokens_of(given: Any, hop: int) -> Tokens:
    """Return tokens as they are, and plain codes [codebooks, frames], with or without axes for
    streams and the batch before those, as uniform tokens at a level of 1.

    Arrays of NumPy are taken, too. Raises GivenTypeError for what is neither.
    """
    import torch

    if hasattr(given, "codes"):
        return given  # type: ignore[no-any-return]
    try:
        codes = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        kind = type(given).__name__
        raise GivenTypeError(
            f"codes given as {kind}: give neucodec.Tokens, a tensor or an array of integers"
        ) from None
    if codes.ndim == 2:
        codes = codes[None]
    frames = codes.shape[-1] if codes.ndim else 0
    return Tokens(codes, None, frames * hop, uniform=True)


def apart(tokens: Tokens, samples: int, hop: int, coder: TensorCoder) -> Iterator[Tokens]:
    """Give the tokens of signals one by one where their lengths differ; else all at once."""
    if tokens.lengths is None:
        yield replace(tokens, samples=samples)
        return
    for row, length in enumerate(tokens.lengths.tolist()):
        own = whole_number("a length", length, 1, samples)
        codes, scales = tokens.codes[row : row + 1], tokens.scales
        codes = codes[..., : -(-own // hop)]
        if scales is not None:
            chunks = len(coder.chunk_spans(codes.shape[-1], tokens.uniform))
            scales = scales[row : row + 1, ..., :chunks]
        yield Tokens(codes, scales, own, tokens.uniform)


def checked_tokens(tokens: Tokens, card: Card, coder: TensorCoder) -> int:
    """Return how many samples the tokens are of. Raises GivenTypeError and GivenValueError for
    tokens that no encoder gives; their codes have been checked.
    """
    shape, geometry = tuple(tokens.codes.shape), coder.geometry(tokens.uniform)
    chunks = len(coder.chunk_spans(shape[-1], tokens.uniform))
    if tokens.uniform:
        most = shape[-1] * geometry.hop
    else:
        own = shape[-1] - (chunks - 1) * geometry.frames
        most = (chunks - 1) * geometry.stride + own * geometry.hop - geometry.trim
    _check_scales(tokens.scales, (*shape[:-2], chunks), card)
    if tokens.lengths is not None and tuple(tokens.lengths.shape) != shape[:1]:
        raise GivenValueError(f"{tokens.lengths.numel()} lengths for {shape[0]} signals")
    return whole_number("samples", tokens.samples, 0, most)


def check_codes(codes: Any, card: Card, *, uniform: bool = False) -> None:
    """Raise GivenTypeError or GivenValueError for what are no codes of a model."""
    import torch

    dims = "[batch, codebooks, frames]" if uniform else "[batch, streams, codebooks, frames]"
    wanted = f"give integers {dims}, with 1 to {card.codebooks}"
    if not isinstance(codes, torch.Tensor):
        kind = type(codes).__name__
        raise GivenTypeError(f"codes given as {kind}: {wanted} codebooks, in neucodec.Tokens")
    integers = not (codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool)
    ranks = (3, 4) if uniform else (4,)
    if (
        codes.ndim not in ranks or not codes.numel() or codes.shape[-2] > card.codebooks
        or not integers
    ):  # fmt: skip
        raise GivenValueError(
            f"codes of shape {list(codes.shape)} and {codes.dtype}: {wanted} codebooks"
        )
    if codes.shape[-2] not in card.counts:
        possible = ", ".join(map(str, card.codebook_counts))
        raise GivenValueError(f"codes of {codes.shape[-2]} codebooks: {card.name} has {possible}")
    least, most = int(codes.min()), int(codes.max())
    if least < 0 or most >= card.codebook_size:
        raise GivenValueError(
            f"codes from {least} to {most}: {card.name} has 0 to {card.codebook_size - 1}"
        )


def _check_scales(scales: Any, shape: tuple[int, ...], card: Card) -> None:
    import torch

    if scales is None:
        return
    if card.level == "none":
        raise GivenValueError(f"scales for {card.name}, which has no levels: give None")
    if not isinstance(scales, torch.Tensor) or tuple(scales.shape) != shape:
        given = list(scales.shape) if isinstance(scales, torch.Tensor) else type(scales).__name__
        axes = "[batch, streams, chunks]" if len(shape) == 3 else "[batch, chunks]"
        raise GivenValueError(
            f"scales of {given}: give {axes}, that is {list(shape)} here, or None"
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
