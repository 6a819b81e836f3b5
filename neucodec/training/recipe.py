"""Read what a training run is: the plain data of a recipe file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from neucodec.errors import NeucodecError
from neucodec.models.bounds import WIDTH, said

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass
class AdversaryRecipe:
    """Holds the table ``[adversary]``: discriminators, and how they are trained."""

    kinds: list[str] = field(default_factory=lambda: ["patches"])
    """Of: patches (ours), period and scale (HiFi-GAN's), bands (DAC's), stft (EnCodec's)."""
    windows: list[int] = field(default_factory=list)
    """Of those that look at spectra, where they differ from their papers'."""
    width: int = 0
    """Channels of their first layers (not of patches), where they differ from their papers'."""
    widths: list[int] = field(default_factory=lambda: [32, 64, 64])
    """Of the layers of patches."""
    normalise: bool = False
    """Hear every item without its mean and with a peak of 0.8, as DAC's do."""
    seconds: float = 0.0
    """Length of the piece of each item that they hear, drawn anew every step; 0 for all of it."""
    loss: str = "hinge"
    """Or "squares"."""
    features: str = "relative"
    """How feature distances are measured; or "absolute"."""
    learning_rate: float = 3e-4
    betas: list[float] = field(default_factory=lambda: [0.8, 0.99])
    clip: float = 1.0
    """Largest gradient norm."""
    chance: float = 1.0
    """Share of the steps, drawn by lot, in which they learn."""
    warmup: int = 0
    """Steps in which they learn, and the codec does not learn from them yet."""


@dataclass
class Recipe:
    """Holds every number of a run.

    Times are in steps unless said otherwise.
    """

    corpus: list[str]
    """Folders of audio, first-level folders being kinds drawn equally often."""
    system: str = "neu"
    """Which codec: one of ``SYSTEMS``."""
    model: dict[str, Any] = field(default_factory=dict)
    """Constructor arguments of the network that differ from its defaults."""
    start: str = ""
    """Safetensors with the weights to start from; there is no continuous phase then."""
    train_only: str = ""
    """The one part of the network that learns, as "decoder": with that alone, codes stay."""
    sample_rate: int = 44100
    seed: int = 1
    precision: str = "auto"
    """What networks compute in: "bfloat16", as far as torch takes that to be safe, "float32", or
    bfloat16 where the device has it in hardware."""
    steps: int = 12_000
    warmup: int = 200
    decay: int = 4_000
    """How many of the last steps bring the learning rate down to zero (linearly)."""
    learning_rate: float = 6e-4
    optimiser: str = "adamw"
    """Or "muon", which takes the matrices outside the quantiser."""
    betas: list[float] = field(default_factory=lambda: [0.8, 0.99])
    weight_decay: float = 1e-2
    """Of matrices and kernels; codebooks, offsets and gains have none."""
    batch: int = 8
    """Items per step (and process)."""
    seconds: float = 1.0
    """Length of an item, of systems that code it in one piece."""
    chunks: int = 2
    """Adjacent chunks per item, of systems that code chunks, so that the losses see the seam."""
    frames: int = 86
    """Frames per chunk."""
    continuous: int = 1000
    """Steps without quantiser, after which codebooks start by k-means (neu, spectokenizer)."""
    channel_bits: float = 0.0
    """Bits of each codebook that noise in the latent leaves room for in those steps, so that the
    networks learn to make do with as many; 0: no noise (neu, spectokenizer)."""
    restarts: list[int] = field(default_factory=list)
    """Later steps at which codebooks start by k-means anew, since the latent has moved on faster
    than they follow (neu, spectokenizer)."""
    bypass_share: float = 0.2
    """Share of items that pass unquantised (neu, spectokenizer)."""
    full_share: float = 0.2
    """Share of items that use every codebook; the others draw a number (neu, spectokenizer)."""
    dropout: float = 0.5
    """Share of items that draw their number of codebooks; the others use all (dac)."""
    least_coherence: float = 1.0
    """Bins count in the complex distance as far as they are coherent with the reference's, but no
    less than this; 1 counts all alike (neu)."""
    layer_share: float = 0.0
    """Share of items that a stand-in for the waveform layer mends before the losses see them
    (neu)."""
    weights: dict[str, float] = field(default_factory=dict)
    """Of the losses, where they differ from the system's."""
    shares: dict[str, float] = field(default_factory=dict)
    """Of the gradient that each group of losses gets (EnCodec's balancer); without, none is
    balanced."""
    adversary: AdversaryRecipe | None = None
    ema: float = 0.999
    """What the averaged weights, which are the result, keep of themselves in a step."""
    clip: float = 3.0
    """Largest gradient norm."""
    augment: bool = True
    """Vary what is excerpted, and mix in sounds that are made up."""
    validation: list[str] = field(default_factory=list)
    """Folders of audio that is held out."""
    metrics: list[str] = field(default_factory=lambda: ["mel", "si-sdr", "visqol"])
    """What to measure on it, of those that `neucodec evaluate` has; what is not installed is left
    out."""
    validate_every: int = 1000
    validation_items: int = 16
    log_every: int = 50

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Parse a TOML file; NeucodecError where it cannot be, or a key is unknown."""
        try:
            return cls.of(read_toml(path))
        except NeucodecError as error:
            raise NeucodecError(f"{path}: {error}") from None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Recipe:
        """Make a recipe of plain data, as `plain` gives it."""
        values = dict(data)
        if values.get("adversary") is not None:
            values["adversary"] = filled(AdversaryRecipe, values["adversary"])
        recipe: Recipe = filled(cls, values)
        length = max(recipe.seconds * recipe.sample_rate, recipe.chunks * recipe.frames)
        if recipe.batch * length > _MOST_SAMPLES:
            raise NeucodecError(
                f"batch {recipe.batch}: its items together have more than {_MOST_SAMPLES} samples"
            )
        return recipe

    def plain(self) -> dict[str, Any]:
        """Return the recipe as a dictionary, for checkpoints and logs."""
        return asdict(self)

    @property
    def unquantised(self) -> int:
        """Return the number of steps without quantiser: none where weights are given, which
        bring theirs.
        """
        return 0 if self.start else self.continuous

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step: warm-up, again when the quantiser comes in;
        plateau; linear decay.
        """
        since = step if step < self.unquantised else step - self.unquantised
        return self.learning_rate * min(1.0, (since + 1) / max(1, self.warmup)) * self.fall(step)

    def fall(self, step: int) -> float:
        """Return what the decay at the end leaves of a learning rate."""
        return min(1.0, (self.steps - step) / max(1, self.decay))


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file. Raises NeucodecError where it is none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise NeucodecError(f"no TOML: {' '.join(str(error).split())[:100]}") from None


def is_for_entropy(path: Path) -> bool:
    """Tell whether a recipe names a ``codec``: it is for an entropy model on that codec's codes."""
    try:
        return "codec" in read_toml(path)
    except NeucodecError:
        return False  # reading it as a codec's recipe says what is wrong


def filled(kind: type[Any], data: object) -> Any:
    """Make a recipe, or a table of one, of plain data. Raises NeucodecError for keys that it
    does not have and for values of other types or beyond their bounds.
    """
    if not isinstance(data, Mapping):
        raise NeucodecError(f"{said(data)} is no table")
    known = {f.name: f for f in fields(kind)}
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise NeucodecError(f"unknown {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    for name, f in known.items():
        if name not in data:
            if f.default is MISSING and f.default_factory is MISSING:
                raise NeucodecError(f"{name} is missing")
            continue
        _check(name, data[name], str(f.type))
    return kind(**data)


def _check(name: str, value: object, wanted: str) -> None:
    """Raise NeucodecError where a value is not of the type that a field is annotated with."""
    outer, _, inner = wanted.partition("[")
    kinds = _KINDS.get(outer, (object,))
    if not isinstance(value, kinds) or (isinstance(value, bool) and wanted != "bool"):
        raise NeucodecError(f"{name} is to be {wanted}, not {said(value)}")
    if isinstance(value, list):
        most = _MOST_FOLDERS if inner == "str]" else _MOST_ENTRIES
        if len(value) > most:
            raise NeucodecError(f"{name} has {len(value)} entries: {most} are possible")
        if name == "betas" and len(value) != 2:
            raise NeucodecError(f"betas is to be two numbers, not {said(value)}")
        for each in value:
            _check(name, each, inner.rstrip("]"))
    elif isinstance(value, dict) and name not in ("model", "adversary"):
        for key, each in value.items():
            _check(f"{name} {said(key)}", each, "float")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = _BOUNDS.get(name, (0, _HIGHEST))
        if not low <= value <= high:  # which no NaN is
            raise NeucodecError(f"{name} is to be from {low} to {high}, not {said(value)}")


_KINDS: dict[str, tuple[type[Any], ...]] = {
    "int": (int,), "float": (int, float), "str": (str,), "bool": (bool,), "list": (list,),
    "dict": (dict,),
}  # fmt: skip
_HIGHEST = 2**31 - 1
_BOUNDS: dict[str, tuple[float, float]] = {
    "sample_rate": (1, 2**24), "batch": (1, 2**16), "seconds": (0, 600), "chunks": (1, 2**12),
    "frames": (1, 2**16), "betas": (0, 1), "ema": (0, 1), "chance": (0, 1), "width": (0, WIDTH),
    "widths": (1, WIDTH), "windows": (16, 2**16), "shard": (1, 2**20), "shards": (1, 2**20),
    "dropout": (0, 1), "log_every": (1, _HIGHEST), "validate_every": (1, _HIGHEST),
    "validate": (1, _HIGHEST), "validation_items": (1, 2**20), "steps": (1, _HIGHEST),
}  # fmt: skip
_MOST_FOLDERS, _MOST_ENTRIES = 10_000, 64
_MOST_SAMPLES = 2**28
"""Of all items of a step: a gigabyte of them as they are read."""
