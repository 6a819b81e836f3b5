"""Train EnCodec (arXiv 2210.13438), with the losses of its section 3.4 and the shares of its
4.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from neucodec.models.catalogue.card import Card
from neucodec.models.families.encodec.network import Encodec, EncodecConfig
from neucodec.models.parts.causal_state import Carry
from neucodec.models.parts.published_rvq import EuclideanCodebook
from neucodec.training.losses.mel import EncodecMelDistance
from neucodec.training.recipe import Recipe

from .quantisers import FollowingQuantiser
from .system import Decoded, System, configured, count_parameters, normed

WARMUP = 3
"""Seconds after which a causal network has forgotten how a stream began."""


class EncodecSystem(System):
    """Trains either EnCodec network."""

    WEIGHTS: ClassVar = {
        "time": 1.0, "mel": 1.0, "adversarial": 1.0, "features": 1.0, "commitment": 1.0,
    }  # fmt: skip
    """Shares, in the recipe, are what balances them."""

    network: Encodec

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.config = configured(EncodecConfig, recipe.model)
        self.network = Encodec(self.config)
        self.channels = self.config.channels
        books = cast("Iterable[EuclideanCodebook]", self.network.quantiser.codebooks)
        self.quantiser = FollowingQuantiser(list(books))
        self.mel = EncodecMelDistance(recipe.sample_rate)

    @property
    def hop(self) -> int:
        """Return the samples per frame."""
        return int(np.prod(self.config.ratios))

    @property
    def most(self) -> int:
        """Return the number of all codebooks."""
        return self.config.codebooks

    @property
    def length(self) -> int:
        """Return the samples of an item: whole frames."""
        return round(self.recipe.seconds * self.recipe.sample_rate / self.hop) * self.hop

    def counts(self, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Draw one bandwidth for the whole batch: 2, 4, 8, ... codebooks (section 3.2)."""
        most = self.config.codebooks
        choices = [k for k in (2, 4, 8, 16, 32) if k <= most] or [most]
        return np.full(self.recipe.batch, rng.choice(choices))

    def forward(self, audio: Tensor, counts: Tensor | None) -> Decoded:
        """Code audio [B, C, T], T a multiple of the hop."""
        signal, scale = audio, None
        if self.config.normalise:
            scale = audio.mean(1).square().mean(-1).sqrt()[:, None, None] + 1e-8
            signal = audio / scale
        penalties = {}
        with self.autocast(audio):
            latent = self.network.encoder(signal, Carry()).transpose(1, 2).float()
            if counts is not None:
                with torch.autocast(audio.device.type, enabled=False):
                    learnt = self.quantiser.learn(latent, int(counts[0]), self.training)
                latent = learnt.latent
                penalties["commitment"] = learnt.commitment
            decoded = self.network.decoder(latent.transpose(1, 2), Carry()).float()
        return Decoded(audio, decoded if scale is None else decoded * scale, penalties)

    def distances(
        self, reference: Tensor, decoded: Tensor, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Return the L1 distance between samples, and the mel distance."""
        time = (reference - decoded).abs().mean()
        return {"time": time, "mel": self.mel(reference, decoded)}

    def weight_norm(self) -> None:
        """Give convolutions weight norm, unless they are followed by a normalisation."""
        if not self.config.group_norm:
            normed(self.network)

    def card(self, name: str, title: str) -> Card:
        """Return the card of the trained network, weights aside."""
        c, rate, hop = self.config, self.recipe.sample_rate, self.hop
        segment = c.segment or rate // hop * hop
        return Card(
            name=name,
            family="encodec",
            title=title,
            sample_rate=rate,
            channels=c.channels,
            hop=hop,
            codebooks=c.codebooks,
            codebook_size=c.codebook_size,
            default_codebooks=min(8, c.codebooks),
            chunk_strategy="segments" if c.segment else "stream",
            chunk_frames=-(-segment // hop),
            chunk_stride=c.stride or segment,
            chunk_warmup=0 if c.segment else WARMUP,
            level="codec" if c.normalise else "none",
            # Entries of codebooks are not counted among the published ones' parameters.
            parameters=sum(map(count_parameters, (self.network.encoder, self.network.decoder))),
            license_code="MIT",
            license_weights="your own",
            paper="arXiv 2210.13438",
            config={key: value for key, value in asdict(c).items() if value is not None},
        )
