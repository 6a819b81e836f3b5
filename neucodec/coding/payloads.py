"""Codes of chunks to payloads and back: where entropy models meet the range coder.

All chunks' payloads are range coded on their own. Decoding one symbol after the other is slow in
Python, so that many chunks are decoded in step, their first symbols together, then their second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from neucodec.formats import (
    Chunk,
    ChunkWaveform,
    EntropyCoder,
    Header,
    LayerKind,
    Look,
    NcfError,
    RangeDecoder,
    SingleDecoder,
    StreamLayer,
    coded_streams,
    decode_layer,
    decode_waveform,
    encode_intervals,
    pack_codes,
    payload_bytes,
    pays_for,
    unpack_codes,
)
from neucodec.terminal.signals import end_if_told

from .entropy import Codes, EntropyModel

MAX_STREAMS = 128
"""Streams that a model decodes in step."""
FEW_CHUNKS = 12
"""Up to this many chunks are decoded one by one rather than in step."""


def encode_payload(codes: Codes, bits: int, model: EntropyModel | None) -> tuple[bytes, bool]:
    """Return the payload of codes [S, K, F], and whether it is raw although there is a model."""
    if model is None:
        return pack_codes(codes, bits), False
    # For each frame, for each codebook, for each stream.
    left, width = (part.transpose(2, 1, 0).reshape(-1) for part in model.intervals(codes))
    coded = encode_intervals(left, width)
    paid = model.coder != EntropyCoder.ADAPTIVE or pays_for(len(coded), codes.size)
    if len(coded) < payload_bytes(codes.size, bits) and paid:
        return coded, False
    return pack_codes(codes, bits), True


def decode_payloads(
    chunks: Sequence[Chunk], header: Header, model: EntropyModel | None
) -> list[Codes | None]:
    """Return the codes [S, K, F] of each of these chunks, none of them silent; None where that
    fails.
    """
    found: list[Codes | None] = [None] * len(chunks)
    together: list[tuple[int, Chunk]] = []
    for at, chunk in enumerate(chunks):
        if chunk.raw or model is None:
            found[at] = _unpacked(chunk, header)
        elif chunk.codebooks <= model.codebooks and _is_paid_for(chunk, header):
            together.append((at, chunk))
    if together and model is not None:
        together.sort(key=lambda pair: -pair[1].codebooks)
        streams = [len(coded_streams(header, chunk)) for _, chunk in together]
        decoded = _decode([chunk for _, chunk in together], streams, model)
        for (at, _), codes in zip(together, decoded, strict=True):
            found[at] = codes
    return found


def _is_paid_for(chunk: Chunk, header: Header) -> bool:
    """Tell whether a payload may stand for as many codes as it is said to."""
    codes = len(coded_streams(header, chunk)) * chunk.codebooks * chunk.frames
    return header.entropy != EntropyCoder.ADAPTIVE or pays_for(len(chunk.payload), codes)


def codes_of(
    chunks: Iterable[Chunk | None], header: Header, model: EntropyModel | None
) -> Iterator[Codes | None]:
    """Give the codes [streams that are not silent, codebooks, frames] of each chunk in turn.

    Many chunks are decoded at once. None where there is no chunk, or where that fails.
    """
    for batch in _batches(chunks, header):
        end_if_told()
        coded = [chunk for chunk in batch if chunk and chunk.codebooks]
        found = iter(decode_payloads(coded, header, model))
        for chunk in batch:
            if chunk and chunk.codebooks:
                yield next(found)
            else:
                yield np.zeros((0, 0, chunk.frames), np.int64) if chunk else None


def _batches(chunks: Iterable[Chunk | None], header: Header) -> Iterator[list[Chunk | None]]:
    """Put chunks into lists of as many as may be decoded at once; silent ones count for little."""
    batch, streams = list[Chunk | None](), 0
    for chunk in chunks:
        more = len(coded_streams(header, chunk)) if chunk else 0
        if batch and (streams + more > MAX_STREAMS or len(batch) == MAX_STREAMS):
            yield batch
            batch, streams = [], 0
        batch.append(chunk)
        streams += more
    if batch:
        yield batch


def chunk_codes(chunk: Chunk, header: Header, model: EntropyModel | None) -> Codes | None:
    """Return the codes of one chunk, see `codes_of`."""
    return next(codes_of([chunk], header, model))


def undecodable(chunks: Sequence[Chunk], header: Header, model: EntropyModel | None) -> list[int]:
    """Return the indices of those chunks whose payloads are not codes, or whose layers are none."""
    found = zip(chunks, codes_of(chunks, header, model), strict=True)
    return [
        chunk.index
        for chunk, codes in found
        if codes is None or not _has_sound_layer(chunk, header)
    ]


def _has_sound_layer(chunk: Chunk, header: Header) -> bool:
    """Tell whether a chunk's layer, if it has one, can be decoded."""
    try:
        chunk_tones(chunk, header)
        chunk_waveform(chunk, header)
    except NcfError:
        return False
    return True


def chunk_tones(chunk: Chunk, header: Header) -> list[StreamLayer | None]:
    """Return the layer of tones of each stream of a chunk, empty where it has none. Raises NcfError
    where it cannot be decoded.
    """
    if header.layer != LayerKind.MDCT:
        return []
    return decode_layer(header, chunk.frames, chunk.layer)


def chunk_waveform(chunk: Chunk, header: Header) -> ChunkWaveform | None:
    """Return the waveform layer of a chunk; None where it has none. Raises NcfError where it cannot
    be decoded.
    """
    if header.layer != LayerKind.WAVEFORM or not chunk.layer:
        return None
    return decode_waveform(header, chunk.frames, chunk.layer)


def _unpacked(chunk: Chunk, header: Header) -> Codes | None:
    if not chunk.raw and header.entropy != EntropyCoder.NONE:
        raise ValueError(f"payloads of coder {header.entropy.name} without its model")
    streams = len(coded_streams(header, chunk))
    try:
        return unpack_codes(
            chunk.payload, streams, chunk.codebooks, chunk.frames, header.codebook_size
        )
    except NcfError:
        return None


def _decode(
    chunks: Sequence[Chunk], streams: Sequence[int], model: EntropyModel
) -> list[Codes | None]:
    """Decode in step: the first symbol of every chunk, the second of every chunk, and so on.

    Chunks, of so many streams each, with most codebooks come first, so that those that have one
    more stand in front. None for chunks whose payloads are not what encoding gives; work on these
    ends where that is known.
    """
    counts, frames = [chunk.codebooks for chunk in chunks], max(chunk.frames for chunk in chunks)
    having = [sum(count > book for count in counts) for book in range(counts[0])]
    codes = np.zeros((counts[0], frames, sum(streams)), np.int64)
    ends = np.cumsum([0, *streams])
    decoder = (_Singly if len(chunks) <= FEW_CHUNKS else _InStep)(chunks, streams)
    per_stream = zip(counts, streams, strict=True)
    stepper = model.stepper([count for count, same in per_stream for _ in range(same)])
    whole = [False] * len(chunks)
    for frame in range(frames):
        end_if_told()
        for book, count in enumerate(having):
            here = codes[book, frame, : ends[count]]
            decoder.fill(stepper.look(), here, count)
            if all(decoder.lost()):
                return _taken(codes, chunks, ends, whole)
            stepper.push(here)
        # A short chunk goes on for nothing.
        for lane, chunk in enumerate(chunks):
            if chunk.frames == frame + 1:
                whole[lane] = decoder.is_whole(lane)
        going_on = [chunk.frames > frame + 1 for chunk in chunks]
        lost = [
            gone if waits else not fine
            for gone, waits, fine in zip(decoder.lost(), going_on, whole, strict=True)
        ]
        if any(going_on) and 2 * sum(lost) >= len(chunks):
            return _decode_others(chunks, streams, model, lost)
    return _taken(codes, chunks, ends, whole)


def _taken(
    codes: Codes, chunks: Sequence[Chunk], ends: Codes, whole: Sequence[bool]
) -> list[Codes | None]:
    """Take codes [codebooks, frames, streams of all chunks] apart into those of each chunk."""
    return [
        codes[: chunk.codebooks, : chunk.frames, ends[lane] : ends[lane + 1]]
        .transpose(2, 0, 1)
        .copy()
        if whole[lane]
        else None
        for lane, chunk in enumerate(chunks)
    ]


def _decode_others(
    chunks: Sequence[Chunk], streams: Sequence[int], model: EntropyModel, lost: Sequence[bool]
) -> list[Codes | None]:
    """Begin anew with the chunks that are not lost; that takes twice the time at most."""
    kept = [lane for lane, gone in enumerate(lost) if not gone]
    if not kept:
        return [None] * len(chunks)
    found = iter(_decode([chunks[k] for k in kept], [streams[k] for k in kept], model))
    return [None if gone else next(found) for gone in lost]


class _InStep:
    """Decodes the payloads of many chunks together, symbol after symbol."""

    def __init__(self, chunks: Sequence[Chunk], streams: Sequence[int]) -> None:
        self._decoder = RangeDecoder([chunk.payload for chunk in chunks])
        self.is_whole = self._decoder.is_whole
        self._streams = np.array(streams)
        self._first = np.cumsum(self._streams) - self._streams

    def fill(self, look: Look, codes: Codes, count: int) -> None:
        """Decode the next symbols [rows] of the first so many chunks, of all of their streams."""
        most, same = int(self._streams.max()), int(self._streams.min())
        if most == same:
            for stream in range(most):
                rows = slice(stream, None, most)
                codes[rows] = self._decoder.take(look, rows, slice(count))
            return
        for stream in range(most):
            lanes = np.nonzero(self._streams[:count] > stream)[0]
            which = self._first[lanes] + stream
            codes[which] = self._decoder.take(look, which, lanes)

    def lost(self) -> list[bool]:
        """See `RangeDecoder.lost`."""
        lost: list[bool] = self._decoder.lost().tolist()
        return lost


class _Singly:
    """Decodes the payloads of few chunks one after the other."""

    def __init__(self, chunks: Sequence[Chunk], streams: Sequence[int]) -> None:
        self._decoders = [SingleDecoder(chunk.payload) for chunk in chunks]
        self._streams = streams

    def fill(self, look: Look, codes: Codes, count: int) -> None:
        """See `_InStep`."""
        lanes = zip(self._decoders[:count], self._streams, strict=False)
        rows = ((decoder, stream) for decoder, streams in lanes for stream in range(streams))
        codes[:] = [decoder.take(look, row) for row, (decoder, _) in enumerate(rows)]

    def lost(self) -> list[bool]:
        """See `RangeDecoder.lost`."""
        return [decoder.lost() for decoder in self._decoders]

    def is_whole(self, lane: int) -> bool:
        """See `RangeDecoder.is_whole`."""
        return self._decoders[lane].is_whole()
