"""Pieces of audio to chunks of an .ncf and back: where levels, codecs and packed codes meet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
import numpy.typing as npt
import torch

from neucodec.audio.samples import Audio
from neucodec.formats import (
    Chunk,
    Header,
    LayerKind,
    ScaleKind,
    StreamLayer,
    byte_to_scale,
    encode_chunk,
)
from neucodec.models import (
    AudioChunk,
    Codec,
    CodeChunk,
    State,
    StreamCodec,
    decode_together,
    encode_together,
    float32_by_default,
    give_up,
)
from neucodec.parallel.read_ahead import in_batches
from neucodec.parallel.threads import available_threads, in_order

from . import channel_groups
from .chunks import Geometry, Piece
from .entropy import MOST_STREAMS, EntropyModel, chunk_layer, decode_payloads, encode_payload
from .levels import (
    from_mid_side,
    from_streams,
    normalise,
    prefers_mid_side,
    to_mid_side,
    to_streams,
)
from .rate import Rate
from .tones import Layer, find_layer, render

Codes = npt.NDArray[np.int64]

SCALES = {"rms": ScaleKind.LOG, "codec": ScaleKind.FLOAT, "none": ScaleKind.NONE}
"""How the scales of each level on a card stand in a file."""
MOST_ENTROPY_THREADS = 4
"""Each has a batch of chunks in work, and the memory for it."""


def window_of(codec: Codec, frames: int) -> Audio:
    """Weight [width] of each sample of a decoded chunk of so many frames."""
    with float32_by_default():
        weight: Audio = codec.window(frames).numpy()
    return weight


@dataclass(frozen=True)
class _Levelled:
    """A piece, ready for the codec."""

    chunk: AudioChunk | None
    """What the codec is to encode, None if there is nothing."""
    scales: tuple[int, ...] | tuple[float, ...] = ()
    """That undo levelling."""
    mid_side: bool = False
    layer: Layer | None = None


class ChunkEncoder:
    """Turns the audio of a chunk into the chunk, in several threads if wished."""

    def __init__(
        self, codec: Codec, header: Header, rate: Rate, model: EntropyModel | None = None
    ) -> None:
        self.codec, self.header, self.rate, self.model = codec, header, rate, model

    def in_turn(self, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, State]]:
        """Pieces in order to what may be encoded at once: each with its place in the stream, where
        coding goes on from the piece before."""
        place: State = None
        for piece in pieces:
            if isinstance(self.codec, StreamCodec):
                chunk = self._levelled(piece, 0).chunk
                place = self.codec.encoding(chunk, place) if chunk else place
            yield piece, place

    def __call__(self, turns: Sequence[tuple[Piece, State]]) -> list[Chunk]:
        """The chunks of pieces, given as `in_turn` gives them; one by one, or all of a batch."""
        try:
            counts = [self.rate.choose(piece.index) for piece, _ in turns]
            chunks = self._encode(turns, counts)
            for chunk, count in zip(chunks, counts, strict=True):
                size = len(encode_chunk(self.header, chunk))
                # A layer beside codes has taken the place of the codebooks that are lacking.
                self.rate.done(chunk.index, count if chunk.codebooks else 0, size)
        except BaseException:
            self.rate.stop()
            for _, place in turns:
                give_up(place)
            raise
        return chunks

    def _encode(self, turns: Sequence[tuple[Piece, State]], counts: Sequence[int]) -> list[Chunk]:
        levelled = [
            self._levelled(piece, count) for (piece, _), count in zip(turns, counts, strict=True)
        ]
        heard = [each.chunk for each in levelled if each.chunk]
        if len(heard) == 1:
            coded = [channel_groups.encode_chunk(self.codec, heard[0], max(counts), turns[0][1])]
        else:
            coded = encode_together(self.codec, heard, max(counts))
        given = iter(coded)
        return [
            self._chunk(piece, count, each, next(given) if each.chunk else None)
            for (piece, _), count, each in zip(turns, counts, levelled, strict=True)
        ]

    def _chunk(
        self,
        piece: Piece,
        codebooks: int,
        levelled: _Levelled,
        coded: CodeChunk | None,
    ) -> Chunk:
        layer = levelled.layer.payload if levelled.layer else b""
        if coded is None:
            mid_side = levelled.mid_side and bool(layer)
            return Chunk(
                index=piece.index, codebooks=0, frames=piece.frames, mid_side=mid_side, layer=layer
            )
        if layer:  # It takes the place of as many codebooks.
            one = self.header.raw_bytes(len(coded.codes), 1, piece.frames)
            codebooks = max(1, codebooks - round(len(layer) / one))
        # With fewer codebooks a codec gives the first of those that it gives with more.
        codes = coded.codes[:, :codebooks].numpy()
        payload, raw = encode_payload(codes, self.codec.card.code_bits, self.model)
        return Chunk(
            index=piece.index,
            codebooks=codebooks,
            frames=piece.frames,
            scales=levelled.scales if coded.scales is None else tuple(coded.scales.tolist()),
            payload=payload,
            raw=raw,
            mid_side=levelled.mid_side,
            layer=layer,
        )

    def _levelled(self, piece: Piece, codebooks: int) -> _Levelled:
        """Split a piece into its layer and what the codec is to encode."""
        card, audio = self.codec.card, piece.audio
        scales: tuple[int, ...] = ()
        mid_side, layer = False, None
        if card.level == "rms":
            mid_side = len(audio) == 2 and prefers_mid_side(audio)
            audio = to_mid_side(audio) if mid_side else audio
            if self.header.layer != LayerKind.NONE and codebooks:
                # Of few codebooks each is worth more, and a layer takes the place of some.
                least = card.layer_gain + max(0, card.default_codebooks - codebooks)
                layer = find_layer(
                    audio, self.header, piece.frames, codebooks, least,
                    first=not piece.index, last=piece.last,
                )  # fmt: skip
            if layer:
                if layer.suffices:
                    return _Levelled(None, scales, mid_side, layer)
                audio = layer.rest
            audio, scales = normalise(audio)
            if not any(scales):
                return _Levelled(None, scales, mid_side, layer)
            audio = audio[np.array(scales) > 0]
        streams = torch.from_numpy(to_streams(audio, card.channels))
        chunk = AudioChunk(audio=streams, before=piece.before, frames=piece.frames, last=piece.last)
        return _Levelled(chunk, scales, mid_side, layer)


@dataclass(frozen=True)
class Coded:
    """A chunk ready to be decoded; ``chunk`` is None where it is lost."""

    index: int
    frames: int
    chunk: Chunk | None
    codes: Codes | None = None
    """[streams with codes, codebooks, before + frames + after], None if lost or silent."""
    layer: Sequence[StreamLayer | None] = ()
    """What is to be added, of each stream; empty where there is nothing."""
    before: int = 0
    """Frames of the chunk before in front of the chunk's own."""
    place: State = None
    """Where it stands in the stream, where decoding goes on from the chunk before."""


def unpacked(
    chunks: Iterable[tuple[int, Chunk | None]],
    header: Header,
    context: int,
    model: EntropyModel | None = None,
    threads: int | None = None,
) -> Iterator[Coded]:
    """Chunks in order, without gaps, to what decoding each takes.

    Next to a chunk that is lost there is no context, as at the ends of the signal: that changes
    the few frames around the loss and keeps everything else as it was.
    """
    nothing = Coded(-1, 0, None)
    coded = _unpacked(chunks, header, model, threads)
    if not context:
        yield from coded
        return
    before, own = nothing, next(coded, None)
    while own:
        after = next(coded, None)
        yield _with_context(before, own, after or nothing, context)
        before, own = own, after


def _unpacked(
    chunks: Iterable[tuple[int, Chunk | None]],
    header: Header,
    model: EntropyModel | None,
    threads: int | None,
) -> Iterator[Coded]:
    """The same without context. Entropy models decode many chunks at once, ahead of time."""
    if model is None:
        for index, chunk in chunks:
            yield from _unpack(header, None, [(index, chunk)])
        return
    most = max(1, MOST_STREAMS // header.streams)
    batches = in_batches(chunks, most, first=max(1, most // 4))
    workers = min(threads or available_threads(), MOST_ENTROPY_THREADS)
    for batch in in_order(partial(_unpack, header, model), batches, workers):
        yield from batch


def _unpack(
    header: Header, model: EntropyModel | None, chunks: list[tuple[int, Chunk | None]]
) -> list[Coded]:
    """Several chunks at once; those that cannot be decoded are lost."""
    coded = [chunk for _, chunk in chunks if chunk and chunk.codebooks and _fits(chunk, header)]
    indices = [chunk.index for chunk in coded]
    codes = dict(zip(indices, decode_payloads(coded, header, model), strict=True))

    def unpack(index: int, chunk: Chunk | None) -> Coded:
        if chunk is None:
            return Coded(index, header.chunk_frames, None)
        found = codes.get(index)
        lost = Coded(index, chunk.frames, None)
        if not _fits(chunk, header) or (chunk.codebooks and found is None):
            return lost
        layer = chunk_layer(chunk, header)
        return lost if layer is None else Coded(index, chunk.frames, chunk, found, layer)

    return [unpack(index, chunk) for index, chunk in chunks]


def _fits(chunk: Chunk, header: Header) -> bool:
    """Whether mid and side can be made left and right again."""
    return not chunk.mid_side or header.streams == header.channels == 2


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
    return replace(own, codes=codes, before=left.shape[-1])


class ChunkDecoder:
    """Turns a chunk into its weighted audio [channels, width], None if it is lost or silent; in
    several threads if wished."""

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

    def __call__(self, chunks: Sequence[Coded]) -> list[tuple[Coded, Audio | None]]:
        """What was given, as `in_turn` gives it, and its audio, None where it is silent; one by
        one, or all of a batch."""
        heard = [coded for coded in chunks if coded.chunk and coded.codes is not None]
        given = [self._codes(coded, cast(Chunk, coded.chunk)) for coded in heard]
        try:
            if len(given) == 1:
                decoded = [channel_groups.decode_chunk(self.codec, given[0], heard[0].place)]
            else:
                decoded = decode_together(self.codec, given)
        except BaseException:
            for coded in chunks:
                give_up(coded.place)
            raise
        parts = {coded.index: part.numpy() for coded, part in zip(heard, decoded, strict=True)}
        return [(coded, self._audio(coded, parts.get(coded.index))) for coded in chunks]

    def _audio(self, coded: Coded, decoded: Audio | None) -> Audio | None:
        chunk, header = coded.chunk, self.header
        if chunk is None:
            return None
        if decoded is None and not coded.layer:
            return None
        card, width = self.codec.card, self.geometry.width(coded.frames)
        streams = np.zeros((header.streams, card.channels, width), np.float32)
        if decoded is not None:
            by_byte = header.scale_kind == ScaleKind.LOG
            heard = [k for k in range(header.streams) if not by_byte or chunk.scales[k]]
            if by_byte:
                gains = [byte_to_scale(int(chunk.scales[k])) for k in heard]
                decoded = decoded * np.array(gains, np.float32)[:, None, None]
            streams[heard] = decoded
        if coded.layer:
            # As the codec's own, fading where its neighbours take over.
            weight = window_of(self.codec, coded.frames)
            streams += render(coded.layer, header, coded.frames)[:, None] * weight
        audio = from_streams(streams, header.channels)
        return from_mid_side(audio) if chunk.mid_side else audio

    def _codes(self, coded: Coded, chunk: Chunk) -> CodeChunk:
        own_scales = self.header.scale_kind == ScaleKind.FLOAT
        return CodeChunk(
            codes=torch.from_numpy(coded.codes),
            frames=coded.frames,
            before=coded.before,
            scales=torch.tensor(chunk.scales) if own_scales else None,
            first=coded.index == 0,
            last=coded.frames < self.geometry.frames,
        )
