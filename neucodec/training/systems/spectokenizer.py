"""SpecTokenizer (Interspeech 2025): its paper has a reconstruction loss over the compressed
spectrum, DAC's discriminators, feature matching and commitment, and gives no weights for them."""

from __future__ import annotations

from dataclasses import asdict
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ...models.card import Card
from ...models.spectokenizer import SpecTokenizer, SpecTokenizerConfig
from ..mel import MelDistance
from ..recipe import Recipe
from .chunked import ChunkedSystem
from .system import configured, count_parameters


class SpecTokenizerSystem(ChunkedSystem):
    """Either size, in the use that codes chunks by themselves."""

    WEIGHTS: ClassVar = {
        "mel": 5.0, "compressed": 10.0, "commitment": 0.25, "adversarial": 1.0, "features": 2.0,
    }  # fmt: skip
    GROUPS: ClassVar = {"mel": "spectral", "compressed": "spectral"}

    network: SpecTokenizer

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.config = configured(SpecTokenizerConfig, recipe.model)
        self.network = SpecTokenizer(self.config)
        self.mel = MelDistance(recipe.sample_rate)
        self.codebooks, self.hop = self.config.codebooks, self.config.hop
        self.context = self.hop // 2

    def analyse(self, chunks: Tensor) -> Tensor:
        """Chunks [N, width] to latents [N, F, D]."""
        return self.network.analyse(chunks[:, None])

    def synthesise(self, latent: Tensor) -> Tensor:
        """Latents [N, F, D] to chunks [N, width], ready to overlap-add."""
        return self.network.synthesise(latent)[:, 0]

    def distances(
        self, reference: Tensor, decoded: Tensor, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """DAC's mel distance, and L1 between the spectra that the network itself works on."""
        whole = reference.shape[-1] // self.hop * self.hop
        spectra = [
            torch.view_as_real(self.network.compress(audio[..., :whole]))
            for audio in (reference, decoded)
        ]
        compressed = (spectra[0] - spectra[1]).abs().mean()
        return {"mel": self.mel(reference, decoded), "compressed": compressed}

    def card(self, name: str, title: str) -> Card:
        """The card of the trained network, weights aside."""
        return Card(
            name=name,
            family="spectokenizer",
            title=title,
            sample_rate=self.recipe.sample_rate,
            channels=1,
            hop=self.hop,
            codebooks=self.codebooks,
            codebook_size=self.config.codebook_size,
            default_codebooks=self.codebooks,
            chunk_strategy="overlap",
            chunk_frames=self.recipe.frames,
            chunk_stride=self.stride,
            chunk_context=self.context,
            parameters=count_parameters(self.network),
            license_code="MIT",
            license_weights="your own",
            paper="Interspeech 2025",
            config=asdict(self.config),
        )
