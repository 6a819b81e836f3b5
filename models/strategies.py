"""Networks behind the one interface of all codecs, one class for each way in which chunks meet.

What the card calls the strategy; `neucodec.models.catalogue.card.STRATEGIES` has them in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from neucodec.models.catalogue.card import Card
from neucodec.models.parts.causal_state import Step, StreamState
from neucodec.models.parts.fingerprint import fingerprint
from neucodec.models.parts.single_thread import single_thread

from .batching import apart, batch_for, one_by_one
from .codec import AudioChunk, CodeChunk, State


class Plain(Protocol):
    """A network that codes what it is given, whole."""

    def encode(self, audio: Tensor, codebooks: int) -> Tensor:
        """Audio [B, C, T] to codes [B, codebooks, F]."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, K, F] to audio [B, C, T]."""
        ...


class Reaching(Protocol):
    """A network that sees a known stretch of its neighbours around what it codes."""

    def encode(self, audio: Tensor, codebooks: int) -> Tensor:
        """Audio [B, C, T] to codes [B, codebooks, F]."""
        ...

    def decode(self, codes: Tensor, before: int, frames: int) -> Tensor:
        """Codes [B, K, F] to audio [B, C, frames * hop], of the frames from ``before`` on."""
        ...


class Levelling(Protocol):
    """A network that codes segments and may bring each to its level.

    On a CPU it sees to it by itself that a segment's results do not depend on the others'.
    """

    together: int
    """Segments that a CPU best codes at once."""

    def encode(self, audio: Tensor, codebooks: int) -> tuple[Tensor, Tensor | None]:
        """Audio [B, C, T] to codes [B, codebooks, ceil(T / hop)] and scales [B] or None."""
        ...

    def decode(self, codes: Tensor, scale: Tensor | None) -> Tensor:
        """Codes [B, K, F] and scales [B] to audio [B, C, F * hop]."""
        ...


class Streaming(Protocol):
    """A causal network that codes chunk after chunk."""

    def encoding_step(self, audio: Tensor, state: StreamState | None, last: bool) -> Step:
        """The place of the next audio [B, C, T], quickly."""
        ...

    def encode_step(self, step: Step, codebooks: int) -> Tensor:
        """What is there for coding to codes [B, codebooks, F]."""
        ...

    def decoding_step(self, codes: Tensor, state: StreamState | None, last: bool) -> Step:
        """The place of the next codes [B, K, F], quickly."""
        ...

    def decode_step(self, step: Step) -> Tensor:
        """What is there for coding to audio [B, C, T]."""
        ...


N = TypeVar("N", Plain, Reaching, Levelling, Streaming)


class Loaded(Generic[N]):
    """A network on its device, with its card."""

    def __init__(self, card: Card, network: N, device: torch.device) -> None:
        module = cast(nn.Module, network)
        module.to(device).eval().requires_grad_(False)
        self.card, self.device = card, device
        self.network: N = network
        self.fingerprint = fingerprint(module)
        self.batch = batch_for(device)

    def window(self, frames: int) -> Tensor:
        """Chunks that do not overlap weigh one all through."""
        return torch.ones(frames * self.card.hop)


class ContextCodec(Loaded[Reaching]):
    """Codes a chunk amid its neighbours, and drops what comes out for them."""

    @torch.inference_mode()
    def encode(
        self, chunk: AudioChunk, codebooks: int, state: State = None
    ) -> tuple[CodeChunk, State]:
        """Codes of the whole signal; context is a whole number of frames."""
        audio = chunk.audio.to(self.device)
        codes = one_by_one(lambda one: self.network.encode(one, codebooks), audio)
        first = chunk.before // self.card.hop
        own = codes[..., first : first + chunk.frames].cpu()
        return CodeChunk(codes=own, frames=chunk.frames), None

    @torch.inference_mode()
    def decode(self, chunk: CodeChunk, state: State = None) -> tuple[Tensor, State]:
        """Audio [B, C, frames * hop] of the whole signal."""
        before, frames = chunk.before, chunk.frames
        return one_by_one(
            lambda one: self.network.decode(one, before, frames), chunk.codes.to(self.device)
        ).cpu(), None


States = tuple[StreamState, ...]
"""Where the streams of a signal stand between two chunks; one for all that a GPU codes together."""


@dataclass(frozen=True)
class Turn:
    """A chunk's place in its signal: a step of each stream that is computed by itself."""

    steps: tuple[Step, ...]

    @property
    def after(self) -> States:
        """Where the streams stand after the chunk; complete once it is coded."""
        return tuple(step.after for step in self.steps)


class StreamCodec(Loaded[Streaming]):
    """Codes one chunk after the other, with the network's own state.

    Several may be coded at once: `encoding` and `decoding` say in the stream's order where each
    chunk stands, and `encode` and `decode` take that in place of a state, in threads that start in
    the same order.
    """

    def __init__(self, card: Card, network: Streaming, device: torch.device) -> None:
        super().__init__(card, network, device)
        self.batch = 1

    @torch.inference_mode()
    def encoding(self, chunk: AudioChunk, before: State) -> State:
        """Where a chunk stands, behind the one whose place is ``before`` (None for the first)."""
        return self._encoding(chunk, _after(before))

    @torch.inference_mode()
    def decoding(self, chunk: CodeChunk, before: State) -> State:
        """The same for `decode`."""
        return self._decoding(chunk, _after(before))

    @torch.inference_mode()
    def encode(
        self, chunk: AudioChunk, codebooks: int, state: State = None
    ) -> tuple[CodeChunk, State]:
        """Codes of the whole signal."""
        turn = state if isinstance(state, Turn) else self._encoding(chunk, state)
        with single_thread():
            codes = torch.cat([self.network.encode_step(step, codebooks) for step in turn.steps])
        return CodeChunk(codes=codes.cpu(), frames=chunk.frames), turn.after

    @torch.inference_mode()
    def decode(self, chunk: CodeChunk, state: State = None) -> tuple[Tensor, State]:
        """Audio [B, C, frames * hop] of the whole signal."""
        turn = state if isinstance(state, Turn) else self._decoding(chunk, state)
        with single_thread():
            audio = torch.cat([self.network.decode_step(step) for step in turn.steps])
        return audio.cpu(), turn.after

    def _encoding(self, chunk: AudioChunk, state: State) -> Turn:
        parts = apart(chunk.audio.to(self.device))
        step, last = self.network.encoding_step, chunk.last
        pairs = zip(parts, _states(state, len(parts)), strict=True)
        return Turn(tuple(step(part, before, last) for part, before in pairs))

    def _decoding(self, chunk: CodeChunk, state: State) -> Turn:
        parts = apart(chunk.codes.to(self.device))
        step, last = self.network.decoding_step, chunk.last
        pairs = zip(parts, _states(state, len(parts)), strict=True)
        return Turn(tuple(step(part, before, last) for part, before in pairs))


def give_up(place: State) -> None:
    """Cancel a chunk's turn: chunks that wait for what it would have left raise RuntimeError."""
    for step in place.steps if isinstance(place, Turn) else ():
        if step.carry:
            step.carry.after.end()


def _after(place: State) -> State:
    return place.after if isinstance(place, Turn) else None


def _states(state: State, count: int) -> tuple[StreamState | None, ...]:
    return (None,) * count if state is None else cast("States", state)


class SegmentCodec(Loaded[Levelling]):
    """Codes each segment by itself, and fades linearly from one to the next."""

    def __init__(self, card: Card, network: Levelling, device: torch.device) -> None:
        super().__init__(card, network, device)
        self.batch = batch_for(device, network.together)

    @torch.inference_mode()
    def encode(
        self, chunk: AudioChunk, codebooks: int, state: State = None
    ) -> tuple[CodeChunk, State]:
        """Codes and scales of a segment."""
        with single_thread():
            codes, scales = self.network.encode(chunk.audio.to(self.device), codebooks)
        return CodeChunk(
            codes=codes.cpu(),
            frames=chunk.frames,
            scales=None if scales is None else scales.float().cpu(),
        ), None

    @torch.inference_mode()
    def decode(self, chunk: CodeChunk, state: State = None) -> tuple[Tensor, State]:
        """Audio [B, C, frames * hop], weighted by `window`."""
        scales = None if chunk.scales is None else chunk.scales.to(self.device)
        with single_thread():
            audio = self.network.decode(chunk.codes.to(self.device), scales)
        return audio.cpu() * self.window(chunk.frames), None

    def window(self, frames: int) -> Tensor:
        """Weight [frames * hop]: that of a whole segment, cut off where a shorter one ends."""
        card = self.card
        length = card.chunk_frames * card.hop
        overlap = length - card.chunk_stride
        # Never quite 0 or 1, as upstream has it.
        fade = torch.arange(1, overlap + 1) / (overlap + 1)
        weight = torch.cat([fade, torch.ones(length - 2 * overlap), fade.flip(0)])
        return weight[: frames * card.hop]


class OverlapCodec(Loaded[Plain]):
    """Codes each chunk by itself, with real samples around it and windows of its own."""

    def __init__(self, card: Card, network: Plain, device: torch.device, fade: Tensor) -> None:
        """``fade`` [2 * context] is what a decoded chunk's windows come to at its start."""
        super().__init__(card, network, device)
        self.fade = fade.detach().cpu()

    @torch.inference_mode()
    def encode(
        self, chunk: AudioChunk, codebooks: int, state: State = None
    ) -> tuple[CodeChunk, State]:
        """Codes of audio [B, C, frames * hop + 2 * context]."""
        audio = chunk.audio.to(self.device)
        codes = one_by_one(lambda one: self.network.encode(one, codebooks), audio)
        return CodeChunk(codes=codes.cpu(), frames=chunk.frames), None

    @torch.inference_mode()
    def decode(self, chunk: CodeChunk, state: State = None) -> tuple[Tensor, State]:
        """Audio [B, C, frames * hop + 2 * context], ready to overlap-add."""
        return one_by_one(self.network.decode, chunk.codes.to(self.device)).cpu(), None

    def window(self, frames: int) -> Tensor:
        """Weight [frames * hop + 2 * context]."""
        return between_fades(frames * self.card.hop + len(self.fade), self.fade)


def between_fades(width: int, fade: Tensor) -> Tensor:
    """Ones [width] with a fade-in at the start and its complement at the end."""
    weight = torch.ones(width)
    weight[: len(fade)] += fade - 1
    weight[-len(fade) :] -= fade
    return weight
