"""Train discriminators beside a codec: their losses, their optimiser, and the generator's
losses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neucodec.errors import NeucodecError
from neucodec.models.parts.precision import autocast
from neucodec.training.discriminators.patches import PatchDiscriminators
from neucodec.training.losses.adversarial import FEATURES, LOSSES, verdicts

from .discriminators import Features, bands, period, scale, stft
from .distributed import parallel
from .recipe import AdversaryRecipe

KINDS: dict[str, Callable[[AdversaryRecipe, int], nn.Module]] = {
    "patches": lambda r, channels: PatchDiscriminators(r.windows or (2048, 512), r.widths),
    "period": lambda r, channels: period.PeriodDiscriminators(r.width or 32),
    "scale": lambda r, channels: scale.ScaleDiscriminators(4 * r.width or 128),
    "bands": lambda r, channels: bands.BandDiscriminators(
        r.width or 32, r.windows or bands.WINDOWS
    ),
    "stft": lambda r, channels: stft.StftDiscriminators(
        r.width or 32, r.windows or stft.WINDOWS, channels
    ),
}
"""By the name that recipes use."""


class Discriminators(nn.Module):
    """Runs all the kinds of a recipe on the same audio."""

    def __init__(self, recipe: AdversaryRecipe, channels: int) -> None:
        super().__init__()
        self.normalise = recipe.normalise
        self.kinds = nn.ModuleList(KINDS[kind](recipe, channels) for kind in recipe.kinds)

    def forward(self, audio: Tensor) -> Features:
        """Turn audio [B, C, T] into the features of every network."""
        if self.normalise:
            audio = audio - audio.mean(-1, keepdim=True)
            audio = 0.8 * audio / (audio.abs().amax(-1, keepdim=True) + 1e-9)
        return [layers for kind in self.kinds for layers in kind(audio)]


class Adversary:
    """Owns the discriminators. One pass through them serves both sides: the generator's losses
    and the discriminators' come from the same verdicts, and are learnt from at the same time."""

    def __init__(
        self,
        recipe: AdversaryRecipe,
        sample_rate: int,
        channels: int,
        device: torch.device,
        precision: str = "auto",
    ) -> None:
        for known, given in ((KINDS, recipe.kinds), (LOSSES, [recipe.loss]),
                             (FEATURES, [recipe.features])):  # fmt: skip
            for name in given:
                if name not in known:
                    raise NeucodecError(f"[adversary] {name!r}: there are {', '.join(known)}")
        self.recipe, self.device, self.precision = recipe, device, precision
        self.length = round(recipe.seconds * sample_rate)
        self.networks = Discriminators(recipe, channels).to(device)
        self.parallel = parallel(self.networks)
        self.parameters = list(self.networks.parameters())
        self.optimiser = torch.optim.AdamW(
            self.parameters,
            lr=recipe.learning_rate,
            betas=(recipe.betas[0], recipe.betas[1]),
            weight_decay=0.0,
        )
        self._discriminator, self._generator = LOSSES[recipe.loss]
        self._distance = FEATURES[recipe.features]

    def judge(
        self, reference: Tensor, decoded: Tensor, rng: np.random.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Judge two signals [B, C, T]: return the generator's losses, and the discriminators'."""
        pair = torch.stack([reference, decoded])
        if 0 < self.length < pair.shape[-1]:
            start = rng.integers(pair.shape[-1] - self.length + 1, size=pair.shape[1]).tolist()
            pieces = [pair[:, b, :, s : s + self.length] for b, s in enumerate(start)]
            pair = torch.stack(pieces, dim=1)
        with autocast(self.precision, self.device):
            features = self.parallel(pair.flatten(0, 1))
        real = [[layer.float().chunk(2)[0] for layer in layers] for layers in features]
        heard = [[layer.float().chunk(2)[1] for layer in layers] for layers in features]
        generator = {
            "adversarial": self._generator(verdicts(heard)),
            "features": self._distance(real, heard),
        }
        return generator, self._discriminator(verdicts(real), verdicts(heard))

    def learn(self, loss: Tensor, fall: float, rng: np.random.Generator) -> None:
        """Make one update of the discriminators; ``fall`` is what is left of the learning rate."""
        if rng.random() >= self.recipe.chance:
            return
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * fall
        self.optimiser.zero_grad(set_to_none=True)
        # Into the discriminators only: what the generator is to hear has been worked out.
        torch.autograd.backward(loss, inputs=self.parameters)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip)
        if torch.isfinite(norm):
            self.optimiser.step()

    def state(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"networks": self.networks.state_dict(), "optimiser": self.optimiser.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.networks.load_state_dict(state["networks"])
        self.optimiser.load_state_dict(state["optimiser"])
