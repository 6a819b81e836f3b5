"""Give those who work with tensors a loaded codec: whole signals to codes and back, batched."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from neucodec.audio.samples import LOUDEST, Audio
from neucodec.coding.bitrate import codebooks_for
from neucodec.coding.chunks import ChunkSplitter, Geometry, OverlapAdder, Piece
from neucodec.coding.levels import normalise
from neucodec.models import Card

from .arguments import number, whole_number
from .errors import GivenTypeError, GivenValueError
from .tokens import Tokens, checked_tokens

if TYPE_CHECKING:
    from torch import Tensor

    from neucodec.models import Codec, CodeChunk, State


class Model:
    """Codes tensors. Safe to share between threads; results do not depend on what else is in a
    batch.
    """

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        """What `neucodec.encode` and `neucodec.decode` run, chunk by chunk."""
        self._geometry = Geometry.of(codec.card)

    @property
    def card(self) -> Card:
        """Return all that is to be known about the model, its licence included."""
        return self.codec.card

    @property
    def name(self) -> str:
        """Return the name that files carry."""
        return self.card.name

    @property
    def sample_rate(self) -> int:
        """Return the sample rate in Hz of the audio that goes in and comes out."""
        return self.card.sample_rate

    @property
    def frame_rate(self) -> float:
        """Return the number of frames of codes per second."""
        return self.card.sample_rate / self.card.hop

    @property
    def codebooks(self) -> int:
        """Return the largest number of codebooks."""
        return self.card.codebooks

    @property
    def codebook_size(self) -> int:
        """Return the number of entries of each codebook; codes are below it."""
        return self.card.codebook_size

    def encode(
        self, audio: Tensor, *, bitrate: float | None = None, codebooks: int | None = None
    ) -> Tokens:
        """Audio [batch, channels, samples], floats at the model's rate with full scale 1, to codes.

        A mono codec codes every channel as a stream of its own, a stereo codec two channels as
        one. ``bitrate`` is nominal, in bit/s, of all channels together; without it and
        ``codebooks`` the model's usual number is used. Raises NeucodecError for what cannot be.
        """
        import torch

        if not isinstance(audio, torch.Tensor):
            raise GivenTypeError(
                f"audio given as {type(audio).__name__}: give a tensor of floats "
                "[batch, channels, samples]"
            )
        if audio.ndim != 3 or not audio.is_floating_point() or not audio.numel():
            raise GivenValueError(
                f"audio of shape {list(audio.shape)} and {audio.dtype}: give floats "
                "[batch, channels, samples], at least one of each"
            )
        if not bool(torch.isfinite(audio).all()):
            raise GivenValueError("audio with NaN or infinity in it: give finite samples")
        if (most := float(audio.abs().max())) > LOUDEST:
            raise GivenValueError(
                f"samples up to {most:g}: give floats, full scale being 1 and {LOUDEST:g} the most"
            )
        batch, channels, samples = audio.shape
        lacking = -channels % self.card.channels
        count = self._count(channels, bitrate, codebooks)
        filled = torch.cat([audio, audio[:, -1:].expand(-1, lacking, -1)], dim=1)
        signal = filled.detach().reshape(-1, samples).float().cpu().numpy()
        codes, scales, state = [], [], None
        for piece in self._pieces(signal):
            chunk, scale, state = self._encode(piece, count, state)
            codes.append(chunk.codes)
            scales.append(scale)
        whole = torch.cat(codes, dim=-1)
        levels = [scale for scale in scales if scale is not None]
        return Tokens(
            whole.reshape(batch, -1, *whole.shape[1:]),
            torch.stack(levels, dim=-1).reshape(batch, -1, len(levels)) if levels else None,
            samples,
        )

    def decode(self, tokens: Tokens) -> Tensor:
        """Codes to audio [batch, channels, samples], float32.

        Raises GivenValueError, a ValueError, for what no encoder gives: codes outside of their
        codebooks (-1, as ``neucodec tokens`` writes where there are none, is one), scales that are
        not one for each chunk, more samples than the codes have.
        """
        import torch

        from neucodec.coding.chunk_decoder import window_of

        card, g = self.card, self._geometry
        samples = checked_tokens(tokens, card, g)
        batch, streams = tokens.codes.shape[:2]
        codes = tokens.codes.flatten(0, 1).cpu().long()
        scales = None if tokens.scales is None else tokens.scales.flatten(0, 1).cpu().float()
        window = lru_cache(maxsize=2)(partial(window_of, self.codec))
        adder = OverlapAdder(g, batch * streams * card.channels, window)
        parts: list[Audio] = []
        state: State = None
        starts = range(0, codes.shape[-1], g.frames)
        for index, start in enumerate(starts):
            own = min(g.frames, codes.shape[-1] - start)
            before = min(start, g.code_context)
            seen = codes[..., start - before : start + own + g.code_context]
            level = None if scales is None else scales[:, index]
            ends = index == 0, index == len(starts) - 1
            audio, state = self._decode(seen, own, before, level, ends, state)
            joined = audio.reshape(-1, audio.shape[-1]).numpy()
            parts.append(adder.push(index, joined, own))
        parts.append(adder.finish())
        whole = torch.from_numpy(np.concatenate(parts, axis=1)[:, :samples].copy())
        return whole.reshape(batch, streams * card.channels, -1)

    def _count(self, channels: int, bitrate: float | None, codebooks: int | None) -> int:
        if codebooks is None:
            if bitrate is None:
                return self.card.default_codebooks
            return codebooks_for(self.card, channels, number("bitrate", bitrate))
        codebooks = whole_number("codebooks", codebooks, 1)
        if problem := self.card.no_codebooks(codebooks):
            raise GivenValueError(problem)
        return codebooks

    def _pieces(self, signal: Audio) -> Iterator[Piece]:
        splitter, step = ChunkSplitter(self._geometry, len(signal)), self.sample_rate
        for start in range(0, signal.shape[1], step):
            yield from splitter.push(signal[:, start : start + step])
        yield from splitter.finish()

    def _encode(
        self, piece: Piece, codebooks: int, state: State
    ) -> tuple[CodeChunk, Tensor | None, State]:
        """Return the codes [streams of the batch, codebooks, frames] of a chunk, their scales, and
        the state.
        """
        import torch

        from neucodec.formats import byte_to_scale
        from neucodec.models import AudioChunk

        audio, scale = piece.audio, None
        if self.card.level == "rms":
            audio, levels = normalise(audio)
            gains = [byte_to_scale(level) if level else 0.0 for level in levels]
            scale = torch.tensor(gains, dtype=torch.float32)
        streams = torch.from_numpy(audio.reshape(-1, self.card.channels, audio.shape[-1]))
        chunk = AudioChunk(audio=streams, before=piece.before, frames=piece.frames, last=piece.last)
        coded, state = self.codec.encode(chunk, codebooks, state)
        return coded, coded.scales if scale is None else scale, state

    def _decode(
        self,
        codes: Tensor,
        own: int,
        before: int,
        scale: Tensor | None,
        ends: tuple[bool, bool],
        state: State,
    ) -> tuple[Tensor, State]:
        """Return the audio [streams of the batch, channels, width] of a chunk; ``ends`` says
        whether it is the first, and whether the last.
        """
        from neucodec.models import CodeChunk

        levelled = self.card.level == "rms"
        chunk = CodeChunk(
            codes=codes, frames=own, before=before, scales=None if levelled else scale,
            first=ends[0], last=ends[1],
        )  # fmt: skip
        audio, state = self.codec.decode(chunk, state)
        if levelled and scale is not None:
            audio = audio * scale[:, None, None]
        return audio, state
