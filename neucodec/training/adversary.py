"""Discriminators in training: their losses, their optimiser, and what the generator hears."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .adversarial import FEATURES, LOSSES, verdicts
from .discriminators.patches import PatchDiscriminators
from .recipe import AdversaryRecipe


class Adversary:
    """Owns the discriminators. One pass through them serves both sides: the generator's losses
    and the discriminators' come from the same verdicts, and are learnt from at the same time."""

    def __init__(self, recipe: AdversaryRecipe, sample_rate: int, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.length = round(recipe.seconds * sample_rate)
        self.networks = PatchDiscriminators(recipe.windows, recipe.widths).to(device)
        self.parameters = list(self.networks.parameters())
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=recipe.learning_rate, betas=(0.8, 0.99), weight_decay=0.0
        )
        self._discriminator, self._generator = LOSSES[recipe.loss]
        self._distance = FEATURES[recipe.features]

    def judge(
        self, reference: Tensor, decoded: Tensor, rng: np.random.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Hear a piece of each item [B, T]: the generator's losses, and the discriminators'."""
        pair = torch.stack([reference, decoded])
        start = rng.integers(max(1, pair.shape[-1] - self.length + 1), size=pair.shape[1])
        pieces = torch.stack(
            [pair[:, b, s : s + self.length] for b, s in enumerate(start.tolist())], dim=1
        )
        with torch.autocast(self.device.type, torch.bfloat16):
            features = self.networks(pieces.flatten(0, 1)[:, None])
        real = [[layer.float().chunk(2)[0] for layer in layers] for layers in features]
        heard = [[layer.float().chunk(2)[1] for layer in layers] for layers in features]
        generator = {
            "adversarial": self._generator(verdicts(heard)),
            "features": self._distance(real, heard),
        }
        return generator, self._discriminator(verdicts(real), verdicts(heard))

    def learn(self, loss: Tensor, fall: float) -> None:
        """One update of the discriminators; ``fall`` is what is left of the learning rate."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * fall
        self.optimiser.zero_grad(set_to_none=True)
        # Into the discriminators only: what the generator is to hear has been worked out.
        torch.autograd.backward(loss, inputs=self.parameters)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        if torch.isfinite(norm):
            self.optimiser.step()

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"networks": self.networks.state_dict(), "optimiser": self.optimiser.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.networks.load_state_dict(state["networks"])
        self.optimiser.load_state_dict(state["optimiser"])
