"""The ends of a signal, where a decoder lacks the frames beyond that it was trained with.

The outermost frames of a chunk, decoded without a neighbour, come out wrong, which nobody hears
between chunks: there they count next to nothing. At the ends of the signal they are all that
there is, and were up to twenty times too loud. So there the codes are turned about the outermost
frame, as images pad by reflection: the decoder has its neighbours, and what comes out for those is
dropped.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .codec import Codec

FRAMES = 3
"""Turned at an end; a chunk's two outermost count less than the others."""


def turned(codes: Tensor, *, first: bool, last: bool) -> tuple[Tensor, int]:
    """Codes [B, K, F] of a chunk to those [B, K, before + F + after] with which it is decoded, and
    how many are before; ``first`` and ``last`` say at which ends of the signal it stands."""
    reach = min(FRAMES, codes.shape[-1] - 1)
    before, after = reach * first, reach * last
    front = codes[..., 1 : before + 1].flip(-1)
    behind = codes[..., codes.shape[-1] - 1 - after : -1].flip(-1)
    return torch.cat([front, codes, behind], dim=-1), before


def own_audio(audio: Tensor, decoded: int, before: int, frames: int, codec: Codec) -> Tensor:
    """The audio [B, C, width] of a chunk's own ``frames``, weighted as if there were no others,
    from that of ``decoded`` frames, of which so many are ``before``."""
    if decoded == frames:
        return audio
    own = codec.window(frames)
    start = before * codec.card.hop
    here = slice(start, start + len(own))
    weight = codec.window(decoded)[here]
    change = own / weight.clamp_min(1e-6)
    return audio[..., here] * torch.where(weight == own, torch.ones_like(own), change)
