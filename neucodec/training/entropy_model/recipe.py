"""What an entropy model's training run is: the plain data of a recipe file."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from neucodec.errors import NeucodecError
from neucodec.models.bounds import checked
from neucodec.models.catalogue.card import Card
from neucodec.models.errors import ModelError
from neucodec.models.lm.config import LmConfig
from neucodec.training.recipe import filled, read_toml


@dataclass
class LmRecipe:
    """Every number of a run. Times are in steps."""

    codec: str
    """Name or path of the codec whose codes are to be foreseen."""
    corpus: list[str]
    """Folders of audio, first-level folders being kinds drawn equally often."""
    held_out: str
    """Folder of audio by which the weights are judged."""
    model: dict[str, int] = field(default_factory=dict)
    """Constructor arguments of the network that differ from those the codec implies."""
    seed: int = 1
    shards: int = 60
    """How many shards of augmented chunks to code."""
    shard: int = 1024
    """Chunks in a shard."""
    steps: int = 4000
    warmup: int = 200
    learning_rate: float = 1.5e-3
    final_rate: float = 0.02
    """Learning rate at the end, as a share of the highest (cosine in between)."""
    batch: int = 48
    """Chunks per step."""
    dropout: float = 0.0
    weight_decay: float = 0.05
    ema: float = 0.998
    clip: float = 1.0
    """Largest gradient norm."""
    validate: int = 250
    """Steps from one validation to the next."""

    @classmethod
    def read(cls, path: Path) -> LmRecipe:
        """Parse a TOML file; NeucodecError where it cannot be, or a key is unknown."""
        try:
            recipe: LmRecipe = filled(cls, read_toml(path))
        except NeucodecError as error:
            raise NeucodecError(f"{path}: {error}") from None
        return recipe

    def config(self, card: Card) -> LmConfig:
        """The network's constructor arguments, for the codes of a codec."""
        sizes = {
            "codebooks": card.codebooks,
            "codebook_size": card.codebook_size,
            "frames": card.chunk_frames,
        }
        try:
            return checked(LmConfig, sizes | self.model)
        except ModelError as error:
            raise NeucodecError(f"[model] does not fit: {error}") from None

    def plain(self) -> dict[str, Any]:
        """The recipe as a dictionary, for checkpoints."""
        return asdict(self)

    def rate_at(self, step: int) -> float:
        """Learning rate: linear warm-up, then half a cosine."""
        done = min(1.0, step / self.steps)
        cosine = self.final_rate + (1 - self.final_rate) * (1 + math.cos(math.pi * done)) / 2
        return self.learning_rate * min(cosine, (step + 1) / self.warmup)
