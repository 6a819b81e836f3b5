"""Pieces of audio to chunks of an .ncf and back: where levels, codecs and packed codes meet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from .chunks import Audio, Geometry, Piece
from .formats import (
    Chunk,
    Header,
    NcfError,
    ScaleKind,
    byte_to_scale,
    pack_codes,
    unpack_codes,
)
from .level import from_mid_side, normalise, prefers_mid_side, to_mid_side
from .models.codec import AudioChunk, Codec, CodeChunk, State
from .models.strategies import StreamCodec
from .streams import from_streams, to_streams

Codes = npt.NDArray[np.int64]

SCALES = {"rms": ScaleKind.LOG, "codec": ScaleKind.FLOAT, "none": ScaleKind.NONE}
"""How the scales of each level on a card stand in a file."""


class ChunkEncoder:
    """Turns the audio of a chunk into the chunk, in several threads if wished."""

    def __init__(self, codec: Codec, codebooks: int) -> None:
        self.codec, self.codebooks = codec, codebooks

    def in_turn(self, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, State]]:
        """Pieces in order to what may be encoded at once: each with its place in the stream, where
        coding goes on from the piece before."""
        place: State = None
        for piece in pieces:
            if isinstance(self.codec, StreamCodec):
                chunk = self._levelled(piece)[0]
                place = self.codec.encoding(chunk, place) if chunk else place
            yield piece, place

    def __call__(self, turn: tuple[Piece, State]) -> Chunk:
        """The chunk of a piece, given as `in_turn` gives it."""
        piece, place = turn
        chunk, scales, mid_side = self._levelled(piece)
        if chunk is None:
            return Chunk(index=piece.index, codebooks=0, frames=piece.frames)
        coded, _ = self.codec.encode(chunk, self.codebooks, place)
        card = self.codec.card
        return Chunk(
            index=piece.index,
            codebooks=self.codebooks,
            frames=piece.frames,
            scales=scales if coded.scales is None else tuple(coded.scales.tolist()),
            payload=pack_codes(coded.codes.numpy(), card.code_bits),
            mid_side=mid_side,
        )

    def _levelled(
        self, piece: Piece
    ) -> tuple[AudioChunk | None, tuple[int, ...] | tuple[float, ...], bool]:
        """What the codec is to encode, None if all is silent; the scales that undo levelling; and
        whether it is mid and side."""
        card, audio = self.codec.card, piece.audio
        scales: tuple[int, ...] = ()
        mid_side = False
        if card.level == "rms":
            mid_side = len(audio) == 2 and prefers_mid_side(audio)
            audio, scales = normalise(to_mid_side(audio) if mid_side else audio)
            if not any(scales):
                return None, scales, mid_side
            audio = audio[np.array(scales) > 0]
        streams = torch.from_numpy(to_streams(audio, card.channels))
        chunk = AudioChunk(audio=streams, before=piece.before, frames=piece.frames, last=piece.last)
        return chunk, scales, mid_side


@dataclass(frozen=True)
class Coded:
    """A chunk ready to be decoded; ``chunk`` is None where it is lost."""

    index: int
    frames: int
    chunk: Chunk | None
    codes: Codes | None = None
    """[streams with codes, codebooks, before + frames + after], None if lost or silent."""
    before: int = 0
    """Frames of the chunk before in front of the chunk's own."""
    place: State = None
    """Where it stands in the stream, where decoding goes on from the chunk before."""


def chunk_codes(chunk: Chunk, header: Header) -> Codes:
    """The codes [streams that are not silent, codebooks, frames] of one chunk."""
    streams = header.streams
    if header.scale_kind == ScaleKind.LOG:
        streams = sum(1 for scale in chunk.scales if scale)
    return unpack_codes(chunk.payload, streams, chunk.codebooks, chunk.frames, header.codebook_size)


def unpacked(
    chunks: Iterable[tuple[int, Chunk | None]], header: Header, context: int
) -> Iterator[Coded]:
    """Chunks in order, without gaps, to what decoding each takes.

    Next to a chunk that is lost there is no context, as at the ends of the signal: that changes
    the few frames around the loss and keeps everything else as it was.
    """
    nothing = Coded(-1, 0, None)
    coded = (_unpack(index, chunk, header) for index, chunk in chunks)
    if not context:
        yield from coded
        return
    before, own = nothing, next(coded, None)
    while own:
        after = next(coded, None)
        yield _with_context(before, own, after or nothing, context)
        before, own = own, after


def _unpack(index: int, chunk: Chunk | None, header: Header) -> Coded:
    if chunk is None:
        return Coded(index, header.chunk_frames, None)
    if chunk.mid_side and not header.streams == header.channels == 2:
        return Coded(index, chunk.frames, None)
    if not chunk.codebooks:
        return Coded(index, chunk.frames, chunk)
    try:
        return Coded(index, chunk.frames, chunk, chunk_codes(chunk, header))
    except NcfError:
        return Coded(index, chunk.frames, None)


def _with_context(before: Coded, own: Coded, after: Coded, context: int) -> Coded:
    if own.codes is None:
        return own
    streams, codebooks = own.codes.shape[:2]

    def usable(other: Coded) -> Codes:
        if other.codes is None or len(other.codes) != streams or other.codes.shape[1] < codebooks:
            return np.zeros((streams, codebooks, 0), np.int64)
        return other.codes[:, :codebooks]

    left = usable(before)[..., -context:]
    codes = np.concatenate([left, own.codes, usable(after)[..., :context]], axis=-1)
    return Coded(own.index, own.frames, own.chunk, codes, left.shape[-1])


class ChunkDecoder:
    """Turns a chunk into its weighted audio [channels, width], None if it is lost; in several
    threads if wished."""

    def __init__(self, codec: Codec, header: Header, geometry: Geometry) -> None:
        self.codec, self.header, self.geometry = codec, header, geometry

    def in_turn(self, chunks: Iterable[Coded]) -> Iterator[Coded]:
        """Chunks in order to chunks that know their places, see `ChunkEncoder.in_turn`."""
        place: State = None
        for coded in chunks:
            if isinstance(self.codec, StreamCodec):
                if coded.chunk is None:
                    place = None
                elif coded.codes is not None:
                    place = self.codec.decoding(self._codes(coded, coded.chunk), place)
            yield replace(coded, place=place)

    def __call__(self, coded: Coded) -> tuple[Coded, Audio | None]:
        """What was given, as `in_turn` gives it, and its audio."""
        chunk, header = coded.chunk, self.header
        if chunk is None:
            return coded, None
        card, width = self.codec.card, self.geometry.width(coded.frames)
        streams = np.zeros((header.streams, card.channels, width), np.float32)
        if coded.codes is not None:
            by_byte = header.scale_kind == ScaleKind.LOG
            heard = [k for k in range(header.streams) if not by_byte or chunk.scales[k]]
            decoded = self.codec.decode(self._codes(coded, chunk), coded.place)[0].numpy()
            if by_byte:
                gains = [byte_to_scale(int(chunk.scales[k])) for k in heard]
                decoded = decoded * np.array(gains, np.float32)[:, None, None]
            streams[heard] = decoded
        audio = from_streams(streams, header.channels)
        return coded, from_mid_side(audio) if chunk.mid_side else audio

    def _codes(self, coded: Coded, chunk: Chunk) -> CodeChunk:
        own_scales = self.header.scale_kind == ScaleKind.FLOAT
        return CodeChunk(
            codes=torch.from_numpy(coded.codes),
            frames=coded.frames,
            before=coded.before,
            scales=torch.tensor(chunk.scales) if own_scales else None,
            last=coded.frames < self.geometry.frames,
        )
