"""Decode the ends of a signal, where the decoder lacks the neighbours that it was trained with.

The outermost frames of a chunk, decoded without a neighbour, come out wrong. Between chunks nobody
hears that, since those frames count next to nothing. At the ends of the signal there is nothing
else, and they were up to twenty times too loud. So there the codes are reflected about the
outermost frame, as images are padded: the decoder has neighbours, and their audio is dropped.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .codec import Codec

FRAMES = 3
"""How many frames are reflected at an end; the two outermost of a chunk count less than others."""


def reflected(codes: Tensor, *, first: bool, last: bool) -> tuple[Tensor, int]:
    """Reflect the codes [B, K, F] of a chunk at the ends of the signal.

    ``first`` and ``last`` say at which ends the chunk stands. Return [B, K, before + F + after] and
    ``before``, the number of frames that were put in front.
    """
    reach = min(FRAMES, codes.shape[-1] - 1)
    before, after = reach * first, reach * last
    front = codes[..., 1 : before + 1].flip(-1)
    behind = codes[..., codes.shape[-1] - 1 - after : -1].flip(-1)
    return torch.cat([front, codes, behind], dim=-1), before


def own_audio(audio: Tensor, decoded: int, before: int, frames: int, codec: Codec) -> Tensor:
    """Cut the audio [B, C, width] of a chunk's own ``frames`` out of that of ``decoded`` frames.

    ``before`` of those stand before the chunk's own. The result is weighted by the codec's window
    as if there had been no others.
    """
    if decoded == frames:
        return audio
    own = codec.window(frames)
    start = before * codec.card.hop
    here = slice(start, start + len(own))
    weight = codec.window(decoded)[here]
    change = own / weight.clamp_min(1e-6)
    return audio[..., here] * torch.where(weight == own, torch.ones_like(own), change)
