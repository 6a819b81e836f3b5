"""Limit the energy of decoded chunks.

Chunks are encoded at unit RMS, so a decoded mean square above `MOST` is an artefact.
"""

from __future__ import annotations

import torch
from torch import Tensor

MOST = 1.25
"""Largest mean square of a chunk. Without a limit one in fifty held-out chunks comes out louder,
and a sweep ten times as loud."""


def limit(audio: Tensor, hop: int) -> Tensor:
    """Turn down the loudest hops of chunks [B, H * hop] to one level.

    The mean square of each chunk becomes about `MOST`. Quieter hops, and chunks below the limit,
    stay as they are.
    """
    hops = audio.reshape(audio.shape[0], -1, hop)
    energy = hops.square().mean(-1)
    count = energy.shape[1]
    rising = torch.sort(energy, dim=-1).values
    # If all hops but the k quietest come down to one level, this is left for each of them.
    left = MOST * count - (rising.cumsum(-1) - rising)
    others = count - torch.arange(count, dtype=audio.dtype, device=audio.device)
    level = (left / others).amax(-1, keepdim=True)
    change = (level / energy.clamp_min(1e-12)).clamp(max=1.0).sqrt() - 1
    # Linear from the middle of one hop to that of the next; where nothing is, exactly nothing.
    before = torch.cat([change[:, :1], change[:, :-1]], dim=1)[..., None]
    behind = torch.cat([change[:, 1:], change[:, -1:]], dim=1)[..., None]
    steps = torch.arange(hop, dtype=audio.dtype, device=audio.device)
    here, place = change[..., None], (steps + 0.5) / hop - 0.5
    slope = torch.where(place < 0, here - before, behind - here)
    return (hops * (1 + (here + slope * place))).flatten(1)
