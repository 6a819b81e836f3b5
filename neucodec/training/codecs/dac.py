"""Train DAC (arXiv 2306.06546), with the losses and weights of its paper, section 3.4 and table
5.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from neucodec.models.catalogue.card import Card
from neucodec.models.families.dac.network import Dac, DacConfig
from neucodec.models.families.dac.windows import trim_of
from neucodec.models.parts.published_rvq import CosineCodebook
from neucodec.models.parts.receptive_field import convolutions
from neucodec.training.losses.mel import MelDistance
from neucodec.training.recipe import Recipe

from .quantisers import learn_factorised
from .system import Decoded, System, configured, count_parameters, normed


class DacSystem(System):
    """Trains any DAC network."""

    WEIGHTS: ClassVar = {
        "mel": 15.0, "adversarial": 1.0, "features": 2.0, "codebook": 1.0, "commitment": 0.25,
    }  # fmt: skip

    network: Dac

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.config = configured(DacConfig, recipe.model)
        self.network = Dac(self.config)
        for module in self.network.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for book in self.books:
            nn.init.normal_(book.entries)
        self.mel = MelDistance(recipe.sample_rate)

    @property
    def books(self) -> list[CosineCodebook]:
        """Return the codebooks, first to last."""
        return list(cast("Iterable[CosineCodebook]", self.network.quantiser.codebooks))

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
        """Draw the number of codebooks of each item, for quantiser dropout: a share of the items
        draws its number, the others use them all.
        """
        r, most = self.recipe, self.config.codebooks
        counts = np.full(r.batch, most)
        dropped = round(r.dropout * r.batch)
        counts[:dropped] = rng.integers(1, most + 1, dropped)
        return counts

    def forward(self, audio: Tensor, counts: Tensor | None) -> Decoded:
        """Code audio [B, 1, T], T a multiple of the hop."""
        penalties = {}
        with self.autocast(audio):
            latent = self.network.encoder(audio).transpose(1, 2).float()
            if counts is not None:
                with torch.autocast(audio.device.type, enabled=False):
                    learnt = learn_factorised(self.books, latent, counts)
                latent = learnt.latent
                penalties["commitment"] = learnt.commitment
                if learnt.codebook is not None:
                    penalties["codebook"] = learnt.codebook
            decoded = self.network.decoder(latent.transpose(1, 2)).float()
        # Rates of 5 make the decoder's output 8 samples shorter.
        return Decoded(audio[..., : decoded.shape[-1]], decoded, penalties)

    def distances(
        self, reference: Tensor, decoded: Tensor, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Return the multi-scale mel distance."""
        return {"mel": self.mel(reference, decoded)}

    def weight_norm(self) -> None:
        """Give every convolution and projection weight norm, as upstream."""
        normed(self.network)

    def card(self, name: str, title: str) -> Card:
        """Return the card of the trained network, weights aside."""
        network, hop, rate = self.network, self.config.hop, self.recipe.sample_rate
        frames = max(1, rate // hop)
        return Card(
            name=name,
            family="dac",
            title=title,
            sample_rate=rate,
            channels=1,
            hop=hop,
            codebooks=self.config.codebooks,
            codebook_size=self.config.codebook_size,
            default_codebooks=self.config.codebooks,
            chunk_strategy="context",
            chunk_frames=frames,
            chunk_stride=frames * hop,
            chunk_context=-(-network.encoder_reach // hop) * hop,
            chunk_code_context=network.decoder_reach,
            chunk_trim=trim_of(convolutions(network.decoder)),
            level="none",
            parameters=count_parameters(network),
            license_code="MIT",
            license_weights="your own",
            paper="arXiv 2306.06546",
            config=asdict(self.config),
        )
