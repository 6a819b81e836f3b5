"""Optimise by Muon: momentum whose matrices are made orthogonal before each step."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from neucodec.models.parts.precision import has_bfloat16

MOMENTUM = 0.95
QUINTIC = (3.4445, -4.7750, 2.0315)
"""Of a polynomial that brings singular values from (0, 1] near 1 (Jordan et al. 2024)."""
ROUNDS = 5


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return a matrix with singular values near 1 and the singular vectors of the given one, by
    Newton and Schulz's iteration; in bfloat16 where that is the faster.
    """
    x = matrix.bfloat16() if has_bfloat16(matrix.device) else matrix.float()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp_min(1e-7)
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Moves matrices by Muon with Nesterov's momentum, and kernels, which are matrices to what lies
    under them; steps are as long as AdamW's, so that one learning rate serves both.

    PyTorch's own, from 2.9 on, always multiplies in bfloat16, which takes some twenty times as long
    on a processor that does not have it; its saved state is this one's.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move everything that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(p)
                momentum = state["momentum_buffer"].lerp_(p.grad, 1 - MOMENTUM)
                step = orthogonalised(p.grad.lerp(momentum, MOMENTUM).flatten(1))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(step.view_as(p), alpha=-group["lr"] * 0.2 * max(step.shape) ** 0.5)
