"""What a training run is: the plain data of a recipe file."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass
class Recipe:
    """Every number of a run. Times are in steps unless said otherwise."""

    corpus: list[str]
    """Folders of audio, first-level folders being kinds drawn equally often."""
    model: dict[str, int] = field(default_factory=dict)
    """Constructor arguments of the network that differ from its defaults."""
    sample_rate: int = 44100
    seed: int = 1
    steps: int = 12_000
    warmup: int = 200
    decay: int = 4_000
    """How many of the last steps bring the learning rate down to zero (linearly)."""
    learning_rate: float = 6e-4
    continuous: int = 1000
    """Steps without quantiser, after which codebooks start by k-means."""
    batch: int = 8
    """Items per step, each of ``chunks`` adjacent chunks."""
    chunks: int = 2
    """Adjacent chunks per item, so that the losses see the seam."""
    frames: int = 86
    """Frames per chunk."""
    mel_weight: float = 5.0
    complex_weight: float = 12.0
    commitment_weight: float = 0.25
    bypass_share: float = 0.2
    """Share of items that pass unquantised."""
    full_share: float = 0.2
    """Share of items that use every codebook; the others draw a number of them."""
    ema: float = 0.999
    clip: float = 3.0
    """Largest gradient norm."""

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Parse a TOML file, refusing unknown keys."""
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ValueError(f"{path}: unknown {', '.join(unknown)}; known: {sorted(known)}")
        return cls(**data)

    def plain(self) -> dict[str, Any]:
        """The recipe as a dictionary, for checkpoints and logs."""
        return asdict(self)

    def rate_at(self, step: int) -> float:
        """Learning rate: warm-up, again when the quantiser comes in; plateau; linear decay."""
        since = step if step < self.continuous else step - self.continuous
        up = min(1.0, (since + 1) / self.warmup)
        down = min(1.0, (self.steps - step) / self.decay)
        return self.learning_rate * min(up, down)
