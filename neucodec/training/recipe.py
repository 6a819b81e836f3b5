"""What a training run is: the plain data of a recipe file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TRAINABLE = ("decoder",)


@dataclass
class AdversaryRecipe:
    """The table ``[adversary]``: discriminators, and how they are trained."""

    windows: list[int] = field(default_factory=lambda: [2048, 512])
    widths: list[int] = field(default_factory=lambda: [32, 64, 64])
    seconds: float = 0.6
    """Length of the piece of each item that the discriminators see, drawn anew every step."""
    loss: str = "hinge"
    """Or "squares"."""
    features: str = "relative"
    """How feature distances are measured; or "absolute"."""
    learning_rate: float = 3e-4
    warmup: int = 300
    """Steps in which discriminators learn, and the codec does not learn from them yet."""


@dataclass
class Recipe:
    """Every number of a run. Times are in steps unless said otherwise."""

    corpus: list[str]
    """Folders of audio, first-level folders being kinds drawn equally often."""
    model: dict[str, int] = field(default_factory=dict)
    """Constructor arguments of the network that differ from its defaults."""
    start: str = ""
    """Safetensors with the weights to start from; there is no continuous phase then."""
    train_only: str = ""
    """The one part of the network that learns ("decoder"); with the decoder alone, codes stay."""
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
    weights: dict[str, float] = field(default_factory=dict)
    """Of the losses, where they differ from ``WEIGHTS``."""
    shares: dict[str, float] = field(default_factory=dict)
    """Of the gradient that each group of losses gets (EnCodec's balancer); without, none is
    balanced."""
    adversary: AdversaryRecipe | None = None
    bypass_share: float = 0.2
    """Share of items that pass unquantised."""
    full_share: float = 0.2
    """Share of items that use every codebook; the others draw a number of them."""
    ema: float = 0.999
    clip: float = 3.0
    """Largest gradient norm."""

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Parse a TOML file; ValueError where a key is unknown or a value makes no sense."""
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        try:
            if "adversary" in data:
                data["adversary"] = _filled(AdversaryRecipe, data["adversary"])
            recipe = _filled(cls, data)
            recipe.check()
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        return recipe

    def check(self) -> None:
        """Refuse what could only go wrong later."""
        if self.train_only not in ("", *TRAINABLE):
            raise ValueError(f"train_only {self.train_only!r}: only {', '.join(TRAINABLE)} can be")
        if self.train_only and not self.start:
            raise ValueError("train_only needs the weights of the rest: give start")

    def plain(self) -> dict[str, Any]:
        """The recipe as a dictionary, for checkpoints and logs."""
        return asdict(self)

    @property
    def unquantised(self) -> int:
        """Steps without quantiser: none where weights are given, which bring theirs."""
        return 0 if self.start else self.continuous

    def rate_at(self, step: int) -> float:
        """Learning rate: warm-up, again when the quantiser comes in; plateau; linear decay."""
        since = step if step < self.unquantised else step - self.unquantised
        return self.learning_rate * min(1.0, (since + 1) / self.warmup) * self.fall(step)

    def fall(self, step: int) -> float:
        """What the decay at the end leaves of a learning rate."""
        return min(1.0, (self.steps - step) / self.decay)


def _filled(kind: type[Any], data: Mapping[str, Any]) -> Any:
    known = {f.name for f in fields(kind)}
    unknown = sorted(set(data) - known)
    if unknown:
        raise ValueError(f"unknown {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    return kind(**data)
