"""A chunk: about a second of audio as codes, standing on its own."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import NamedTuple

from .errors import NcfError
from .header import EntropyCoder, Header, ScaleKind
from .varint import encode_varint, read_varint

INDEX_MODULUS = 4096
RAW, MID_SIDE, SHORT, END = 1 << 12, 1 << 13, 1 << 14, 1 << 15
SMALLEST_CHUNK = 7
"""A silent chunk: word, codebooks, CRC."""
MAX_CHUNKS = 2**22
MAX_SCALE = 2.0**32
CRC_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Codes of one chunk, still packed, with what is needed to unpack and place them."""

    index: int
    """Counts from 0; the chunk starts at model-rate sample index * header.chunk_stride."""
    codebooks: int
    """Codebooks used; 0 says that the chunk is silence, without scales and payload."""
    frames: int
    """Code frames per stream: header.chunk_frames, fewer in a short last chunk only."""
    scales: tuple[int, ...] | tuple[float, ...] = ()
    """One per stream; () in silence and for ScaleKind.NONE. See ScaleKind."""
    payload: bytes = b""
    raw: bool = False
    """The payload is raw although the header names an entropy coder."""
    mid_side: bool = False
    """Streams 0 and 1 are mid and side: left = mid + side, right = mid - side."""


class ChunkHead(NamedTuple):
    """The part of a chunk before its payload, and the lengths that follow from it."""

    number: int
    """The index modulo 4096."""
    word: int
    codebooks: int
    frames: int
    scales: tuple[int, ...] | tuple[float, ...]
    payload_at: int
    payload_length: int

    @property
    def length(self) -> int:
        """Bytes of the whole chunk."""
        return self.payload_at + self.payload_length + CRC_BYTES


def coded_streams(header: Header, chunk: Chunk) -> tuple[int, ...]:
    """Numbers of the streams that have codes in the payload, in their order there."""
    return _coded(header, chunk.codebooks, chunk.scales)


def encode_chunk(header: Header, chunk: Chunk) -> bytes:
    """Whole chunk, from its word to its CRC. Raises NcfError for what the header rules out."""
    _check(header, chunk)
    word = chunk.index % INDEX_MODULUS | RAW * chunk.raw | MID_SIDE * chunk.mid_side
    short = chunk.frames != header.chunk_frames
    data = bytearray(struct.pack("<HB", word | SHORT * short, chunk.codebooks))
    if short:
        data += encode_varint(chunk.frames)
    if chunk.codebooks:
        kind = "B" if header.scale_kind == ScaleKind.LOG else "f"
        data += struct.pack(f"<{len(chunk.scales)}{kind}", *chunk.scales)
        data += encode_varint(len(chunk.payload)) + chunk.payload
    return bytes(data + struct.pack("<I", zlib.crc32(data)))


def parse_chunk(header: Header, data: bytes | bytearray) -> ChunkHead | int:
    """Head of the chunk at the start of ``data``, or how many bytes are needed to go on.

    Raises NcfError where no chunk of this file can start so.
    """
    if len(data) < SMALLEST_CHUNK:
        return SMALLEST_CHUNK
    word, codebooks = struct.unpack_from("<HB", data)
    if word & END:
        raise NcfError("a trailer, not a chunk")
    try:
        frames, at = header.chunk_frames, 3
        if word & SHORT:
            frames, at = read_varint(data, at)
            if not 1 <= frames < header.chunk_frames:
                raise NcfError(f"short chunk of {frames} frames")
        scales: tuple[int, ...] | tuple[float, ...] = ()
        length = 0
        if codebooks:
            if len(data) < at + header.scale_bytes:
                return at + header.scale_bytes
            scales = _read_scales(header, data, at)
            length, at = read_varint(data, at + header.scale_bytes)
    except EOFError:
        return len(data) + 1
    _check_coding(header, word, codebooks, frames, scales, length)
    return ChunkHead(word % INDEX_MODULUS, word, codebooks, frames, scales, at, length)


def crc_holds(data: bytes | bytearray, length: int) -> bool:
    """Whether the first ``length`` bytes end with the CRC-32 of those before."""
    end = length - CRC_BYTES
    return int.from_bytes(data[end:length], "little") == zlib.crc32(data[:end])


def build_chunk(head: ChunkHead, data: bytes | bytearray, index: int) -> Chunk:
    """Chunk ``index``, of which ``data`` holds the bytes and ``head`` is the head."""
    payload = bytes(data[head.payload_at : head.payload_at + head.payload_length])
    return Chunk(
        index=index,
        codebooks=head.codebooks,
        frames=head.frames,
        scales=head.scales,
        payload=payload,
        raw=bool(head.word & RAW),
        mid_side=bool(head.word & MID_SIDE),
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
    """Refuse to write what could not be read."""
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
        _check_coding(header, word, chunk.codebooks, chunk.frames, chunk.scales, len(chunk.payload))
    except NcfError as error:
        raise NcfError(f"chunk {chunk.index}: {error}") from None


def _check_coding(
    header: Header,
    word: int,
    codebooks: int,
    frames: int,
    scales: tuple[int, ...] | tuple[float, ...],
    payload_length: int,
) -> None:
    """What holds for every chunk that is written or read, beyond its grammar."""
    if not 0 <= codebooks <= header.codebooks:
        raise NcfError(f"{codebooks} codebooks: 0 to {header.codebooks} are possible")
    if not codebooks:
        if word & (RAW | MID_SIDE) or payload_length:
            raise NcfError("a silent chunk has no payload and is neither raw nor mid/side")
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
