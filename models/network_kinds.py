"""The kinds of networks that there are, by what they are given beside what they code."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from neucodec.models.parts.causal_state import PreparedChunk, StreamState


class Plain(Protocol):
    """A network that codes what it is given as a whole, without its neighbours."""

    def encode(self, audio: Tensor, codebooks: int) -> Tensor:
        """Encode audio [B, C, T] to codes [B, codebooks, F]."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """Decode codes [B, K, F] to audio [B, C, T]."""
        ...


class Reaching(Protocol):
    """A network that sees a known stretch of its neighbours around what it codes."""

    def encode(self, audio: Tensor, codebooks: int) -> Tensor:
        """Encode audio [B, C, T] to codes [B, codebooks, F]."""
        ...

    def decode(self, codes: Tensor, before: int, frames: int) -> Tensor:
        """Decode codes [B, K, F] to audio [B, C, frames * hop]: ``frames`` from ``before`` on."""
        ...


class Levelling(Protocol):
    """A network that codes segments and may bring each to its level.

    On a CPU the network itself keeps a segment's results from depending on the others'.
    """

    together: int
    """How many segments a CPU best codes at once."""

    def encode(self, audio: Tensor, codebooks: int) -> tuple[Tensor, Tensor | None]:
        """Encode audio [B, C, T] to codes [B, codebooks, ceil(T / hop)] and scales [B] or None."""
        ...

    def decode(self, codes: Tensor, scale: Tensor | None) -> Tensor:
        """Decode codes [B, K, F] and scales [B] to audio [B, C, F * hop]."""
        ...


class Streaming(Protocol):
    """A causal network that codes chunk after chunk, in two steps each.

    Preparing is quick and gives the state after the chunk, so that the next chunk can be prepared.
    Coding takes long, and may go on in several threads at once.
    """

    def prepare_encoding(
        self, audio: Tensor, state: StreamState | None, last: bool
    ) -> PreparedChunk:
        """Prepare to encode the next audio [B, C, T]; ``state`` is that after the chunk before."""
        ...

    def encode_prepared(self, chunk: PreparedChunk, codebooks: int) -> Tensor:
        """Encode a prepared chunk to codes [B, codebooks, F]."""
        ...

    def prepare_decoding(
        self, codes: Tensor, state: StreamState | None, last: bool
    ) -> PreparedChunk:
        """Prepare to decode the next codes [B, K, F]; ``state`` is that after the chunk before."""
        ...

    def decode_prepared(self, chunk: PreparedChunk) -> Tensor:
        """Decode a prepared chunk to audio [B, C, T]."""
        ...
