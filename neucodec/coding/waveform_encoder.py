"""Encode chunks with a waveform layer: codes first, then what these lack of the original."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from neucodec.audio.samples import Audio
from neucodec.formats import Header, encode_chunk, waveform_grid

from .chunk_decoder import ChunkDecoder, window_of
from .chunk_encoder import ChunkEncoder, EncodedChunk, Turn
from .chunks import Geometry, OverlapAdder, Piece
from .unpacking import UnpackedChunk
from .waveform_joiner import SpanBuffer
from .waveform_rate import WaveformRate
from .waveform_search import WaveformSpan, find_waveform


@dataclass(frozen=True)
class SoundingChunk:
    """A chunk of codes with what they sound like."""

    piece: Piece
    encoded: EncodedChunk
    sound: Audio | None
    """[channels, width], weighted; None where it is silent."""


@dataclass(frozen=True)
class WaveformTask:
    """A chunk of codes that is to get its waveform layer."""

    encoded: EncodedChunk
    span: WaveformSpan | None
    """None where it gets none."""


class SoundingEncoder:
    """Encodes chunks and decodes them again. Safe to call from several threads."""

    def __init__(self, encoder: ChunkEncoder) -> None:
        self.encoder = encoder
        geometry = Geometry.of(encoder.codec.card)
        self._decoder = ChunkDecoder(encoder.codec, encoder.header, geometry)

    def __call__(self, turns: Sequence[Turn]) -> list[SoundingChunk]:
        """Encode pieces as `ChunkEncoder` does."""
        encoded = self.encoder(turns)
        unpacked = [
            UnpackedChunk(each.chunk.index, each.chunk.frames, each.chunk, each.codes)
            for each in encoded
        ]
        decoded = self._decoder(unpacked)
        return [
            SoundingChunk(turn.piece, each, sound)
            for turn, each, (_, sound) in zip(turns, encoded, decoded, strict=True)
        ]


class LayerFinder:
    """Gives chunks their waveform layers. Safe to call from several threads."""

    def __init__(self, header: Header) -> None:
        self._header = header

    def __call__(self, task: WaveformTask) -> EncodedChunk:
        """Find the layer and make the chunk's bytes."""
        chunk = task.encoded.chunk
        if task.span is not None:
            chunk = replace(chunk, layer=find_waveform(task.span, self._header))
        return EncodedChunk(chunk, encode_chunk(self._header, chunk), task.encoded.codes)


class TaskMaker:
    """Joins what codes sound like, and makes the tasks of chunks whose neighbours are known."""

    def __init__(self, encoder: ChunkEncoder, rate: WaveformRate) -> None:
        self._header, self._rate = encoder.header, rate
        self._grid = waveform_grid(encoder.header)
        channels = encoder.header.channels
        window = lru_cache(maxsize=2)(partial(window_of, encoder.codec))
        self._adder = OverlapAdder(Geometry.of(encoder.codec.card), channels, window)
        self._original, self._decoded = SpanBuffer(channels), SpanBuffer(channels)
        self._opened = False

    def tasks(self, chunks: Iterable[SoundingChunk]) -> Iterator[WaveformTask]:
        """Give the task of each chunk, as soon as the chunk behind it has come."""
        waiting: SoundingChunk | None = None
        for chunk in chunks:
            piece = chunk.piece
            self._decoded.push(self._adder.push(piece.index, chunk.sound, piece.frames))
            own = piece.frames * self._header.hop if piece.last else self._header.chunk_stride
            self._original.push(piece.audio[:, piece.before : piece.before + own])
            # The slope to the next chunk goes into its first samples.
            if waiting is not None:
                yield self._task(waiting, chunk)
            waiting = chunk
        self._decoded.push(self._adder.finish())
        if waiting is not None:
            yield self._task(waiting, None)

    def _task(self, chunk: SoundingChunk, behind: SoundingChunk | None) -> WaveformTask:
        piece, grid, header = chunk.piece, self._grid, self._header
        coded = chunk.encoded.chunk
        before = self._opened
        layered = coded.codebooks > 0
        self._opened = layered and behind is not None and behind.encoded.chunk.codebooks > 0
        start = piece.index * header.chunk_stride
        share = piece.frames * header.hop / header.chunk_stride if behind is None else 1.0
        bits = self._rate.bits(len(chunk.encoded.data), min(1.0, share), layered)
        span = None
        if layered:
            blocks = grid.count(piece.frames * header.hop, last=behind is None)
            first, samples = start - grid.part // 2, blocks * grid.block + grid.part
            end = start + piece.frames * header.hop
            original, decoded = (
                buffer.span(first, samples) if behind else buffer.mirrored(first, samples, end)
                for buffer in (self._original, self._decoded)
            )
            span = WaveformSpan(
                original=original,
                decoded=decoded,
                mid_side=coded.mid_side,
                opened=(before, self._opened),
                last=behind is None,
                frames=piece.frames,
                bits=bits,
            )
        keep = start + header.chunk_stride - grid.part // 2
        self._original.take(keep)
        self._decoded.take(keep)
        return WaveformTask(chunk.encoded, span)
