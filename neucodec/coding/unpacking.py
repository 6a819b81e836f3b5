"""Chunks of a file to what decoding each of them takes: codes, layers and neighbours' codes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from neucodec.formats import Chunk, ChunkWaveform, Header, NcfError, StreamLayer
from neucodec.models import State
from neucodec.parallel.batches import in_batches
from neucodec.parallel.ordered_work import in_order
from neucodec.parallel.thread_counts import available_threads

from .entropy import Codes, EntropyModel
from .payloads import MAX_STREAMS, chunk_tones, chunk_waveform, decode_payloads

MAX_ENTROPY_THREADS = 4
"""Threads that decode payloads; each has a batch of chunks in work, and the memory for it."""


@dataclass(frozen=True)
class UnpackedChunk:
    """A chunk ready to be decoded."""

    index: int
    frames: int
    chunk: Chunk | None
    """The chunk as it is stored; None where it is lost."""
    codes: Codes | None = None
    """[streams with codes, codebooks, before + frames + after]; None if lost or silent."""
    layer: Sequence[StreamLayer | None] = ()
    """The layer of tones of each stream, to be added; empty where there is none."""
    waveform: ChunkWaveform | None = None
    """The waveform layer; None where there is none."""
    before: int = 0
    """Frames of the chunk before that stand in front of the chunk's own."""
    state: State = None
    """The state that a causal codec's decoder starts from; None where chunks are independent."""


def unpack_chunks(
    chunks: Iterable[tuple[int, Chunk | None]],
    header: Header,
    context: int,
    entropy_model: EntropyModel | None = None,
    threads: int | None = None,
) -> Iterator[UnpackedChunk]:
    """Unpack chunks (index, chunk or None where lost), given in order and without gaps.

    ``context`` is how many frames of its neighbours decoding a chunk takes. Next to a chunk that
    is lost there is none, as at the ends of the signal: that changes the few frames around the
    loss and keeps everything else as it was.
    """
    unpacked = _unpack_ahead(chunks, header, entropy_model, threads)
    if not context:
        yield from unpacked
        return
    nothing = UnpackedChunk(-1, 0, None)
    before, own = nothing, next(unpacked, None)
    while own:
        after = next(unpacked, None)
        yield _with_context(before, own, after or nothing, context)
        before, own = own, after


def _unpack_ahead(
    chunks: Iterable[tuple[int, Chunk | None]],
    header: Header,
    entropy_model: EntropyModel | None,
    threads: int | None,
) -> Iterator[UnpackedChunk]:
    """Unpack without context. Entropy models decode many chunks at once, ahead of time."""
    if entropy_model is None:
        for index, chunk in chunks:
            yield from _unpack(header, None, [(index, chunk)])
        return
    most = max(1, MAX_STREAMS // header.streams)
    batches = in_batches(chunks, most, first_size=max(1, most // 4))
    workers = min(threads or available_threads(), MAX_ENTROPY_THREADS)
    for batch in in_order(partial(_unpack, header, entropy_model), batches, workers):
        yield from batch


def _unpack(
    header: Header,
    entropy_model: EntropyModel | None,
    chunks: list[tuple[int, Chunk | None]],
) -> list[UnpackedChunk]:
    """Unpack several chunks at once; those that cannot be unpacked are lost."""
    coded = [chunk for _, chunk in chunks if chunk and chunk.codebooks and _fits(chunk, header)]
    indices = [chunk.index for chunk in coded]
    codes = dict(zip(indices, decode_payloads(coded, header, entropy_model), strict=True))

    def unpack(index: int, chunk: Chunk | None) -> UnpackedChunk:
        if chunk is None:
            return UnpackedChunk(index, header.chunk_frames, None)
        found = codes.get(index)
        lost = UnpackedChunk(index, chunk.frames, None)
        if not _fits(chunk, header) or (chunk.codebooks and found is None):
            return lost
        try:
            tones, waveform = chunk_tones(chunk, header), chunk_waveform(chunk, header)
        except NcfError:
            return lost
        return UnpackedChunk(index, chunk.frames, chunk, found, tones, waveform)

    return [unpack(index, chunk) for index, chunk in chunks]


def _fits(chunk: Chunk, header: Header) -> bool:
    """Tell whether mid and side can be made left and right again."""
    return not chunk.mid_side or header.streams == header.channels


def _with_context(
    before: UnpackedChunk, own: UnpackedChunk, after: UnpackedChunk, context: int
) -> UnpackedChunk:
    """Put up to ``context`` frames of its neighbours' codes on either side of a chunk's own."""
    if own.codes is None:
        return own
    streams, codebooks = own.codes.shape[:2]

    def usable(other: UnpackedChunk) -> Codes:
        if other.codes is None or len(other.codes) != streams or other.codes.shape[1] < codebooks:
            return np.zeros((streams, codebooks, 0), np.int64)
        return other.codes[:, :codebooks]

    left = usable(before)[..., -context:]
    codes = np.concatenate([left, own.codes, usable(after)[..., :context]], axis=-1)
    return replace(own, codes=codes, before=left.shape[-1])
