"""WAV headers, read from and written to streams that cannot be sought.

RIFF and RIFX as in Microsoft's "Multiple Channel Audio Data and WAVE Files", 64-bit sizes as
in EBU Tech 3306 (RF64), tags as a LIST chunk of type INFO.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .errors import NeucodecError
from .fileio import Prelude, is_patchable, write_all
from .pcm import SAMPLE_FORMATS, PcmWriter, SampleFormat

_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")  # of every GUID that wraps a tag
_UNKNOWN = 0xFFFFFFFF  # a size that the writer did not know
_DS64_BYTES = 28
_LARGEST_TAGS = 1 << 20
_LARGEST_PRELUDE = 1 << 20  # bytes before the fmt chunk that are kept for another reader

# Channel orders that FLAC fixes too (RFC 9639, section 9.1.3), as speaker masks.
_SPEAKERS = {1: 0x4, 2: 0x3, 3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}

_INFO_TAGS = {
    b"INAM": "TITLE",
    b"IART": "ARTIST",
    b"IPRD": "ALBUM",
    b"ICRD": "DATE",
    b"ITRK": "TRACKNUMBER",
    b"IGNR": "GENRE",
    b"ICMT": "COMMENT",
    b"ICOP": "COPYRIGHT",
}

SUBTYPES = {
    form.subtype: form
    for form in map(SAMPLE_FORMATS.__getitem__, ("u8", "s16le", "s24le", "s32le", "f32le"))
}


@dataclass(frozen=True)
class WavHeader:
    """What a WAV stream says of its audio; the audio itself follows in the stream."""

    samplerate: int
    channels: int
    sample_format: SampleFormat
    data_bytes: int | None  # None: until the end of the stream
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def frames(self) -> int | None:
        """Samples per channel, None where the writer did not know."""
        if self.data_bytes is None:
            return None
        return self.data_bytes // (self.channels * self.sample_format.width)


def read_header(stream: Prelude) -> WavHeader | None:
    """Read a WAV header and stop before the first byte of audio.

    None where `stream` is something else, or WAV in a coding other than PCM, float, A-law or
    mu-law: then `stream.kept` holds all that was read. NeucodecError where it ends too early.
    """
    start = stream.take(12)
    if len(start) < 12 or start[8:] != b"WAVE":
        return None
    if start[:4] not in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return None
    order = ">" if start[:4] == b"RIFX" else "<"
    riff_bytes = int(struct.unpack(order + "I", start[4:8])[0])
    wide_bytes: int | None = None
    audio: tuple[int, int, SampleFormat] | None = None
    tags: dict[str, str] = {}
    while len(head := stream.take(8)) == 8:
        name, size = struct.unpack(order + "4sI", head)
        if name == b"data" and audio:
            if wide_bytes is not None and size == _UNKNOWN:
                size = wide_bytes
            return WavHeader(*audio, _known_bytes(size, riff_bytes, stream.position), tags)
        padded = size + size % 2
        if not audio and padded > _LARGEST_PRELUDE:
            return None
        if name == b"fmt " and size >= 16:
            audio = _read_format(stream.take(min(padded, 40)), order)
            if audio is None:
                return None
            stream.forget()
            stream.skip(max(0, padded - 40))
        elif name == b"ds64" and size >= _DS64_BYTES:
            riff_bytes, wide_bytes = struct.unpack("<QQ", stream.take(16))
            stream.skip(padded - 16)
        elif name == b"LIST" and size <= _LARGEST_TAGS:
            tags.update(_read_tags(stream.take(padded)[:size], order))
        else:
            stream.skip(padded)
        if not audio and stream.position > _LARGEST_PRELUDE:
            return None
    if not audio:
        return None
    raise NeucodecError("this WAV ends within its header, before any audio")


class WavWriter(PcmWriter):
    """A WAV file, or an RF64 file where it passes 4 GiB.

    Where `frames` is None, a seekable file gets its sizes in `close`; any other stream says
    0xFFFFFFFF, which readers of pipes take as "until the end".
    """

    def __init__(
        self,
        file: BinaryIO,
        samplerate: int,
        channels: int,
        form: SampleFormat,
        frames: int | None,
        tags: Mapping[str, str],
    ) -> None:
        super().__init__(file, form)
        self._format = (samplerate, channels, form)
        self._tags = dict(tags)
        self._patchable = is_patchable(file)
        self._start = file.tell() if self._patchable else 0
        self._wide = self._patchable and frames is None
        self._announced = None if frames is None else frames * channels * form.width
        self._data_bytes = 0
        self._header = self._make_header(self._announced)
        write_all(file, self._header)

    def write(self, block: NDArray[np.float32]) -> None:
        """Append `block`, float32 [n, channels]."""
        super().write(block)
        self._data_bytes += block.size * self._form.width

    def close(self) -> None:
        """Complete the file; NeucodecError where a header already sent cannot be kept."""
        # Where the end of the stream ends the audio, a byte of padding would be a sample.
        bounded = self._patchable or self._data_bytes == self._announced
        if self._data_bytes % 2 and bounded:
            write_all(self._file, b"\0")
        if self._data_bytes != self._announced:
            self._correct()
        super().close()

    def _correct(self) -> None:
        header = self._make_header(self._data_bytes)
        if self._patchable and len(header) == len(self._header):
            end = self._file.tell()
            self._file.seek(self._start)
            write_all(self._file, header)
            self._file.seek(end)
        elif self._announced is not None and self._data_bytes > self._announced:
            raise NeucodecError("there is more audio than the WAV header already written says")

    def _make_header(self, data_bytes: int | None) -> bytes:
        return make_header(*self._format, data_bytes, self._tags, wide=self._wide)


def make_header(
    samplerate: int,
    channels: int,
    form: SampleFormat,
    data_bytes: int | None,
    tags: Mapping[str, str],
    *,
    wide: bool = False,
) -> bytes:
    """A WAV header up to and including the head of its data chunk.

    `data_bytes` None stands for "until the end". `wide` keeps room for 64-bit sizes, so that
    the header has one length whatever `data_bytes` is.
    """
    align = channels * form.width
    body = _format_chunk(samplerate, channels, form)
    if form.kind == "float":
        samples = _UNKNOWN if data_bytes is None else min(data_bytes // align, _UNKNOWN)
        body += _chunk(b"fact", struct.pack("<I", samples))
    body += _tags_chunk(tags)
    if data_bytes is None:
        return _riff_head(_UNKNOWN, wide) + body + _data_head(_UNKNOWN)
    # The RIFF size leaves out its own 8 bytes; len(body) leaves out the data chunk's head of 8.
    riff_bytes = len(_riff_head(0, wide)) + len(body) + data_bytes + data_bytes % 2
    if riff_bytes < _UNKNOWN - _DS64_BYTES:
        return _riff_head(riff_bytes, wide) + body + _data_head(data_bytes)
    riff_bytes = len(_riff_head(0, True)) + len(body) + data_bytes + data_bytes % 2
    sizes = struct.pack("<QQQI", riff_bytes, data_bytes, data_bytes // align, 0)
    head = struct.pack("<4sI4s", b"RF64", _UNKNOWN, b"WAVE")
    return head + _chunk(b"ds64", sizes) + body + _data_head(_UNKNOWN)


def _known_bytes(size: int, riff_bytes: int, position: int) -> int | None:
    """The data chunk's size, or None where its writer evidently did not know it.

    Writers to pipes leave 0, or something just below 2 GiB (sox) or 4 GiB (ffmpeg); an empty
    data chunk is meant where the RIFF chunk goes on behind it.
    """
    if size == 0:
        return 0 if position < riff_bytes + 8 and not _is_placeholder(riff_bytes) else None
    return None if _is_placeholder(size) else size


def _is_placeholder(size: int) -> bool:
    return 0x7FFF0000 <= size <= 0x80000000 or 0xFFFF0000 <= size <= _UNKNOWN or size >= 1 << 62


def _read_format(data: bytes, order: str) -> tuple[int, int, SampleFormat] | None:
    if len(data) < 16:
        return None
    tag, channels, samplerate, _, align, bits = struct.unpack(order + "HHIIHH", data[:16])
    if tag == _EXTENSIBLE:
        if order == ">" or len(data) < 40 or data[26:40] != _GUID_TAIL:
            return None
        tag = struct.unpack("<H", data[24:26])[0]
    if not (samplerate and channels and bits) or align % channels:
        return None
    width = align // channels
    if width != (bits + 7) // 8:
        return None
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
    return (samplerate, channels, SAMPLE_FORMATS[name]) if name else None


def _read_tags(data: bytes, order: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    if data[:4] != b"INFO":
        return tags
    position = 4
    while position + 8 <= len(data):
        name, size = struct.unpack_from(order + "4sI", data, position)
        text = data[position + 8 : position + 8 + size].split(b"\0")[0]
        if name in _INFO_TAGS and text.strip():
            tags[_INFO_TAGS[name]] = _decode_text(text).strip()
        position += 8 + size + size % 2
    return tags


def _decode_text(text: bytes) -> str:
    """UTF-8 as written today, else the Windows code page of old."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")


def _format_chunk(samplerate: int, channels: int, form: SampleFormat) -> bytes:
    """The plain form where it may be used: at most two channels and 16 bits, or float."""
    tag = _FLOAT if form.kind == "float" else _PCM
    align = channels * form.width
    plain = channels <= 2 and (tag == _FLOAT or form.width <= 2)
    fields = struct.pack(
        "<HHIIHH",
        tag if plain else _EXTENSIBLE,
        channels,
        samplerate,
        min(samplerate * align, _UNKNOWN),
        align,
        form.bits,
    )
    if plain:
        return _chunk(b"fmt ", fields + (b"\0\0" if tag == _FLOAT else b""))
    mask = _SPEAKERS.get(channels, 0)
    guid = struct.pack("<H", tag) + _GUID_TAIL
    return _chunk(b"fmt ", fields + struct.pack("<HHI", 22, form.bits, mask) + guid)


def _tags_chunk(tags: Mapping[str, str]) -> bytes:
    texts = [(name, tags[tag]) for name, tag in _INFO_TAGS.items() if tags.get(tag)]
    if not texts:
        return b""
    chunks = (_chunk(name, text.encode("utf-8", "replace") + b"\0") for name, text in texts)
    return _chunk(b"LIST", b"INFO" + b"".join(chunks))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack("<4sI", name, len(data)) + data + b"\0" * (len(data) % 2)


def _riff_head(riff_bytes: int, wide: bool) -> bytes:
    """The first bytes of a WAV; `wide` with a chunk that a ds64 chunk can take the place of."""
    room = _chunk(b"JUNK", bytes(_DS64_BYTES)) if wide else b""
    return struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE") + room


def _data_head(size: int) -> bytes:
    return struct.pack("<4sI", b"data", size)
