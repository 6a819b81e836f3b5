"""Read the recipe of an entropy model's training run."""

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
class EntropyRecipe:
    """Holds every number of a run, as the TOML file has them. Times are in steps."""

    codec: str
    """The name or path of the codec whose codes the model is to predict."""
    corpus: list[str]
    """Folders of audio to learn from; their first-level folders are kinds of sound, which are drawn
    equally often."""
    held_out: str
    """The folder of audio by which the weights are judged."""
    model: dict[str, int] = field(default_factory=dict)
    """Constructor arguments of the network that differ from those that the codec implies."""
    start: str = ""
    """The path of the averaged weights of another run to start from; empty for new ones."""
    seed: int = 1
    """The seed of all that is drawn at random."""
    shards: int = 60
    """The number of shards of augmented chunks to code."""
    shard: int = 1024
    """The number of chunks in a shard."""
    steps: int = 4000
    """The number of updates."""
    warmup: int = 200
    """The number of first steps in which the learning rate rises."""
    learning_rate: float = 1.5e-3
    """The highest learning rate."""
    final_rate: float = 0.02
    """The learning rate at the end, as a share of the highest; in between it is a cosine."""
    batch: int = 48
    """The number of chunks in a step."""
    dropout: float = 0.0
    """The share of activations that are dropped in training."""
    weight_decay: float = 0.05
    """The weight decay of matrices; vectors have none."""
    ema: float = 0.998
    """The share of themselves that averaged weights keep in a step."""
    clip: float = 1.0
    """The largest gradient norm; larger gradients are scaled down to it."""
    validate: int = 250
    """The number of steps from one validation to the next."""

    @classmethod
    def read(cls, path: Path) -> EntropyRecipe:
        """Parse a TOML file; NeucodecError where it cannot be read or a key is unknown."""
        try:
            recipe: EntropyRecipe = filled(cls, read_toml(path))
        except NeucodecError as error:
            raise NeucodecError(f"{path}: {error}") from None
        return recipe

    def config(self, card: Card) -> LmConfig:
        """Return the network's constructor arguments for the codes of a codec; NeucodecError where
        the recipe's do not fit."""
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
        """Return the recipe as a dictionary, for checkpoints."""
        return asdict(self)

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step: linear warm-up, then half a cosine."""
        done = min(1.0, step / self.steps)
        cosine = self.final_rate + (1 - self.final_rate) * (1 + math.cos(math.pi * done)) / 2
        return self.learning_rate * min(cosine, (step + 1) / self.warmup)
