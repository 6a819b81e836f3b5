"""The one interface that every codec meets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from neucodec.models.catalogue.card import Card

State = object
"""What a codec carries from one chunk to the next; None before the first, and for ever where
chunks are independent."""


@dataclass(frozen=True, kw_only=True)
class AudioChunk:
    """Audio to be encoded: float32 at the card's sample rate, levelled as the card says."""

    audio: Tensor
    """[B, C, before + own + after]; own is ``frames * hop``, in the last chunk perhaps less."""
    before: int
    """Samples of real context before the chunk's own."""
    frames: int
    """Frames to be coded."""
    last: bool
    """Whether the signal ends with this chunk."""


@dataclass(frozen=True, kw_only=True)
class CodeChunk:
    """Codes of a chunk, as encoding gives them and decoding takes them."""

    codes: Tensor
    """[B, K, before + frames + after], int64."""
    frames: int
    """Frames of the chunk's own."""
    before: int = 0
    """Frames of real context before them; encoding gives none."""
    scales: Tensor | None = None
    """[B], float32, where the codec levels chunks itself."""
    first: bool = False
    """Whether the signal begins with this chunk."""
    last: bool = False
    """Whether it ends with this chunk."""


class Codec(Protocol):
    """A loaded checkpoint: chunks of audio to codes and back.

    Both verbs take batches of equal-length chunks; results do not depend on what else is in the
    batch. They may be called from several threads at once, but for codecs with a state.
    """

    card: Card
    fingerprint: bytes
    """8 bytes that tell these weights from others: what a file that needs them carries."""
    batch: int
    """How many chunks are best coded at once, see `neucodec.models.batching`."""

    def encode(
        self, chunk: AudioChunk, codebooks: int, state: State = None
    ) -> tuple[CodeChunk, State]:
        """Codes [B, codebooks, frames] of the chunk's own frames, and the state after it."""
        ...

    def decode(self, chunk: CodeChunk, state: State = None) -> tuple[Tensor, State]:
        """Audio [B, C, width] of the chunk's own frames, and the state after it.

        Where adjacent chunks overlap it is weighted by `window`, ready to be added to theirs.
        """
        ...

    def window(self, frames: int) -> Tensor:
        """Weight [width] of each sample of a decoded chunk of so many frames."""
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
