"""WAV headers, read from files and from streams that cannot be sought.

RIFF and RIFX as in Microsoft's "Multiple Channel Audio Data and WAVE Files", 64-bit sizes as in
EBU Tech 3306 (RF64) and ITU-R BS.2088 (BW64), Sony's Wave64, tags as a LIST chunk of type INFO.

A header's sizes are what its writer knew, which may be nothing (a pipe) or wrong (a crash). Here
the bytes that are there decide, and `WavHeader.doubt` says so.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from neucodec.errors import NeucodecError
from neucodec.files.byte_streams import Prelude

from .pcm import SAMPLE_FORMATS, RawFormat, SampleFormat

_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
MPEG_TAGS = (0x50, 0x55)
"""Codings that are a stream of MPEG audio."""
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")  # of every GUID that wraps a tag
_UNKNOWN = 0xFFFFFFFF  # a size that the writer did not know
_DS64_BYTES = 28
_LARGEST_TAGS = 1 << 20
_LARGEST_PRELUDE = 1 << 20  # bytes before the fmt chunk that are kept for another reader
_FORMAT_BYTES = 40
_MOST_CHUNKS = 10_000  # that are looked at behind the audio

# Wave64 names its chunks by GUIDs: four letters, then one of these.
_W64_TAILS = (bytes.fromhex("2e91cf11a5d628db04c10000"), bytes.fromhex("f3acd3118cd100c04f8edb8a"))

INFO_TAGS = {
    b"INAM": "TITLE",
    b"IART": "ARTIST",
    b"IPRD": "ALBUM",
    b"ICRD": "DATE",
    b"ITRK": "TRACKNUMBER",
    b"IGNR": "GENRE",
    b"ICMT": "COMMENT",
    b"ICOP": "COPYRIGHT",
}


@dataclass(frozen=True)
class WavFormat:
    """What a fmt chunk says."""

    tag: int
    """WAVE_FORMAT_..., that within WAVE_FORMAT_EXTENSIBLE."""
    sample_rate: int
    channels: int
    sample_format: SampleFormat | None
    """None for codings other than PCM, float, A-law and mu-law."""
    mask: int | None = None
    """The channel mask of WAVE_FORMAT_EXTENSIBLE."""


@dataclass
class Chunks:
    """Heads of chunks, one after the other, in RIFF's form or Wave64's."""

    stream: Prelude
    wide: bool
    """Whether they are Wave64's."""
    order: str
    """Byte order, "<" or ">"."""
    riff_bytes: int
    """Of the whole file, as its head says."""

    def take(self) -> tuple[bytes, int, int] | None:
        """Name, bytes and bytes with padding of the next chunk; None at the end."""
        if not self.wide:
            head = self.stream.take(8)
            if len(head) < 8:
                return None
            name, size = struct.unpack(self.order + "4sI", head)
            return name, size, size + size % 2
        head = self.stream.take(24)
        if len(head) < 24:
            return None
        name = head[:4] if head[4:16] in _W64_TAILS else b"\0\0\0\0"
        size = max(0, struct.unpack("<Q", head[16:])[0] - 24)
        return name, size, size + -size % 8


@dataclass(frozen=True)
class WavHeader:
    """What a WAV stream says of its audio; the audio itself follows in the stream."""

    format: WavFormat
    data_bytes: int | None
    """None: until the end of the stream."""
    chunks: Chunks
    data_start: int
    """Bytes before the audio."""
    peeked: bytes = b""
    """Bytes behind `data_start` that had to be looked at and have been taken from the stream."""
    tags: dict[str, str] = field(default_factory=dict)
    doubt: str = ""
    """What is wrong with the sizes, where the writer seems to have known its size and the audio is
    read to the end of the stream nevertheless."""

    @property
    def raw_format(self) -> RawFormat | None:
        """How the audio is stored; None for codings other than PCM."""
        found = self.format
        if found.sample_format is None:
            return None
        return RawFormat(found.sample_rate, found.channels, found.sample_format.name)


def read_header(stream: Prelude) -> WavHeader | None:
    """Read a WAV header and stop before the first byte of audio.

    None where `stream` is something else, or has too much before its format: then `stream.kept`
    holds all that was read, as it does for codings other than PCM. NeucodecError where it ends
    too early.
    """
    chunks = _read_head(stream)
    if chunks is None:
        return None
    wide_bytes: int | None = None
    found: WavFormat | None = None
    tags: dict[str, str] = {}
    while head := chunks.take():
        name, size, padded = head
        if name == b"data" and found:
            if wide_bytes is not None and size == _UNKNOWN:
                size = wide_bytes
            return _at_audio(found, size, chunks, tags)
        if not found and padded > _LARGEST_PRELUDE:
            return None
        if name == b"fmt " and size >= 16:
            found = read_format(stream.take(min(padded, _FORMAT_BYTES)), chunks.order)
            if found is None:
                return None
            if found.sample_format:
                stream.forget()
            stream.skip(max(0, padded - _FORMAT_BYTES))
        elif name == b"ds64" and size >= _DS64_BYTES:
            riff_bytes, wide_bytes = struct.unpack("<QQ", stream.take(16).ljust(16, b"\0"))
            chunks.riff_bytes = riff_bytes + 8
            stream.skip(padded - 16)
        elif name.upper() == b"LIST" and size <= _LARGEST_TAGS:
            tags.update(read_info(stream.take(padded)[:size], chunks.order))
        else:
            stream.skip(padded)
        if not (found and found.sample_format) and stream.position > _LARGEST_PRELUDE:
            return None
    if not found:
        return None
    raise NeucodecError("this WAV ends within its header, before any audio")


def _read_head(stream: Prelude) -> Chunks | None:
    start = stream.take(12)
    if start[:4] == b"riff":
        start += stream.take(28)
        if len(start) < 40 or start[24:28] != b"wave":
            return None
        return Chunks(stream, True, "<", int(struct.unpack("<Q", start[16:24])[0]))
    if len(start) < 12 or start[8:] != b"WAVE":
        return None
    if start[:4] not in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return None
    order = ">" if start[:4] == b"RIFX" else "<"
    return Chunks(stream, False, order, 8 + int(struct.unpack(order + "I", start[4:8])[0]))


def read_rest(header: WavHeader, audio_bytes: int) -> tuple[dict[str, str], str]:
    """Read on behind the audio: its tags, and what is left out of what else there is.

    The stream stands where `audio_bytes` of audio end. What belongs to no chunk is named if it is
    more than zeros; so is a second file behind the first.
    """
    chunks, stream = header.chunks, header.chunks.stream
    stream.skip(-audio_bytes % (8 if chunks.wide else 2))
    tags: dict[str, str] = {}
    for _ in range(_MOST_CHUNKS):
        if (head := chunks.take()) is None:
            break
        name, size, padded = head
        if name in (b"RIFF", b"RIFX", b"RF64", b"BW64", b"riff"):
            left = stream.skip(padded) + stream.skip(1 << 62)
            return tags, f"another WAV of {left + 8} bytes follows the first one and is left out"
        if not all(0x20 <= c < 0x7F for c in name):
            held = name.strip(b"\0")
            left = stream.skip(1 << 62) + 8
            return tags, f"{left} bytes behind its end are left out" if held else ""
        if name.upper() == b"LIST" and size <= _LARGEST_TAGS:
            tags.update(read_info(stream.take(padded)[:size], chunks.order))
        else:
            stream.skip(padded)
    stream.skip(1 << 62)
    return tags, ""


def _at_audio(found: WavFormat, size: int, chunks: Chunks, tags: dict[str, str]) -> WavHeader:
    """The header before a data chunk of `size` bytes, as its head says.

    Writers to pipes leave 0, or something just below 2 GiB (sox) or 4 GiB (ffmpeg). An empty data
    chunk is meant where another chunk follows; elsewhere its writer did not know.
    """
    start = chunks.stream.position
    if size:
        return WavHeader(found, None if _is_placeholder(size) else size, chunks, start, b"", tags)
    if _is_placeholder(chunks.riff_bytes) or chunks.riff_bytes <= start:
        return WavHeader(found, None, chunks, start, b"", tags)
    peeked = chunks.stream.take(24 if chunks.wide else 8)
    if _is_chunk_head(peeked, chunks, chunks.riff_bytes - start):
        return WavHeader(found, 0, chunks, start, peeked, tags)
    doubt = "its header says that it is empty: read to the end of the file" if peeked else ""
    return WavHeader(found, None, chunks, start, peeked, tags, doubt)


def _is_chunk_head(data: bytes, chunks: Chunks, left: int) -> bool:
    if chunks.wide:
        return len(data) == 24 and data[4:16] in _W64_TAILS
    if len(data) < 8 or not all(0x20 <= c < 0x7F for c in data[:4]):
        return False
    return 8 + int(struct.unpack(chunks.order + "I", data[4:8])[0]) <= left


def _is_placeholder(size: int) -> bool:
    return 0x7FFF0000 <= size <= 0x80000000 or 0xFFFF0000 <= size <= _UNKNOWN or size >= 1 << 62


def read_format(data: bytes, order: str) -> WavFormat | None:
    """What the fmt chunk `data` says; None where it cannot be.

    A sample of more than 16 bits may have four bytes; its bits are the upper ones.
    """
    if len(data) < 16:
        return None
    tag, channels, sample_rate, _, align, bits = struct.unpack(order + "HHIIHH", data[:16])
    mask: int | None = None
    if tag == _EXTENSIBLE:
        if len(data) < 40 or data[26:40] != _GUID_TAIL or order == ">":
            return None
        mask, tag = struct.unpack("<IH", data[20:26])
    if not sample_rate or not channels:
        return None
    width = align // channels if align % channels == 0 else 0
    if width != (bits + 7) // 8 and not (tag == _PCM and width == 4 and 16 < bits <= 32):
        width = 0
    end = "le" if order == "<" else "be"
    names = {
        (_PCM, 1): "u8",
        (_PCM, 2): f"s16{end}",
        (_PCM, 3): f"s24{end}",
        (_PCM, 4): f"s32{end}",
        (_FLOAT, 4): f"f32{end}",
        (_FLOAT, 8): f"f64{end}",
        (_ALAW, 1): "alaw",
        (_MULAW, 1): "mulaw",
    }
    name = names.get((tag, width))
    return WavFormat(tag, sample_rate, channels, SAMPLE_FORMATS[name] if name else None, mask)


def read_info(data: bytes, order: str) -> dict[str, str]:
    """The tags of a LIST chunk, by their Vorbis comment names; none of one that is no INFO."""
    tags: dict[str, str] = {}
    if data[:4] != b"INFO":
        return tags
    position = 4
    while position + 8 <= len(data):
        name, size = struct.unpack_from(order + "4sI", data, position)
        text = data[position + 8 : position + 8 + size].split(b"\0")[0]
        if name in INFO_TAGS and text.strip():
            tags[INFO_TAGS[name]] = decode_text(text).strip()
        position += 8 + size + size % 2
    return tags


def decode_text(text: bytes) -> str:
    """UTF-8 as written today, else the Windows code page of old."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")
