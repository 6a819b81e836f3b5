"""Define the one interface that every codec meets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from neucodec.models.catalogue.card import Card

State = object
"""State that a codec carries from one chunk to the next: None before the first chunk, and always
where chunks are independent."""


@dataclass(frozen=True, kw_only=True)
class AudioChunk:
    """Audio to be encoded: float32 at the card's sample rate, levelled as the card says."""

    audio: Tensor
    """Samples [B, C, before + own + after]; own is ``frames * hop``, in the last chunk perhaps
    less."""
    before: int
    """How many samples of real context stand before the chunk's own."""
    frames: int
    """How many frames are to be coded."""
    last: bool
    """Whether the signal ends with this chunk."""


@dataclass(frozen=True, kw_only=True)
class CodeChunk:
    """Codes of a chunk, as encoding gives them and decoding takes them."""

    codes: Tensor
    """Codes [B, K, before + frames + after], int64."""
    frames: int
    """How many frames are the chunk's own."""
    before: int = 0
    """How many frames of real context stand before the chunk's own; encoding gives none."""
    scales: Tensor | None = None
    """Scales [B], float32, of codecs that level chunks themselves; None for the others."""
    first: bool = False
    """Whether the signal begins with this chunk."""
    last: bool = False
    """Whether the signal ends with this chunk."""


class Codec(Protocol):
    """A loaded checkpoint, which turns chunks of audio into codes and back.

    `encode` and `decode` take batches of chunks of equal length; on a CPU the results of a chunk do
    not depend on what else is in the batch (docs/determinism.md). Several threads may call them at
    once, except on codecs with a state.
    """

    card: Card
    """What is known of the checkpoint."""
    fingerprint: bytes
    """8 bytes that tell these weights from others, and stand in files that need them."""
    batch: int
    """How many chunks are best coded at once, see `neucodec.models.batching`."""

    def encode(
        self, chunk: AudioChunk, codebooks: int, state: State = None
    ) -> tuple[CodeChunk, State]:
        """Return codes [B, codebooks, frames] of the chunk's own frames, and the state after it."""
        ...

    def decode(self, chunk: CodeChunk, state: State = None) -> tuple[Tensor, State]:
        """Return audio [B, C, width] of the chunk's own frames, and the state after it.

        Where adjacent chunks overlap, the audio is weighted by `window`, ready to be added.
        """
        ...

    def window(self, frames: int) -> Tensor:
        """Return the weight [width] of each sample of a decoded chunk of ``frames`` frames."""
        ...

    def prepare_encoding(self, chunk: AudioChunk, before: State) -> State:
        """Return what `encode` takes as the state of this chunk, in the order of the signal.

        ``before`` is what this returned of the chunk before, None for the first. With it chunks of
        a codec with a state can be encoded in several threads, started in that order. None where
        chunks are independent.
        """
        ...

    def prepare_decoding(self, chunk: CodeChunk, before: State) -> State:
        """Return what `decode` takes as the state of this chunk; see `prepare_encoding`."""
        ...


class IndependentChunks:
    """Mixed into codecs that code each chunk by itself: there is no state."""

    def prepare_encoding(self, chunk: AudioChunk, before: State) -> State:
        """Return None: `encode` takes no state."""
        return None

    def prepare_decoding(self, chunk: CodeChunk, before: State) -> State:
        """Return None: `decode` takes no state."""
        return None
