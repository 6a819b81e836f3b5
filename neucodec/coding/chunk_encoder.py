"""The way of a chunk from audio to bytes: level and layer, codes, payload, and the whole chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from neucodec.formats import Chunk, Header, LayerKind, ScaleKind, encode_chunk
from neucodec.models import (
    AudioChunk,
    Codec,
    CodeChunk,
    State,
    cancel,
    encode_together,
)

from .chunks import Geometry, Piece
from .entropy import Codes, EntropyModel
from .levels import normalise, prefers_mid_side, to_mid_side, to_streams
from .payloads import encode_payload
from .rate import Rate
from .tones import Layer, find_layer

SCALES = {"rms": ScaleKind.LOG, "codec": ScaleKind.FLOAT, "none": ScaleKind.NONE}
"""How a file stores the scales of each kind of level that a card may name."""
MAX_STREAMS_AT_ONCE = 16
"""Streams of a chunk that go through a codec together; 255 of them take two gigabytes."""


@dataclass(frozen=True)
class LevelledPiece:
    """A piece split into its layer and what the codec is to encode, at unit level."""

    chunk: AudioChunk | None
    """The codec's input; None where there is nothing to encode but perhaps a layer."""
    scales: tuple[int, ...] = ()
    """Scale bytes of all streams that undo levelling; empty where the codec has its own levels."""
    mid_side: bool = False
    layer: Layer | None = None


@dataclass(frozen=True)
class Turn:
    """A piece that may be encoded now, at the same time as others."""

    piece: Piece
    state: State
    """The state that a causal codec's encoder starts from; None where chunks are independent."""
    levelled: LevelledPiece | None = None
    """The piece at its level, where finding the state has taken that already."""


@dataclass(frozen=True)
class EncodedChunk:
    """A chunk and its bytes, serialised once."""

    chunk: Chunk
    data: bytes
    codes: Codes | None
    """Its codes [streams that are not silent, codebooks, frames]; None where it has none."""


class ChunkEncoder:
    """Encodes chunks. Safe to call from several threads."""

    def __init__(
        self, codec: Codec, header: Header, rate: Rate, entropy_model: EntropyModel | None = None
    ) -> None:
        """Take the file's ``header``, which says what chunks may have; without ``entropy_model``
        codes are stored as they are."""
        self.codec, self.header, self.rate = codec, header, rate
        self.entropy_model = entropy_model

    def with_state(self, pieces: Iterable[Piece]) -> Iterator[Turn]:
        """Pair each piece, in order, with the state that its encoder starts from.

        A causal codec's state after a piece is known before the piece is encoded, as far as the
        next piece needs it, so that pieces can be encoded in parallel.
        """
        if not Geometry.of(self.codec.card).sequential:
            yield from (Turn(piece, None) for piece in pieces)
            return
        state: State = None
        for piece in pieces:
            levelled = self._level(piece, 0)
            if levelled.chunk:
                state = self.codec.prepare_encoding(levelled.chunk, state)
            yield Turn(piece, state, levelled)

    def __call__(self, turns: Sequence[Turn]) -> list[EncodedChunk]:
        """Encode pieces as `with_state` gives them: one of them, or all of a batch at once."""
        try:
            counts = [self.rate.choose(turn.piece.index) for turn in turns]
            levelled = [
                turn.levelled or self._level(turn.piece, count)
                for turn, count in zip(turns, counts, strict=True)
            ]
            codes = self._codes(levelled, max(counts), turns[0].state)
            encoded = []
            for turn, count, level, code in zip(turns, counts, levelled, codes, strict=True):
                chunk, kept = self._squeezed(turn.piece, count, level, code)
                encoded.append(EncodedChunk(chunk, encode_chunk(self.header, chunk), kept))
                # A layer beside codes has taken the place of the codebooks that are lacking.
                spent = count if chunk.codebooks else 0
                self.rate.done(chunk.index, spent, len(encoded[-1].data))
        except BaseException:
            self.rate.stop()
            for turn in turns:
                cancel(turn.state)
            raise
        return encoded

    def _level(self, piece: Piece, codebooks: int) -> LevelledPiece:
        """Split a piece into a layer and streams at unit level.

        ``codebooks`` is what the chunk would have without a layer; with 0 none is looked for.
        """
        card, audio = self.codec.card, piece.audio
        scales: tuple[int, ...] = ()
        mid_side, layer = False, None
        if card.level == "rms":
            mid_side = len(audio) == 2 and prefers_mid_side(audio)
            audio = to_mid_side(audio) if mid_side else audio
            if self.header.layer == LayerKind.MDCT and codebooks:
                # Of few codebooks each is worth more, and a layer takes the place of some.
                min_gain = card.layer_gain + max(0, card.default_codebooks - codebooks)
                layer = find_layer(
                    audio, self.header, piece.frames, codebooks, min_gain,
                    first=not piece.index, last=piece.last,
                )  # fmt: skip
            if layer:
                if layer.suffices:
                    return LevelledPiece(None, scales, mid_side, layer)
                audio = layer.rest
            audio, scales = normalise(audio)
            if not any(scales):
                return LevelledPiece(None, scales, mid_side, layer)
            audio = audio[np.array(scales) > 0]
        streams = torch.from_numpy(to_streams(audio, card.channels))
        chunk = AudioChunk(audio=streams, before=piece.before, frames=piece.frames, last=piece.last)
        return LevelledPiece(chunk, scales, mid_side, layer)

    def _codes(
        self, levelled: Sequence[LevelledPiece], codebooks: int, state: State
    ) -> list[CodeChunk | None]:
        """Encode what is to be encoded of each piece; None where there is nothing."""
        sounding = [each.chunk for each in levelled if each.chunk]
        if len(sounding) == 1:
            coded = [self._encode(sounding[0], codebooks, state)]
        else:
            coded = encode_together(self.codec, sounding, codebooks)
        given = iter(coded)
        return [next(given) if each.chunk else None for each in levelled]

    def _encode(self, chunk: AudioChunk, codebooks: int, state: State) -> CodeChunk:
        """Encode one chunk, of very many streams some at a time.

        Streams do not depend on each other, and what a network holds while it works is many times
        what goes in and comes out. Codecs with a state take all streams at once.
        """
        if state is not None or len(chunk.audio) <= MAX_STREAMS_AT_ONCE:
            return self.codec.encode(chunk, codebooks, state)[0]
        groups = torch.split(chunk.audio, MAX_STREAMS_AT_ONCE)
        coded = [self.codec.encode(replace(chunk, audio=group), codebooks)[0] for group in groups]
        scales = [part.scales for part in coded if part.scales is not None]
        codes = torch.cat([part.codes for part in coded])
        return replace(coded[0], codes=codes, scales=torch.cat(scales) if scales else None)

    def _squeezed(
        self, piece: Piece, codebooks: int, levelled: LevelledPiece, coded: CodeChunk | None
    ) -> tuple[Chunk, Codes | None]:
        """Make the chunk, its codes as a payload of the ``codebooks`` that it may have; give those
        codes, too.
        """
        layer = levelled.layer.payload if levelled.layer else b""
        if coded is None:
            mid_side = levelled.mid_side and bool(layer)
            silent = Chunk(
                index=piece.index, codebooks=0, frames=piece.frames, mid_side=mid_side, layer=layer
            )
            return silent, None
        if layer:  # It takes the place of as many codebooks.
            one = self.header.raw_bytes(len(coded.codes), 1, piece.frames)
            codebooks = max(1, codebooks - round(len(layer) / one))
        # With fewer codebooks a codec gives the first of those that it gives with more.
        codes = coded.codes[:, :codebooks].numpy()
        payload, raw = encode_payload(codes, self.header.code_bits, self.entropy_model)
        chunk = Chunk(
            index=piece.index,
            codebooks=codebooks,
            frames=piece.frames,
            scales=levelled.scales if coded.scales is None else tuple(coded.scales.tolist()),
            payload=payload,
            raw=raw,
            mid_side=levelled.mid_side,
            layer=layer,
        )
        return chunk, codes
