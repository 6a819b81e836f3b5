"""The way of an unpacked chunk to audio: codes, level and layer, channels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from neucodec.audio.samples import Audio
from neucodec.formats import Chunk, Header, ScaleKind, byte_to_scale
from neucodec.models import (
    Codec,
    CodeChunk,
    State,
    cancel,
    decode_together,
    float32_by_default,
)

from .chunk_encoder import MAX_STREAMS_AT_ONCE
from .chunks import Geometry
from .levels import from_mid_side, from_streams
from .tones import render
from .unpacking import UnpackedChunk


def window_of(codec: Codec, frames: int) -> Audio:
    """Return the weight [width] of each sample of a decoded chunk of that many frames."""
    with float32_by_default():
        weight: Audio = codec.window(frames).numpy()
    return weight


class ChunkDecoder:
    """Decodes chunks. Safe to call from several threads."""

    def __init__(self, codec: Codec, header: Header, geometry: Geometry) -> None:
        self.codec, self.header, self.geometry = codec, header, geometry

    def with_state(self, chunks: Iterable[UnpackedChunk]) -> Iterator[UnpackedChunk]:
        """Give each chunk, in order, the state that its decoder starts from.

        See `ChunkEncoder.with_state`. Behind a chunk that is lost a causal codec starts anew.
        """
        if not self.geometry.sequential:
            yield from chunks
            return
        state: State = None
        for unpacked in chunks:
            if unpacked.chunk is None:
                state = None
            elif unpacked.codes is not None:
                state = self.codec.prepare_decoding(self._codes(unpacked, unpacked.chunk), state)
            yield replace(unpacked, state=state)

    def __call__(self, chunks: Sequence[UnpackedChunk]) -> list[tuple[UnpackedChunk, Audio | None]]:
        """Decode chunks as `with_state` gives them: one of them, or all of a batch at once.

        Each comes with its weighted audio [channels, width]; None where it is lost or silent.
        """
        sounding = [chunk for chunk in chunks if chunk.chunk and chunk.codes is not None]
        codes = [self._codes(chunk, cast(Chunk, chunk.chunk)) for chunk in sounding]
        try:
            if len(codes) == 1:
                decoded = [self._decode(codes[0], sounding[0].state)]
            else:
                decoded = decode_together(self.codec, codes)
        except BaseException:
            for chunk in chunks:
                cancel(chunk.state)
            raise
        parts = {chunk.index: part.numpy() for chunk, part in zip(sounding, decoded, strict=True)}
        return [(chunk, self._audio(chunk, parts.get(chunk.index))) for chunk in chunks]

    def _codes(self, unpacked: UnpackedChunk, chunk: Chunk) -> CodeChunk:
        """Dress a chunk's codes as the codec takes them."""
        own_scales = self.header.scale_kind == ScaleKind.FLOAT
        return CodeChunk(
            codes=torch.from_numpy(unpacked.codes),
            frames=unpacked.frames,
            before=unpacked.before,
            scales=torch.tensor(chunk.scales) if own_scales else None,
            first=unpacked.index == 0,
            last=unpacked.frames < self.geometry.frames,
        )

    def _decode(self, chunk: CodeChunk, state: State) -> Tensor:
        """Decode one chunk to audio [streams, channels, width], see `ChunkEncoder._encode`."""
        if state is not None or len(chunk.codes) <= MAX_STREAMS_AT_ONCE:
            return self.codec.decode(chunk, state)[0]
        audio = []
        for first in range(0, len(chunk.codes), MAX_STREAMS_AT_ONCE):
            group = slice(first, first + MAX_STREAMS_AT_ONCE)
            scales = None if chunk.scales is None else chunk.scales[group]
            part = replace(chunk, codes=chunk.codes[group], scales=scales)
            audio.append(self.codec.decode(part)[0])
        return torch.cat(audio)

    def _audio(self, unpacked: UnpackedChunk, decoded: Audio | None) -> Audio | None:
        """Bring decoded streams to their levels, add the layer, and make channels of them."""
        chunk, header = unpacked.chunk, self.header
        if chunk is None:
            return None
        if decoded is None and not unpacked.layer:
            return None
        card, width = self.codec.card, self.geometry.width(unpacked.frames)
        streams = np.zeros((header.streams, card.channels, width), np.float32)
        if decoded is not None:
            by_byte = header.scale_kind == ScaleKind.LOG
            sounding = [k for k in range(header.streams) if not by_byte or chunk.scales[k]]
            if by_byte:
                gains = [byte_to_scale(int(chunk.scales[k])) for k in sounding]
                decoded = decoded * np.array(gains, np.float32)[:, None, None]
            streams[sounding] = decoded
        if unpacked.layer:
            # As the codec's own, fading where its neighbours take over.
            weight = window_of(self.codec, unpacked.frames)
            streams += render(unpacked.layer, header, unpacked.frames)[:, None] * weight
        audio = from_streams(streams, header.channels)
        return from_mid_side(audio) if chunk.mid_side else audio
