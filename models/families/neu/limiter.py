"""A bound on the energy of decoded chunks, which is known before: they were coded at unit level."""

from __future__ import annotations

import torch
from torch import Tensor

MOST = 1.25
"""Mean square of a chunk. One in fifty held-out chunks comes out louder, a sweep ten times so."""


def limit(audio: Tensor, hop: int) -> Tensor:
    """Chunks [B, H * hop], the loudest hops of each turned down to one level so that the mean
    square is about `MOST`. What is quieter stays as it is, and so do chunks within that."""
    hops = audio.reshape(audio.shape[0], -1, hop)
    energy = hops.square().mean(-1)
    count = energy.shape[1]
    rising = torch.sort(energy, dim=-1).values
    # If all hops but the k quietest come down to one level, there is left for each of them:
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
