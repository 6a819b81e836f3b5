"""Measure how good the averaged weights are by now, on a fixed set of excerpts that is held out."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from neucodec.errors import NeucodecError
from neucodec.evaluation.metrics import METRICS, SHORTEST, measure
from neucodec.training.codecs.system import System

from .corpus import Corpus
from .recipe import Recipe


class Validation:
    """Measures the middles of as many files as the recipe says, evenly from all that there are."""

    def __init__(self, recipe: Recipe, length: int, channels: int) -> None:
        self.recipe, self.items = recipe, torch.empty(0)
        for name in recipe.metrics:
            if name not in METRICS:
                raise NeucodecError(f"metrics {name!r}: there are {', '.join(METRICS)}")
        if not recipe.validation:
            return
        roots = [Path(p).expanduser() for p in recipe.validation]
        corpus = Corpus(roots, recipe.sample_rate, None, channels)
        files = [audio for kind in corpus.kinds.values() for audio in kind]
        step = max(1, len(files) // max(1, recipe.validation_items))
        middles = [_middle(audio, length) for audio in files[::step]][: recipe.validation_items]
        self.items = torch.from_numpy(np.stack(middles)).reshape(len(middles), -1, length)

    def due(self, step: int) -> bool:
        """Tell whether to measure after this step."""
        last = step == self.recipe.steps
        return len(self.items) > 0 and (last or step % self.recipe.validate_every == 0)

    @torch.no_grad()
    def measure(self, system: System, network: nn.Module) -> dict[str, float]:
        """Return the recipe's metrics, as far as their packages are here, of all excerpts one
        after another; every codebook is used.
        """
        learning, system.network = system.network, network
        device = next(network.parameters()).device
        system.eval()
        counts = torch.full((1,), system.most, device=device)
        try:
            coded = [system(item[None].to(device), counts) for item in self.items]
        finally:
            system.network = learning
        reference, decoded = (
            torch.cat([part[0].float().cpu() for part in parts], dim=-1)
            for parts in ([c.reference for c in coded], [c.decoded for c in coded])
        )
        gain = 0.1 / (reference.square().mean().sqrt() + 1e-9)  # a usual level
        pair = [np.ascontiguousarray((gain * audio).numpy().T) for audio in (reference, decoded)]
        long = len(pair[0]) >= SHORTEST * self.recipe.sample_rate
        chosen = [
            metric
            for metric in (METRICS[name] for name in self.recipe.metrics)
            if all(map(find_spec, metric.packages)) and (long or not metric.packages)
        ]
        found = measure(pair[0], pair[1], self.recipe.sample_rate, chosen)
        return {f"valid/{name}": value for name, value in found.items() if value is not None}


def _middle(audio: npt.NDArray[np.int16], length: int) -> npt.NDArray[np.float32]:
    start = max(0, (audio.shape[-1] - length) // 2)
    piece = audio[..., start : start + length].astype(np.float32) / 32768
    gap = length - piece.shape[-1]
    return np.pad(piece, [(0, 0)] * (piece.ndim - 1) + [(0, gap)])
