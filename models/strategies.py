"""Put networks behind the interface of all codecs: one class for each way in which chunks meet.

A card names the way as its strategy; `neucodec.models.catalogue.card.STRATEGIES` explains them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from neucodec.models.catalogue.card import Card
from neucodec.models.parts.causal_state import PreparedChunk, StreamState
from neucodec.models.parts.fingerprint import fingerprint
from neucodec.models.parts.single_thread import single_thread

from .batching import apart, batch_for, one_by_one
from .codec import AudioChunk, CodeChunk, IndependentChunks, State
from .network_kinds import Levelling, Plain, Reaching, Streaming

N = TypeVar("N", Plain, Reaching, Levelling, Streaming)


class Loaded(IndependentChunks, Generic[N]):
    """A network on its device, with its card: what all strategies share."""

    def __init__(self, card: Card, network: N, device: torch.device) -> None:
        module = cast(nn.Module, network)
        module.to(device).eval().requires_grad_(False)
        self.card, self.device = card, device
        self.network: N = network
        self.fingerprint = fingerprint(module)
        self.batch = batch_for(device)

    def window(self, frames: int) -> Tensor:
        """Return ones [frames * hop]: chunks that do not overlap weigh the same throughout."""
        return torch.ones(frames * self.card.hop)


class ContextCodec(Loaded[Reaching]):
    """Codec for networks with a known receptive field.

    It codes a chunk with real samples or codes of its neighbours around it, and drops what comes
    out for those, so that a signal's codes and audio are those of the whole.
    """

    @torch.inference_mode()
    def encode(
        self, chunk: AudioChunk, codebooks: int, state: State = None
    ) -> tuple[CodeChunk, State]:
        """Encode a chunk; see `Codec.encode`. Its context is a whole number of frames."""
        audio = chunk.audio.to(self.device)
        codes = one_by_one(lambda one: self.network.encode(one, codebooks), audio)
        first = chunk.before // self.card.hop
        own = codes[..., first : first + chunk.frames].cpu()
        return CodeChunk(codes=own, frames=chunk.frames), None

    @torch.inference_mode()
    def decode(self, chunk: CodeChunk, state: State = None) -> tuple[Tensor, State]:
        """Decode a chunk to audio [B, C, frames * hop]; see `Codec.decode`."""
        before, frames = chunk.before, chunk.frames
        return one_by_one(
            lambda one: self.network.decode(one, before, frames), chunk.codes.to(self.device)
        ).cpu(), None


StreamStates = tuple[StreamState, ...]
"""State between two chunks of each part of a batch that is computed by itself, see `apart`."""


@dataclass(frozen=True)
class PreparedChunks:
    """A chunk of a signal that is ready to be coded, split as `apart` splits a batch."""

    parts: tuple[PreparedChunk, ...]

    @property
    def after(self) -> StreamStates:
        """State after the chunk, complete once the chunk is coded."""
        return tuple(part.after for part in self.parts)


class StreamCodec(Loaded[Streaming]):
    """Codec for causal networks, which codes one chunk after the other with a state between them.

    Chunks can be coded in several threads at once: prepare them in the order of the stream, and
    give `encode` and `decode` what comes out in place of a state, in threads that start in the same
    order::

        prepared = None
        for chunk in chunks:
            prepared = codec.prepare_encoding(chunk, prepared)
            pool.submit(codec.encode, chunk, codebooks, prepared)
    """

    def __init__(self, card: Card, network: Streaming, device: torch.device) -> None:
        super().__init__(card, network, device)
        self.batch = 1

    @torch.inference_mode()
    def prepare_encoding(self, chunk: AudioChunk, before: State) -> State:
        """Prepare a chunk for `encode`; ``before`` is the chunk before it as prepared, or None."""
        return self._prepare_encoding(chunk, _after(before))

    @torch.inference_mode()
    def prepare_decoding(self, chunk: CodeChunk, before: State) -> State:
        """Prepare a chunk for `decode`; ``before`` is the chunk before it as prepared, or None."""
        return self._prepare_decoding(chunk, _after(before))

    @torch.inference_mode()
    def encode(
        self, chunk: AudioChunk, codebooks: int, state: State = None
    ) -> tuple[CodeChunk, State]:
        """Encode a chunk; see `Codec.encode`. ``state`` may be the chunk itself as prepared."""
        prepared = (
            state if isinstance(state, PreparedChunks) else self._prepare_encoding(chunk, state)
        )
        with single_thread():
            codes = torch.cat(
                [self.network.encode_prepared(part, codebooks) for part in prepared.parts]
            )
        return CodeChunk(codes=codes.cpu(), frames=chunk.frames), prepared.after

    @torch.inference_mode()
    def decode(self, chunk: CodeChunk, state: State = None) -> tuple[Tensor, State]:
        """Decode a chunk to audio [B, C, frames * hop]; ``state`` as in `encode`."""
        prepared = (
            state if isinstance(state, PreparedChunks) else self._prepare_decoding(chunk, state)
        )
        with single_thread():
            audio = torch.cat([self.network.decode_prepared(part) for part in prepared.parts])
        return audio.cpu(), prepared.after

    def _prepare_encoding(self, chunk: AudioChunk, state: State) -> PreparedChunks:
        parts = apart(chunk.audio.to(self.device))
        prepare, last = self.network.prepare_encoding, chunk.last
        pairs = zip(parts, _states(state, len(parts)), strict=True)
        return PreparedChunks(tuple(prepare(part, before, last) for part, before in pairs))

    def _prepare_decoding(self, chunk: CodeChunk, state: State) -> PreparedChunks:
        parts = apart(chunk.codes.to(self.device))
        prepare, last = self.network.prepare_decoding, chunk.last
        pairs = zip(parts, _states(state, len(parts)), strict=True)
        return PreparedChunks(tuple(prepare(part, before, last) for part, before in pairs))


def cancel(prepared: State) -> None:
    """Cancel a prepared chunk: chunks that wait for its layer states raise RuntimeError.

    Other states, and None, are left as they are.
    """
    for part in prepared.parts if isinstance(prepared, PreparedChunks) else ():
        if part.carry:
            part.carry.after.end()


def _after(prepared: State) -> State:
    return prepared.after if isinstance(prepared, PreparedChunks) else None


def _states(state: State, count: int) -> tuple[StreamState | None, ...]:
    return (None,) * count if state is None else cast("StreamStates", state)


class SegmentCodec(Loaded[Levelling]):
    """Codec that codes each segment by itself, and fades linearly from one to the next."""

    def __init__(self, card: Card, network: Levelling, device: torch.device) -> None:
        super().__init__(card, network, device)
        self.batch = batch_for(device, network.together)

    @torch.inference_mode()
    def encode(
        self, chunk: AudioChunk, codebooks: int, state: State = None
    ) -> tuple[CodeChunk, State]:
        """Encode a segment to codes and perhaps scales; see `Codec.encode`."""
        with single_thread():
            codes, scales = self.network.encode(chunk.audio.to(self.device), codebooks)
        return CodeChunk(
            codes=codes.cpu(),
            frames=chunk.frames,
            scales=None if scales is None else scales.float().cpu(),
        ), None

    @torch.inference_mode()
    def decode(self, chunk: CodeChunk, state: State = None) -> tuple[Tensor, State]:
        """Decode a segment to audio [B, C, frames * hop], weighted by `window`."""
        scales = None if chunk.scales is None else chunk.scales.to(self.device)
        with single_thread():
            audio = self.network.decode(chunk.codes.to(self.device), scales)
        return audio.cpu() * self.window(chunk.frames), None

    def window(self, frames: int) -> Tensor:
        """Return the weight [frames * hop] of a segment; a shorter one's is cut off at its end."""
        card = self.card
        length = card.chunk_frames * card.hop
        overlap = length - card.chunk_stride
        # Never quite 0 or 1, as upstream has it.
        fade = torch.arange(1, overlap + 1) / (overlap + 1)
        weight = torch.cat([fade, torch.ones(length - 2 * overlap), fade.flip(0)])
        return weight[: frames * card.hop]


class OverlapCodec(Loaded[Plain]):
    """Codec that codes each chunk by itself, with real samples around it, joined by windows."""

    def __init__(self, card: Card, network: Plain, device: torch.device, fade: Tensor) -> None:
        """Take ``fade`` [2 * context], the sum of a decoded chunk's windows at its start."""
        super().__init__(card, network, device)
        self.fade = fade.detach().cpu()

    @torch.inference_mode()
    def encode(
        self, chunk: AudioChunk, codebooks: int, state: State = None
    ) -> tuple[CodeChunk, State]:
        """Encode audio [B, C, frames * hop + 2 * context]; see `Codec.encode`."""
        audio = chunk.audio.to(self.device)
        codes = one_by_one(lambda one: self.network.encode(one, codebooks), audio)
        return CodeChunk(codes=codes.cpu(), frames=chunk.frames), None

    @torch.inference_mode()
    def decode(self, chunk: CodeChunk, state: State = None) -> tuple[Tensor, State]:
        """Decode a chunk to audio [B, C, frames * hop + 2 * context], ready to overlap-add."""
        return one_by_one(self.network.decode, chunk.codes.to(self.device)).cpu(), None

    def window(self, frames: int) -> Tensor:
        """Return the weight [frames * hop + 2 * context] of a chunk's samples."""
        return between_fades(frames * self.card.hop + len(self.fade), self.fade)


def between_fades(width: int, fade: Tensor) -> Tensor:
    """Return ones [width] with ``fade`` at the start and its complement at the end."""
    weight = torch.ones(width)
    weight[: len(fade)] += fade - 1
    weight[-len(fade) :] -= fade
    return weight
