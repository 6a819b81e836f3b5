"""Reads WAV headers, from files and from streams that cannot seek.

RIFF and RIFX as in Microsoft's "Multiple Channel Audio Data and WAVE Files", 64-bit sizes as in
EBU Tech 3306 (RF64) and ITU-R BS.2088 (BW64), Sony's Wave64, tags as a LIST chunk of type INFO.

A header has the sizes that its writer knew when it wrote it: none where it wrote to a pipe, wrong
ones where it crashed. Here the bytes that are there decide, and `WavHeader.doubt` says so.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from neucodec.errors import NeucodecError
from neucodec.files.byte_streams import Prelude

from .pcm import SAMPLE_FORMATS, RawFormat, SampleFormat

_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
MPEG_TAGS = (0x50, 0x55)
"""Format tags of MPEG audio."""
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")  # the end of GUIDs that hold a tag
_UNKNOWN = 0xFFFFFFFF  # stands for a size that the writer did not know
_DS64_BYTES = 28
_MAX_TAGS_BYTES = 1 << 20
_MAX_PRELUDE_BYTES = 1 << 20  # before the fmt chunk, kept for another reader
_FORMAT_BYTES = 40
_MAX_CHUNKS = 10_000  # how many are read behind the audio

# Wave64 names its chunks by GUIDs: four letters, then one of these ends.
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
"""Names of chunks in a LIST chunk of type INFO, and the Vorbis comment names for their texts."""


@dataclass(frozen=True)
class WavFormat:
    """The content of a fmt chunk."""

    tag: int
    """The format tag, WAVE_FORMAT_...; where that is WAVE_FORMAT_EXTENSIBLE, the tag within it."""
    sample_rate: int
    channels: int
    sample_format: SampleFormat | None
    """How samples are stored; None for codings other than PCM, float, A-law and mu-law."""
    mask: int | None = None
    """The channel mask of WAVE_FORMAT_EXTENSIBLE; None in other formats."""


@dataclass
class Chunks:
    """Reads the heads of chunks, one after the other, as RIFF or Wave64 has them."""

    stream: Prelude
    wide: bool
    """Whether the chunks are those of Wave64."""
    order: str
    """The byte order, "<" or ">"."""
    riff_bytes: int
    """Size of the whole file, as its head says."""

    def take(self) -> tuple[bytes, int, int] | None:
        """Read the next chunk's name, its bytes, and its bytes with padding; None at the end."""
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
    """The header of a WAV, behind which the stream has the audio."""

    format: WavFormat
    data_bytes: int | None
    """Bytes of audio; None where it lasts until the end of the stream."""
    chunks: Chunks
    data_start: int
    """Number of bytes before the audio."""
    peeked: bytes = b""
    """Bytes behind `data_start` that have already been taken from the stream."""
    tags: dict[str, str] = field(default_factory=dict)
    """Vorbis comment names to texts."""
    doubt: str = ""
    """Why the audio is read to the end of the stream though the header has a size; empty if it is
    not."""

    @property
    def raw_format(self) -> RawFormat | None:
        """Return the form of the audio; None for codings other than PCM."""
        found = self.format
        if found.sample_format is None:
            return None
        return RawFormat(found.sample_rate, found.channels, found.sample_format.name)


def read_header(stream: Prelude) -> WavHeader | None:
    """Read a WAV header and stop before the first byte of audio.

    Returns None where `stream` is no WAV, or has too much before its format. Then `stream.kept`
    holds all that was read, as it does for codings other than PCM. Raises NeucodecError where the
    stream ends within the header.
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
        if not found and padded > _MAX_PRELUDE_BYTES:
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
        elif name.upper() == b"LIST" and size <= _MAX_TAGS_BYTES:
            tags.update(read_info(stream.take(padded)[:size], chunks.order))
        else:
            stream.skip(padded)
        if not (found and found.sample_format) and stream.position > _MAX_PRELUDE_BYTES:
            return None
    if not found:
        return None
    raise NeucodecError("this WAV ends within its header, before any audio")


def _read_head(stream: Prelude) -> Chunks | None:
    """Read the head of the file, before its first chunk; None where it is no WAV."""
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
    """Read what follows the audio; return its tags, and what is left out, as text for a message.

    The stream stands where `audio_bytes` of audio end. Left out are a second file behind the first,
    and bytes that belong to no chunk; zeros are not mentioned.
    """
    chunks, stream = header.chunks, header.chunks.stream
    stream.skip(-audio_bytes % (8 if chunks.wide else 2))
    tags: dict[str, str] = {}
    for _ in range(_MAX_CHUNKS):
        if (head := chunks.take()) is None:
            break
        name, size, padded = head
        if name in (b"RIFF", b"RIFX", b"RF64", b"BW64", b"riff"):
            rest = stream.skip(padded) + stream.skip(1 << 62)
            return tags, f"another WAV of {rest + 8} bytes follows the first one and is left out"
        if not all(0x20 <= c < 0x7F for c in name):
            held = name.strip(b"\0")
            rest = stream.skip(1 << 62) + 8
            return tags, f"{rest} bytes behind its end are left out" if held else ""
        if name.upper() == b"LIST" and size <= _MAX_TAGS_BYTES:
            tags.update(read_info(stream.take(padded)[:size], chunks.order))
        else:
            stream.skip(padded)
    stream.skip(1 << 62)
    return tags, ""


def _at_audio(found: WavFormat, size: int, chunks: Chunks, tags: dict[str, str]) -> WavHeader:
    """Return the header, given the `size` that the head of its data chunk has.

    Where writers to pipes do not know the size, they write 0, or a number just below 2 GiB (sox) or
    4 GiB (ffmpeg). A size of 0 is right where another chunk follows.
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


def _is_chunk_head(data: bytes, chunks: Chunks, bytes_left: int) -> bool:
    """Return whether `data` can be the head of a chunk that fits into the rest of the file."""
    if chunks.wide:
        return len(data) == 24 and data[4:16] in _W64_TAILS
    if len(data) < 8 or not all(0x20 <= c < 0x7F for c in data[:4]):
        return False
    return 8 + int(struct.unpack(chunks.order + "I", data[4:8])[0]) <= bytes_left


def _is_placeholder(size: int) -> bool:
    """Return whether a size is one that writers give where they do not know it."""
    return 0x7FFF0000 <= size <= 0x80000000 or 0xFFFF0000 <= size <= _UNKNOWN or size >= 1 << 62


def read_format(data: bytes, order: str) -> WavFormat | None:
    """Return the format that the content of a fmt chunk stands for; None where it is impossible.

    A sample of more than 16 bits may have four bytes, of which its bits are the upper ones.
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
    """Return the tags of a LIST chunk by Vorbis comment names; none if not of type INFO."""
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
    """Decode a text as UTF-8, else as the Windows code page that older writers used."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")
