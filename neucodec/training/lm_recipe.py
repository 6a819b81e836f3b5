"""What an entropy model's training run is: the plain data of a recipe file."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..models.card import Card
from ..models.lm.config import LmConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


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
        """Parse a TOML file, refusing unknown keys."""
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ValueError(f"{path}: unknown {', '.join(unknown)}; known: {sorted(known)}")
        return cls(**data)

    def config(self, card: Card) -> LmConfig:
        """The network's constructor arguments, for the codes of a codec."""
        sizes = {
            "codebooks": card.codebooks,
            "codebook_size": card.codebook_size,
            "frames": card.chunk_frames,
        }
        return LmConfig(**(sizes | self.model))

    def plain(self) -> dict[str, Any]:
        """The recipe as a dictionary, for checkpoints."""
        return asdict(self)

    def rate_at(self, step: int) -> float:
        """Learning rate: linear warm-up, then half a cosine."""
        done = min(1.0, step / self.steps)
        cosine = self.final_rate + (1 - self.final_rate) * (1 + math.cos(math.pi * done)) / 2
        return self.learning_rate * min(cosine, (step + 1) / self.warmup)
