"""Find where in a stretch of bytes a chunk or a trailer can start: the grammar, at every byte."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neucodec.formats.entropy.varint import MAX_VARINT_BYTES, read_varints
from neucodec.formats.ncf.chunk import CRC_BYTES, END, INDEX_MODULUS, LAYER, MID_SIDE, RAW, SHORT
from neucodec.formats.ncf.header import EntropyCoder, Header, LayerKind, ScaleKind
from neucodec.formats.ncf.trailer import MAX_BODY_BYTES, TAIL

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


class Candidates(NamedTuple):
    """Stretches that read like a chunk or trailer, by their start; CRCs not yet checked."""

    start: Places
    crc: Places
    """Places of the four bytes of the CRC, which is over everything from ``start`` to there."""
    end: Places


def lookahead(header: Header) -> int:
    """Return how many bytes behind a start `candidates` reads to judge it."""
    # A trailer's word, the length of its body, and the body's first varint.
    chunk = header.largest_head
    if header.layer != LayerKind.NONE:  # whose length stands behind the payload
        chunk += header.largest_payload + MAX_VARINT_BYTES
    return max(chunk, 2 + 2 * MAX_VARINT_BYTES)


def candidates(header: Header, data: Bytes, starts: int) -> Candidates:
    """Return the candidates that start at one of the first ``starts`` bytes.

    ``data`` goes on for ``lookahead`` bytes after them, with zeros if the stream ends there.
    """
    word = data[:starts].astype(np.int64) | data[1 : starts + 1].astype(np.int64) << 8
    chunks = _chunks(header, data, word)
    trailers = _trailers(data, word)
    merged = (np.concatenate(pair) for pair in zip(chunks, trailers, strict=True))
    start, crc, end = merged
    order = np.argsort(start, kind="stable")
    return Candidates(start[order], crc[order], end[order])


def _chunks(header: Header, data: Bytes, word: Places) -> Candidates:
    codebooks = data[2 : len(word) + 2].astype(np.int64)
    may_layer = header.layer != LayerKind.NONE
    layered = (codebooks >= LAYER) & may_layer
    codebooks -= LAYER * layered
    # Flags that cannot be set in this file; in a silent chunk only SHORT can be set.
    never = END
    never |= SHORT if header.chunk_frames == 1 else 0
    never |= MID_SIDE if header.streams == 1 else 0
    never |= RAW if header.entropy == EntropyCoder.NONE else 0
    silent = never | RAW | np.where(layered, 0, MID_SIDE)
    flags = np.where(codebooks == 0, silent, never)
    start = np.nonzero((codebooks <= header.codebooks) & (word & flags == 0))[0].astype(np.int64)
    word, codebooks, layered = word[start], codebooks[start], layered[start]

    frames = np.full(len(start), header.chunk_frames, np.int64)
    at = start + 3
    possible = np.ones(len(start), np.bool_)
    short = np.nonzero(word & SHORT)[0]
    frames[short], at[short], possible[short] = read_varints(data, at[short])
    possible[short] &= (frames[short] >= 1) & (frames[short] < header.chunk_frames)

    coded = np.nonzero(possible & (codebooks > 0))[0]
    streams = np.full(len(coded), header.streams, np.int64)
    if header.scale_kind == ScaleKind.LOG:
        sounding = np.concatenate([[0], np.cumsum(data != 0)])
        streams = sounding[at[coded] + header.streams] - sounding[at[coded]]
    at[coded] += header.scale_bytes
    length, at[coded], valid = read_varints(data, at[coded])
    most = (streams * codebooks[coded] * frames[coded] * header.code_bits + 7) // 8
    exact = (word[coded] & RAW != 0) | (header.entropy == EntropyCoder.NONE)
    valid &= (streams > 0) & np.where(exact, length == most, length <= most)
    possible[coded] = valid
    at[coded[valid]] += length[valid]
    more = np.nonzero(possible & layered)[0]
    length, at[more], valid = read_varints(data, at[more])
    valid &= (length >= 1) & (length <= header.largest_layer)
    possible[more] = valid
    at[more[valid]] += length[valid]
    start, at = start[possible], at[possible]
    return Candidates(start, at, at + CRC_BYTES)


def _trailers(data: Bytes, word: Places) -> Candidates:
    start = np.nonzero(word & ~(INDEX_MODULUS - 1) == END)[0].astype(np.int64)
    length, at, valid = read_varints(data, start + 2)
    valid &= (length >= 2) & (length <= MAX_BODY_BYTES)
    start, length, at = start[valid], length[valid], at[valid]
    count, _, valid = read_varints(data, at)
    valid &= (count % INDEX_MODULUS == word[start] % INDEX_MODULUS) & (count <= length)
    start, crc = start[valid], (at + length)[valid]
    return Candidates(start, crc, crc + TAIL.size)
