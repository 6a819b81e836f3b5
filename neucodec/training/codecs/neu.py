"""Train the embedded codec.

What was tried, and what it measured: ``models/TRAINING.md``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from neucodec.models.catalogue.card import Card
from neucodec.models.families.neu.network import Neu, NeuConfig
from neucodec.models.parts.phase import Phases
from neucodec.training.losses.auditory import AuditoryDistance
from neucodec.training.losses.disturbance import Disturbance
from neucodec.training.losses.spectral import SpectralLoss
from neucodec.training.recipe import Recipe

from .chunked import ChunkedSystem
from .system import Decoded, configured, count_parameters
from .waveform import WaveformLayer


class NeuSystem(ChunkedSystem):
    """Trains by spectral losses of a few windows a step, drawn anew each time."""

    WEIGHTS: ClassVar = {
        "mel": 5.0, "complex": 12.0, "auditory": 0.0, "disturbance": 0.0, "commitment": 0.25,
        "adversarial": 1.0, "features": 2.0,
    }  # fmt: skip
    GROUPS: ClassVar = {"mel": "spectral", "complex": "spectral"}

    network: Neu

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.config = configured(NeuConfig, recipe.model)
        self.network = Neu(self.config)
        phases = self.network.phases
        self.distance = SpectralLoss(
            recipe.sample_rate, recipe.least_coherence, (phases.given - 1) / (phases.bins - 1)
        )
        self.auditory = AuditoryDistance(recipe.sample_rate) if self.weights["auditory"] else None
        self.disturbance = Disturbance(recipe.sample_rate) if self.weights["disturbance"] else None
        self.layer = WaveformLayer(recipe.sample_rate) if recipe.layer_share else None
        self.codebooks, self.hop = self.config.codebooks, self.network.hop
        self.context = self.network.context
        self.shared = self.config.fade_frames  # type: ignore[misc]

    def analyse(self, chunks: Tensor) -> Tensor:
        """Turn chunks [N, width] into latents [N, F, D]."""
        return self.network.analyse(chunks)

    def synthesise(self, latent: Tensor) -> Tensor:
        """Turn latents [N, F, D] into chunks [N, width], ready to overlap-add."""
        if not self.training:
            return self.network.synthesise(latent)
        return self.network.synthesise(latent, Phases.anywhere(latent))

    def forward(self, audio: Tensor, counts: Tensor) -> Decoded:
        """Code audio [B, 1, T]; in training some items have the waveform layer over the decode."""
        coded = super().forward(audio, counts)
        if self.training and self.layer:
            using = torch.rand(len(audio)) < self.recipe.layer_share
            sums = self.layer(coded.reference[:, 0], coded.decoded[:, 0], using.to(audio.device))
            coded.decoded = sums[:, None]
        return coded

    def distances(
        self, reference: Tensor, decoded: Tensor, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Return mel and complex distance of a few windows, and what else has a weight."""
        mel, phase = self.distance(reference[:, 0], decoded[:, 0], self.distance.draw(rng))
        losses = {"mel": mel, "complex": phase}
        if self.auditory:
            losses["auditory"] = self.auditory(reference[:, 0], decoded[:, 0])
        if self.disturbance:
            losses["disturbance"] = self.disturbance(reference[:, 0], decoded[:, 0])
        return losses

    def card(self, name: str, title: str) -> Card:
        """Return the card of the trained network, weights aside."""
        return Card(
            name=name,
            family="neu",
            title=title,
            sample_rate=self.recipe.sample_rate,
            channels=1,
            hop=self.hop,
            codebooks=self.codebooks,
            codebook_size=self.config.codebook_size,
            default_codebooks=min(9, self.codebooks),
            chunk_frames=self.recipe.frames,
            chunk_stride=self.stride,
            chunk_context=self.context,
            layer_gain=10,
            parameters=count_parameters(self.network),
            license_code="MIT",
            license_weights="your own",
            config=asdict(self.config),
        )
