"""Balance losses as EnCodec does (arXiv 2210.13438, section 3.4, equation 4)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Balancer:
    """Gives each loss a fixed share of the gradient at the decoded audio, whatever its scale.

    A gradient g of share s becomes g * s / (sum of shares) over the running mean of g's norm
    (per item of the batch), so that neither a loss's unit nor its progress changes its say.
    """

    def __init__(self, shares: Mapping[str, float], keep: float = 0.999) -> None:
        self.shares, self.keep = dict(shares), keep
        # Sums of past norms and of their weights, older ones counting less.
        self.sums: dict[str, float] = {}
        self.weights: dict[str, float] = {}

    def combine(self, losses: Mapping[str, Tensor], decoded: Tensor) -> Tensor:
        """Return the balanced gradient of the losses (scalars) at ``decoded`` [B, ...], a leaf."""
        total = sum(self.shares[name] for name in losses)
        combined = torch.zeros_like(decoded)
        for name, loss in losses.items():
            (gradient,) = torch.autograd.grad(loss, decoded, retain_graph=True)
            norm = self._average(name, gradient.flatten(1).norm(dim=1).mean().item())
            combined += gradient * (self.shares[name] / total / (norm + 1e-12))
        return combined

    def _average(self, name: str, norm: float) -> float:
        """Add a norm to a loss's running mean, and return that."""
        self.sums[name] = self.sums.get(name, 0.0) * self.keep + norm
        self.weights[name] = self.weights.get(name, 0.0) * self.keep + 1
        return self.sums[name] / self.weights[name]

    def state(self) -> dict[str, dict[str, float]]:
        """Return what a resumed run needs."""
        return {"sums": dict(self.sums), "weights": dict(self.weights)}

    def restore(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Go on from what `state` returned."""
        self.sums, self.weights = dict(state["sums"]), dict(state["weights"])
