"""Train HiFi-Codec (arXiv 2305.02765), with the losses of AcademiCodec's training code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from neucodec.models.catalogue.card import Card
from neucodec.models.families.hificodec.network import HifiCodec, HifiCodecConfig
from neucodec.models.parts.published_rvq import EuclideanCodebook, ResidualCodebooks
from neucodec.training.losses.mel import HIFICODEC_SCALES, MelDistance
from neucodec.training.recipe import Recipe

from .quantisers import Learnt, learn_by_gradient
from .system import Decoded, System, configured, count_parameters, normed

FADE = 2
"""Frames over which segments fade from one to the next."""


class HifiCodecSystem(System):
    """Trains any HiFi-Codec network: groups of residual codebooks, learnt by gradient."""

    WEIGHTS: ClassVar = {
        "mel": 1.0, "adversarial": 1.0, "features": 2.0, "codebook": 10.0, "commitment": 2.5,
    }  # fmt: skip
    """Scales of the mel distance have their weights, 45, 1 and 1, already."""

    network: HifiCodec

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.config = configured(HifiCodecConfig, recipe.model)
        self.network = HifiCodec(self.config)
        size = self.config.codebook_size
        for group in self.groups:
            for book in group:
                nn.init.uniform_(book.entries, -1 / size, 1 / size)
        self.mel = MelDistance(recipe.sample_rate, HIFICODEC_SCALES)

    @property
    def groups(self) -> list[list[EuclideanCodebook]]:
        """Return the codebooks of each group, first to last."""
        quantisers = cast("Iterable[ResidualCodebooks]", self.network.quantisers)
        return [list(cast("Iterable[EuclideanCodebook]", q.codebooks)) for q in quantisers]

    @property
    def most(self) -> int:
        """Return the number of all codebooks."""
        return self.config.codebooks

    @property
    def length(self) -> int:
        """Return the samples of an item: whole frames."""
        hop = self.config.hop
        return round(self.recipe.seconds * self.recipe.sample_rate / hop) * hop

    def counts(self, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Use all codebooks, always."""
        return np.full(self.recipe.batch, self.config.codebooks)

    def forward(self, audio: Tensor, counts: Tensor | None) -> Decoded:
        """Code audio [B, 1, T], T a multiple of the hop."""
        penalties = {}
        with self.autocast(audio):
            latent = self.network.encoder(audio).transpose(1, 2).float()
            if counts is not None:
                with torch.autocast(audio.device.type, enabled=False):
                    learnt = self.quantise(latent)
                latent = learnt.latent
                penalties["commitment"] = learnt.commitment
                if learnt.codebook is not None:
                    penalties["codebook"] = learnt.codebook
            decoded = self.network.generator(latent.transpose(1, 2)).float()
        return Decoded(audio, decoded, penalties)

    def quantise(self, latent: Tensor) -> Learnt:
        """Quantise each group's part of a latent [B, F, D] by itself; distances are means over
        groups.
        """
        parts = [
            learn_by_gradient(books, part)
            for books, part in zip(
                self.groups, latent.chunk(self.config.groups, dim=-1), strict=True
            )
        ]
        codebook = [part.codebook for part in parts if part.codebook is not None]
        return Learnt(
            torch.cat([part.latent for part in parts], dim=-1),
            torch.stack([part.commitment for part in parts]).mean(),
            torch.stack(codebook).mean(),
        )

    def distances(
        self, reference: Tensor, decoded: Tensor, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Return the mel distance."""
        return {"mel": self.mel(reference, decoded)}

    def weight_norm(self) -> None:
        """Give all convolutions but the encoder's last weight norm, as upstream."""
        normed(self.network, skip=lambda name: name == "encoder.conv_post")

    def card(self, name: str, title: str) -> Card:
        """Return the card of the trained network, weights aside."""
        c, rate = self.config, self.recipe.sample_rate
        frames = max(2 * FADE + 1, rate // c.hop)
        return Card(
            name=name,
            family="hificodec",
            title=title,
            sample_rate=rate,
            channels=1,
            hop=c.hop,
            codebooks=c.codebooks,
            codebook_size=c.codebook_size,
            default_codebooks=c.codebooks,
            codebook_counts=[c.codebooks],
            chunk_strategy="segments",
            chunk_frames=frames,
            chunk_stride=(frames - FADE) * c.hop,
            level="none",
            parameters=count_parameters(self.network),
            license_code="MIT",
            license_weights="your own",
            paper="arXiv 2305.02765",
            config=asdict(c),
        )
