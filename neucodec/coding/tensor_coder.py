"""Code whole signals that are tensors: to codes chunk by chunk, and back to audio."""

from __future__ import annotations

from collections.abc import Container, Iterator
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor

from neucodec.audio.samples import Audio
from neucodec.formats import byte_to_scale
from neucodec.models import AudioChunk, Codec, CodeChunk, State, on_whole_frames

from .chunk_decoder import window_of
from .chunks import ChunkSplitter, Geometry, OverlapAdder, Piece
from .levels import normalise


class TensorCoder:
    """Codes signals [streams * channels, samples] of one length with one codec.

    On a CPU every stream of every chunk goes through the network by itself, so that results do not
    depend on what else there is.
    """

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self._whole = on_whole_frames(codec)

    def geometry(self, uniform: bool) -> Geometry:
        """Return where chunks lie: of uniform codes a whole number of frames after each other."""
        return Geometry.of((self._whole if uniform else self.codec).card)

    def encode(
        self, signal: Audio, codebooks: int, *, uniform: bool, one_level: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Encode a signal to codes [streams, codebooks, frames] and scales [streams, chunks].

        With ``uniform`` the frames that two chunks share are kept once, so that there are
        ceil(samples / hop) of them. With ``one_level`` all chunks of a stream have the same scale.
        Scales are None where the codec has no levels.
        """
        codec, geometry = self._whole if uniform else self.codec, self.geometry(uniform)
        levels: Audio | None = None
        if one_level and codec.card.level == "rms":
            levels = _gains(normalise(signal)[1])
        own = geometry.stride // geometry.hop
        codes, scales, state = [], [], None
        for piece in self._pieces(signal, geometry):
            chunk, scale, state = self._encode(codec, piece, codebooks, levels, state)
            codes.append(chunk.codes[..., :own] if uniform and not piece.last else chunk.codes)
            scales.append(scale)
        found = [scale for scale in scales if scale is not None]
        return torch.cat(codes, dim=-1), torch.stack(found, dim=-1) if found else None

    def encode_chunks(
        self, signal: Audio, codebooks: int, wanted: Container[int]
    ) -> Iterator[tuple[int, Tensor, Tensor | None]]:
        """Encode some chunks of a signal: give the index, codes [streams, codebooks, frames] and
        scales [streams] of each that is wanted.

        Only for codecs whose chunks are independent, and for those of a file: shared frames are in
        both chunks.
        """
        for piece in self._pieces(signal, self.geometry(False)):
            if piece.index in wanted:
                chunk, scale, _ = self._encode(self.codec, piece, codebooks, None, None)
                yield piece.index, chunk.codes, scale

    def decode(self, codes: Tensor, scales: Tensor | None, samples: int, uniform: bool) -> Audio:
        """Decode codes [streams, codebooks, frames] to a signal [streams * channels, samples].

        ``scales`` [streams, chunks] are the levels of the chunks; without them all levels are 1.
        """
        codec, g = self._whole if uniform else self.codec, self.geometry(uniform)
        window = lru_cache(maxsize=2)(partial(window_of, codec))
        adder = OverlapAdder(g, len(codes) * codec.card.channels, window)
        parts: list[Audio] = []
        state: State = None
        spans = self.chunk_spans(codes.shape[-1], uniform)
        for index, (start, own) in enumerate(spans):
            before = min(start, g.code_context)
            seen = codes[..., start - before : start + own + g.code_context]
            levelled = codec.card.level == "rms"
            level = None if scales is None else scales[:, index]
            chunk = CodeChunk(
                codes=seen, frames=own, before=before, scales=None if levelled else level,
                first=index == 0, last=index == len(spans) - 1,
            )  # fmt: skip
            audio, state = codec.decode(chunk, state)
            if levelled and level is not None:
                audio = audio * level[:, None, None]
            parts.append(adder.push(index, audio.reshape(-1, audio.shape[-1]).numpy(), own))
        parts.append(adder.finish())
        whole: Audio = np.concatenate(parts, axis=1)[:, :samples].copy()
        return whole

    def chunk_spans(self, frames: int, uniform: bool) -> list[tuple[int, int]]:
        """Return the chunks of codes with so many frames, see `chunk_spans`."""
        return chunk_spans(frames, self.geometry(uniform), uniform)

    def _pieces(self, signal: Audio, geometry: Geometry) -> Iterator[Piece]:
        splitter, step = ChunkSplitter(geometry, len(signal)), self.codec.card.sample_rate
        for start in range(0, signal.shape[1], step):
            yield from splitter.push(signal[:, start : start + step])
        yield from splitter.finish()

    def _encode(
        self, codec: Codec, piece: Piece, codebooks: int, levels: Audio | None, state: State
    ) -> tuple[CodeChunk, Tensor | None, State]:
        """Return the codes of a chunk, the scales [streams] that undo its levels, and the state."""
        audio, scale = piece.audio, None
        if codec.card.level == "rms":
            if levels is None:
                audio, scale_bytes = normalise(audio)
                gains = _gains(scale_bytes)
            else:
                gains = levels
                inverse = np.divide(1, gains, out=np.zeros_like(gains), where=gains > 0)
                audio = (audio * inverse[:, None]).astype(np.float32)
            scale = torch.from_numpy(gains).float()
        streams = torch.from_numpy(audio.reshape(-1, codec.card.channels, audio.shape[-1]))
        chunk = AudioChunk(audio=streams, before=piece.before, frames=piece.frames, last=piece.last)
        coded, state = codec.encode(chunk, codebooks, state)
        return coded, coded.scales if scale is None else scale, state


def chunk_spans(frames: int, geometry: Geometry, uniform: bool) -> list[tuple[int, int]]:
    """Return (first frame, number of frames) of each chunk of codes with so many frames.

    Chunks of uniform codes share frames where the codec's chunks overlap; they end as those of
    `ChunkSplitter` do. Otherwise chunks stand one after the other.
    """
    step = geometry.stride // geometry.hop if uniform else geometry.frames
    spans, start = [], 0
    while start < frames:
        own = min(geometry.frames, frames - start)
        spans.append((start, own))
        if own < geometry.frames or frames - start <= step:
            break
        start += step
    return spans


def chunked(codes: Tensor, geometry: Geometry) -> list[Tensor]:
    """Cut uniform codes [..., frames] into chunks, whose shared frames are in both."""
    spans = chunk_spans(codes.shape[-1], geometry, uniform=True)
    return [codes[..., start : start + own] for start, own in spans]


def _gains(scale_bytes: tuple[int, ...]) -> Audio:
    """Return the factors that scale bytes stand for; 0 for silence."""
    gains = [byte_to_scale(byte) if byte else 0.0 for byte in scale_bytes]
    return np.array(gains, dtype=np.float64).astype(np.float32)
