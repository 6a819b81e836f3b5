"""How good the averaged weights are by now, on a fixed set of excerpts that is held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .corpus import Corpus
from .mel import MelDistance
from .recipe import Recipe
from .systems.system import System

VISQOL_RATE = 48000
SHORTEST = 1.5
"""Seconds that ViSQOL needs to compare anything."""


class Validation:
    """The middles of as many files as the recipe says, evenly from all that there are."""

    def __init__(self, recipe: Recipe, length: int, channels: int) -> None:
        self.recipe, self.items = recipe, torch.empty(0)
        if not recipe.validation:
            return
        roots = [Path(p).expanduser() for p in recipe.validation]
        corpus = Corpus(roots, recipe.sample_rate, None, channels)
        files = [audio for kind in corpus.kinds.values() for audio in kind]
        step = max(1, len(files) // max(1, recipe.validation_items))
        middles = [_middle(audio, length) for audio in files[::step]][: recipe.validation_items]
        self.items = torch.from_numpy(np.stack(middles)).reshape(len(middles), -1, length)
        self.mel = MelDistance(recipe.sample_rate)

    def due(self, step: int) -> bool:
        """Whether to measure after this step."""
        last = step == self.recipe.steps
        return len(self.items) > 0 and (last or step % self.recipe.validate_every == 0)

    @torch.no_grad()
    def measure(self, system: System, network: nn.Module) -> dict[str, float]:
        """Mean over all excerpts, every codebook used: DAC's mel distance, SI-SDR in dB, and
        ViSQOL (audio mode) where it is installed."""
        learning, system.network = system.network, network
        device = next(network.parameters()).device
        system.eval()
        counts = torch.full((1,), _codebooks(system), device=device)
        try:
            pairs = [self._coded(system, item[None].to(device), counts) for item in self.items]
        finally:
            system.network = learning
        found = {
            "valid_mel": [float(self.mel(*pair)) for pair in pairs],
            "valid_si_sdr": [float(si_sdr(*pair)) for pair in pairs],
        }
        means = {name: float(np.mean(values)) for name, values in found.items()}
        return means | self._visqol(pairs)

    def _coded(self, system: System, item: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        coded = system(item, counts)
        return coded.reference.float().cpu(), coded.decoded.float().cpu()

    def _visqol(self, pairs: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
        """Of all excerpts one after another, mixed to mono, at 48 kHz and a usual level."""
        try:
            from visqol import VisqolApi
        except ImportError:
            return {}
        import soxr

        rate = self.recipe.sample_rate
        signals: list[list[npt.NDArray[np.float64]]] = [[], []]
        for pair in pairs:
            gain = 0.1 / float(pair[0].square().mean().sqrt() + 1e-9)
            for signal, audio in zip(signals, pair, strict=True):
                signal.append((gain * audio[0].mean(0)).numpy().astype(np.float64))
        reference, decoded = (
            soxr.resample(np.concatenate(signal), rate, VISQOL_RATE) for signal in signals
        )
        if len(reference) < SHORTEST * VISQOL_RATE:
            return {}
        api: Any = VisqolApi()
        api.create(mode="audio")
        score = api.measure_from_arrays(reference, decoded, VISQOL_RATE)
        return {"valid_visqol": float(score.moslqo)}


def si_sdr(reference: Tensor, decoded: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio in dB (arXiv 1811.02508, equation 3) of two
    signals [..., T], means removed, averaged over the others."""
    reference = reference - reference.mean(-1, keepdim=True)
    decoded = decoded - decoded.mean(-1, keepdim=True)
    power = reference.square().sum(-1, keepdim=True) + 1e-8
    target = (decoded * reference).sum(-1, keepdim=True) / power * reference
    noise = (decoded - target).square().sum(-1) + 1e-8
    return (10 * ((target.square().sum(-1) + 1e-8) / noise).log10()).mean()


def _codebooks(system: System) -> int:
    return int(system.config.codebooks)  # type: ignore[union-attr, arg-type]


def _middle(audio: npt.NDArray[np.int16], length: int) -> npt.NDArray[np.float32]:
    start = max(0, (audio.shape[-1] - length) // 2)
    piece = audio[..., start : start + length].astype(np.float32) / 32768
    gap = length - piece.shape[-1]
    return np.pad(piece, [(0, 0)] * (piece.ndim - 1) + [(0, gap)])
