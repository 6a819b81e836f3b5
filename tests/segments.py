"""Whole signals in overlapping segments, as the package ``encodec`` codes them.

neucodec's own codecs join segments by weighting each; this is the other way to compute the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from neucodec.models.families.encodec.network import Encodec

Segment = tuple[Tensor, Tensor | None]
"""Codes [B, K, F] of a segment, and its scale [B]."""


def encode_segments(model: Encodec, audio: Tensor, codebooks: int) -> list[Segment]:
    """Encode a signal [B, C, T] segment by segment; the last is shorter.

    Segments start at every stride below T, so that the last one may lie within the overlap of the
    one before.
    """
    length = audio.shape[-1]
    segment, stride = model.config.segment or length, model.config.stride or length
    return [
        model.encode(audio[..., start : start + segment], codebooks)
        for start in range(0, length, stride)
    ]


def decode_segments(model: Encodec, segments: Iterable[Segment]) -> Tensor:
    """Undo `encode_segments`: audio [B, C, T'], T' at least the T that was encoded."""
    parts = [model.decode(codes, scale) for codes, scale in segments]
    return overlap_add(parts, model.config.stride or parts[0].shape[-1])


def fade_in(overlap: int) -> Tensor:
    """Weight [overlap] of the later of two overlapping segments; the earlier one has the rest.

    Linear, and never quite 0 or 1: upstream weights whole segments by triangles.
    """
    return torch.arange(1, overlap + 1, dtype=torch.float32) / (overlap + 1)


def overlap_add(parts: Sequence[Tensor], stride: int) -> Tensor:
    """Join segments [B, C, T_i] that start every ``stride`` samples, fading linearly.

    A segment overlaps its neighbours only.
    """
    ends = [k * stride + part.shape[-1] for k, part in enumerate(parts)]
    out = parts[0].new_zeros(*parts[0].shape[:-1], max(ends))
    filled = 0
    for k, part in enumerate(parts):
        start = k * stride
        shared = min(max(0, filled - start), part.shape[-1])
        weight = fade_in(filled - start)[:shared].to(part) if shared else part.new_zeros(0)
        seam = out[..., start : start + shared]
        seam.lerp_(part[..., :shared], weight)
        out[..., start + shared : ends[k]] = part[..., shared:]
        filled = ends[k]
    return out
