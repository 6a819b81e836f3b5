"""Cards: what is to be known about a checkpoint before (and without) loading it."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field, fields
from importlib.resources import files
from typing import Any

from .errors import ModelError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, kw_only=True)
class Card:
    """One checkpoint, as its TOML file under ``cards/`` says. Samples are at the model's rate."""

    name: str
    family: str
    """Module and network that the weights belong to."""
    title: str
    sample_rate: int
    """Hz."""
    channels: int
    """Channels that the network takes at once: a mono codec codes each channel by itself."""
    hop: int
    """Samples per frame."""
    codebooks: int
    """Codebooks at the highest bitrate; any smaller number gives a lower one."""
    codebook_size: int
    default_codebooks: int
    chunk_frames: int
    """Frames in a whole chunk."""
    chunk_stride: int
    """Samples from one chunk's start to the next's."""
    chunk_context: int
    """Real samples that coding sees, and decoding fills, on either side of a chunk's own."""
    level: str = "rms"
    """``rms``: each chunk is brought to unit RMS and the scale stored; ``none``: as it comes."""
    parameters: int
    license_code: str
    license_weights: str
    paper: str = ""
    weights: str
    """File name of the weights."""
    sha256: str
    """SHA-256 of that file, lower-case hexadecimal."""
    embedded: bool = False
    """Whether the weights are part of the package."""
    config: dict[str, Any] = field(default_factory=dict)
    """Constructor arguments of the network that differ from its defaults."""

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop

    @property
    def code_bits(self) -> int:
        """Bits of a code as stored without an entropy coder."""
        return max(1, math.ceil(math.log2(self.codebook_size)))

    @property
    def fingerprint(self) -> bytes:
        """First 8 bytes of the weights' SHA-256: what a file that needs them carries."""
        return bytes.fromhex(self.sha256)[:8]

    def streams(self, channels: int) -> int:
        """Code streams for a signal of that many channels."""
        return -(-channels // self.channels)

    def bitrate(self, codebooks: int, channels: int = 1) -> float:
        """Nominal bit/s of a signal of that many channels."""
        return self.streams(channels) * codebooks * self.code_bits * self.frame_rate

    def bitrates(self, channels: int = 1) -> list[float]:
        """Every nominal bitrate, lowest first, in bit/s."""
        return [self.bitrate(k, channels) for k in range(1, self.codebooks + 1)]

    @classmethod
    def parse(cls, text: str, source: str) -> Card:
        """Read a card's TOML; ``source`` names it in errors."""
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ModelError(f"{source}: not a card: {error}") from None
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ModelError(f"{source}: a card has no {', '.join(unknown)}")
        try:
            return cls(**data)
        except TypeError as error:
            raise ModelError(f"{source}: incomplete card: {error}") from None


def cards() -> dict[str, Card]:
    """All cards in the package, by name."""
    folder = files(__package__) / "cards"
    found = sorted((p for p in folder.iterdir() if p.name.endswith(".toml")), key=lambda p: p.name)
    parsed = (Card.parse(p.read_text(encoding="utf-8"), p.name) for p in found)
    return {card.name: card for card in parsed}


def find_card(name: str) -> Card:
    """The card of that name."""
    known = cards()
    if name not in known:
        raise ModelError(f"no model is called {name!r}; there are {', '.join(known)}")
    return known[name]
