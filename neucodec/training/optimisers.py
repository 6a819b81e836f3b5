"""Choose which optimiser moves which parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from .muon import Muon

OPTIMISERS = ("adamw", "muon")
"""Of recipes. Muon (Jordan et al. 2024) takes matrices inside the network and leaves the rest to
AdamW."""


def optimisers(
    parameters: Iterable[tuple[str, Tensor]],
    *,
    inner: Callable[[str, Tensor], bool],
    plain: Callable[[str, Tensor], bool],
    rate: float,
    betas: tuple[float, float],
    decay: float,
) -> list[torch.optim.Optimizer]:
    """Return optimisers of named parameters: Muon for those that are ``inner`` (matrices [out, in],
    of their names), AdamW for the others.

    Weights decay by ``decay`` but where they are ``plain``.
    """
    by_muon: list[Tensor] = []
    decaying: list[Tensor] = []
    others: list[Tensor] = []
    for name, p in parameters:
        if not p.requires_grad:
            continue
        (by_muon if inner(name, p) else others if plain(name, p) else decaying).append(p)
    groups = [
        {"params": decaying, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]
    found: list[torch.optim.Optimizer] = []
    if by_muon:
        found.append(Muon(by_muon, rate, decay))
    return [*found, torch.optim.AdamW(groups, rate, betas=betas)]
