"""What a caller may choose of encoding and decoding. Importing this loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

RATE_MODES = ("nominal", "average")
"""What a bitrate means. ``nominal``: that of the codes as they are, all chunks having equally many
codebooks. ``average``: that of the whole file, each chunk having as many as that takes."""

ENTROPY_MODES = ("auto", "none", "adaptive", "lm")
"""How codes are squeezed. ``none``: not at all. ``adaptive``: by what a chunk has shown so far.
``lm``: by a model of the codec's codes. ``auto``: by such a model where the package has one for the
codec, else adaptive."""


@dataclass(frozen=True)
class EncodeOptions:
    """How to encode. One object goes from the command or the caller to the loop."""

    bitrate: float | None = None
    """Bitrate of the whole file in bit/s; the card's default where neither this nor ``codebooks``
    is given."""
    codebooks: int | None = None
    """Number of codebooks of every chunk."""
    rate_mode: str | None = None
    """What ``bitrate`` means, one of `RATE_MODES`. Unless given it is the average where there is a
    bitrate, codes are squeezed and the codec allows it."""
    mono: bool = False
    """Whether to mix all channels down to one."""
    threads: int | None = None
    """Threads to work in; as many as there are processors unless given."""
    tags: Mapping[str, str] | None = None
    """Vorbis comments instead of the source's own."""
    gain_db: float | None = None
    """Change of level before encoding, stored in the file and undone by decoding."""
    entropy: str = "auto"
    """How codes are squeezed, one of `ENTROPY_MODES`."""
    layer: bool = True
    """Whether chunks may have a layer beside their codes, where the codec gains by that."""


@dataclass(frozen=True)
class DecodeOptions:
    """How to decode. One object goes from the command or the caller to the loop."""

    start: float | None = None
    """Seconds at which to start; the beginning unless given."""
    end: float | None = None
    """Seconds at which to end; the end of the file unless given."""
    rate: int | None = None
    """Sample rate of the output in Hz, the source's unless given."""
    mono: bool = False
    """Whether to mix all channels down to one."""
    strict: bool = False
    """Whether to raise where chunks are damaged or missing instead of leaving silence."""
    threads: int | None = None
    """Threads to work in; as many as there are processors unless given."""
    any_weights: bool = False
    """Whether to decode even if the weights here are not those that the file was made with."""
