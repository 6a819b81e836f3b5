"""Write and read chunks: about a second of audio as codes, each on its own."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import NamedTuple

from neucodec.formats.entropy.varint import encode_varint, read_varint
from neucodec.formats.errors import NcfError

from .header import EntropyCoder, Header, LayerKind, ScaleKind

INDEX_MODULUS = 4096
RAW, MID_SIDE, SHORT, END = 1 << 12, 1 << 13, 1 << 14, 1 << 15
LAYER = 1 << 7
"""Flag in the byte with the number of codebooks: the chunk has a layer. Only in files whose chunks
may have layers."""
SMALLEST_CHUNK = 7
"""Bytes of the smallest chunk, a silent one: word, codebooks, CRC."""
MAX_CHUNKS = 2**22
MAX_SCALE = 2.0**32
CRC_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Codes of one chunk, still packed, with what is needed to unpack and place them."""

    index: int
    """Number of the chunk, from 0; it starts at sample index * header.chunk_stride at the model's
    rate."""
    codebooks: int
    """How many codebooks are used. 0: there are no codes, scales or payload, so that the chunk is
    silence, or its layer alone."""
    frames: int
    """Code frames per stream: header.chunk_frames, fewer only in a short last chunk."""
    scales: tuple[int, ...] | tuple[float, ...] = ()
    """Scale of each stream, see ScaleKind; () in silence and for ScaleKind.NONE."""
    payload: bytes = b""
    """Codes of all streams that are not silent, packed or entropy coded."""
    raw: bool = False
    """Whether the payload is raw although the header names an entropy coder."""
    mid_side: bool = False
    """Whether streams 0 and 1 are mid and side: left = mid + side, right = mid - side."""
    layer: bytes = b""
    """Layer that is added to the audio of the codes, see `neucodec.formats.ncf.layer`; empty where
    there is none."""


class ChunkHead(NamedTuple):
    """The part of a chunk before its payload, and the lengths that follow from it."""

    number: int
    """The chunk's index modulo 4096."""
    word: int
    """The first two bytes: number and flags."""
    codebooks: int
    frames: int
    scales: tuple[int, ...] | tuple[float, ...]
    payload_at: int
    payload_length: int
    layer_at: int
    layer_length: int

    @property
    def length(self) -> int:
        """Length of the whole chunk in bytes."""
        return self.layer_at + self.layer_length + CRC_BYTES


def coded_streams(header: Header, chunk: Chunk) -> tuple[int, ...]:
    """Return the numbers of the streams that have codes in the payload, in their order there."""
    return _coded(header, chunk.codebooks, chunk.scales)


def encode_chunk(header: Header, chunk: Chunk) -> bytes:
    """Return a chunk's bytes, from its word to its CRC; NcfError for what the header rules out."""
    _check(header, chunk)
    word = chunk.index % INDEX_MODULUS | RAW * chunk.raw | MID_SIDE * chunk.mid_side
    short = chunk.frames != header.chunk_frames
    books = chunk.codebooks | LAYER * bool(chunk.layer)
    data = bytearray(struct.pack("<HB", word | SHORT * short, books))
    if short:
        data += encode_varint(chunk.frames)
    if chunk.codebooks:
        kind = "B" if header.scale_kind == ScaleKind.LOG else "f"
        data += struct.pack(f"<{len(chunk.scales)}{kind}", *chunk.scales)
        data += encode_varint(len(chunk.payload)) + chunk.payload
    if chunk.layer:
        data += encode_varint(len(chunk.layer)) + chunk.layer
    return bytes(data + struct.pack("<I", zlib.crc32(data)))


def parse_chunk(header: Header, data: bytes | bytearray) -> ChunkHead | int:
    """Read the head of the chunk at the start of ``data``, or say how many bytes are needed first.

    Raises NcfError where no chunk of this file can start so.
    """
    if len(data) < SMALLEST_CHUNK:
        return SMALLEST_CHUNK
    word, books = struct.unpack_from("<HB", data)
    layered = books >= LAYER and header.layer != LayerKind.NONE
    codebooks = books - LAYER * layered
    if word & END:
        raise NcfError("a trailer, not a chunk")
    try:
        frames, at = header.chunk_frames, 3
        if word & SHORT:
            frames, at = read_varint(data, at)
            if not 1 <= frames < header.chunk_frames:
                raise NcfError(f"short chunk of {frames} frames")
        scales: tuple[int, ...] | tuple[float, ...] = ()
        length = layer = 0
        if codebooks:
            if len(data) < at + header.scale_bytes:
                return at + header.scale_bytes
            scales = _read_scales(header, data, at)
            length, at = read_varint(data, at + header.scale_bytes)
        _check_coding(header, word, codebooks, frames, scales, length, layered)
        layer_at = at + length
        if layered:
            if len(data) <= layer_at:
                return layer_at + 1
            layer, layer_at = read_varint(data, layer_at)
            _check_layer(header, layer)
    except EOFError:
        return len(data) + 1
    return ChunkHead(
        word % INDEX_MODULUS, word, codebooks, frames, scales, at, length, layer_at, layer
    )


def crc_holds(data: bytes | bytearray, length: int) -> bool:
    """Return whether the first ``length`` bytes end with the CRC-32 of those before."""
    end = length - CRC_BYTES
    return int.from_bytes(data[end:length], "little") == zlib.crc32(data[:end])


def build_chunk(head: ChunkHead, data: bytes | bytearray, index: int) -> Chunk:
    """Make chunk ``index`` from its head and the ``data`` that begin with it."""
    payload = bytes(data[head.payload_at : head.payload_at + head.payload_length])
    return Chunk(
        index=index,
        codebooks=head.codebooks,
        frames=head.frames,
        scales=head.scales,
        payload=payload,
        raw=bool(head.word & RAW),
        mid_side=bool(head.word & MID_SIDE),
        layer=bytes(data[head.layer_at : head.layer_at + head.layer_length]),
    )


def _coded(
    header: Header, codebooks: int, scales: tuple[int, ...] | tuple[float, ...]
) -> tuple[int, ...]:
    if not codebooks:
        return ()
    if header.scale_kind != ScaleKind.LOG:
        return tuple(range(header.streams))
    return tuple(stream for stream, scale in enumerate(scales) if scale)


def _read_scales(
    header: Header, data: bytes | bytearray, at: int
) -> tuple[int, ...] | tuple[float, ...]:
    if header.scale_kind == ScaleKind.NONE:
        return ()
    if header.scale_kind == ScaleKind.LOG:
        return tuple(data[at : at + header.streams])
    scales: tuple[float, ...] = struct.unpack_from(f"<{header.streams}f", data, at)
    return scales


def _check(header: Header, chunk: Chunk) -> None:
    """Raise NcfError for a chunk that could not be read again."""
    if not 0 <= chunk.index < MAX_CHUNKS:
        raise NcfError(f"chunk {chunk.index}: an .ncf holds chunks 0 to {MAX_CHUNKS - 1}")
    if not 1 <= chunk.frames <= header.chunk_frames:
        raise NcfError(
            f"chunk {chunk.index} has {chunk.frames} frames: 1 to {header.chunk_frames} fit"
        )
    with_scales = chunk.codebooks and header.scale_kind != ScaleKind.NONE
    if len(chunk.scales) != header.streams * bool(with_scales):
        raise NcfError(
            f"chunk {chunk.index} has {len(chunk.scales)} scales: "
            f"{header.streams * bool(with_scales)} are needed"
        )
    if header.scale_kind == ScaleKind.LOG and not all(
        isinstance(scale, int) and 0 <= scale <= 255 for scale in chunk.scales
    ):
        raise NcfError(f"chunk {chunk.index} has scales {chunk.scales}: bytes are needed")
    word = RAW * chunk.raw | MID_SIDE * chunk.mid_side
    try:
        _check_coding(
            header, word, chunk.codebooks, chunk.frames, chunk.scales, len(chunk.payload),
            bool(chunk.layer),
        )  # fmt: skip
        if chunk.layer:
            _check_layer(header, len(chunk.layer))
    except NcfError as error:
        raise NcfError(f"chunk {chunk.index}: {error}") from None


def _check_coding(
    header: Header,
    word: int,
    codebooks: int,
    frames: int,
    scales: tuple[int, ...] | tuple[float, ...],
    payload_length: int,
    layered: bool,
) -> None:
    """Raise NcfError where a chunk, written or read, breaks a rule beyond the grammar."""
    if not 0 <= codebooks <= header.codebooks:
        raise NcfError(f"{codebooks} codebooks: 0 to {header.codebooks} are possible")
    if not codebooks:
        if word & (RAW if layered else RAW | MID_SIDE) or payload_length:
            raise NcfError("a silent chunk has no payload and is neither raw nor mid/side")
        if word & MID_SIDE and header.streams < 2:
            raise NcfError("mid/side needs two streams")
        return
    if word & RAW and header.entropy == EntropyCoder.NONE:
        raise NcfError("marked as raw although the file has no entropy coder")
    if word & MID_SIDE and header.streams < 2:
        raise NcfError("mid/side needs two streams")
    if header.scale_kind == ScaleKind.FLOAT and not all(
        math.isfinite(scale) and 0 <= scale <= MAX_SCALE for scale in scales
    ):
        raise NcfError(f"scales {scales}: 0 to 2**32 are possible")
    streams = len(_coded(header, codebooks, scales))
    if not streams:
        raise NcfError("every stream is silent: write a silent chunk, with 0 codebooks")
    most = header.raw_bytes(streams, codebooks, frames)
    is_raw = bool(word & RAW) or header.entropy == EntropyCoder.NONE
    if payload_length != most if is_raw else payload_length > most:
        raise NcfError(
            f"payload of {payload_length} bytes: {'exactly' if is_raw else 'at most'} {most} fit"
        )


def _check_layer(header: Header, length: int) -> None:
    """Raise NcfError where a layer of ``length`` bytes is not allowed in the file."""
    if header.layer == LayerKind.NONE:
        raise NcfError("a layer in a file whose chunks have none")
    if not 1 <= length <= header.largest_layer:
        raise NcfError(f"a layer of {length} bytes: 1 to {header.largest_layer} fit")
