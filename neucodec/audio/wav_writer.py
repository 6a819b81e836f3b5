"""Writes WAV to files and to streams that cannot seek; `wav_header` reads it.

RIFF as in Microsoft's "Multiple Channel Audio Data and WAVE Files", 64-bit sizes as in EBU
Tech 3306 (RF64), tags as a LIST chunk of type INFO.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from neucodec.errors import NeucodecError
from neucodec.files.byte_streams import is_patchable, write_all

from .pcm import SAMPLE_FORMATS, PcmWriter, SampleFormat
from .speakers import DEFAULT_MASKS, kept_mask
from .wav_header import INFO_TAGS

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")  # the end of GUIDs that hold a tag
_UNKNOWN = 0xFFFFFFFF  # stands for a size that is not known
_DS64_BYTES = 28

SUBTYPES = {
    form.subtype: form
    for form in map(SAMPLE_FORMATS.__getitem__, ("u8", "s16le", "s24le", "s32le", "f32le"))
}
"""The sample formats that are written, by libsndfile's names."""


class WavWriter(PcmWriter):
    """Writes a WAV, or an RF64 where it passes 4 GiB.

    `samples` is the number per channel that will come. Where it is None, `close` writes the sizes
    into a seekable file; any other stream says 0xFFFFFFFF, which readers take as "until the end".
    """

    def __init__(
        self,
        file: BinaryIO,
        sample_rate: int,
        channels: int,
        form: SampleFormat,
        samples: int | None,
        tags: Mapping[str, str],
        channel_mask: int | None = None,
    ) -> None:
        super().__init__(file, form)
        self._format = (sample_rate, channels, form)
        self._mask = channel_mask
        self._tags = dict(tags)
        self._patchable = is_patchable(file)
        self._start = file.tell() if self._patchable else 0
        self._wide = self._patchable and samples is None
        self._announced = None if samples is None else samples * channels * form.width
        self._data_bytes = 0
        self._header = self._make_header(self._announced)
        write_all(file, self._header)

    def write(self, block: NDArray[np.float32]) -> None:
        """Append `block`, float32 [n, channels]."""
        super().write(block)
        self._data_bytes += block.size * self._form.width

    def close(self) -> None:
        """Complete the file. Raises NeucodecError if it has more audio than a sent header says."""
        # Where the audio lasts until the stream ends, a byte of padding would be read as a sample.
        bounded = self._patchable or self._data_bytes == self._announced
        if self._data_bytes % 2 and bounded:
            write_all(self._file, b"\0")
        if self._data_bytes != self._announced:
            self._correct()
        super().close()

    def _correct(self) -> None:
        """Write the sizes into the header, where the stream can seek."""
        header = self._make_header(self._data_bytes)
        if self._patchable and len(header) == len(self._header):
            end = self._file.tell()
            self._file.seek(self._start)
            write_all(self._file, header)
            self._file.seek(end)
        elif self._announced is not None and self._data_bytes > self._announced:
            raise NeucodecError("there is more audio than the WAV header already written says")

    def _make_header(self, data_bytes: int | None) -> bytes:
        """Return this file's header for that much audio."""
        return make_header(
            *self._format, data_bytes, self._tags, wide=self._wide, channel_mask=self._mask
        )


def make_header(
    sample_rate: int,
    channels: int,
    form: SampleFormat,
    data_bytes: int | None,
    tags: Mapping[str, str],
    *,
    wide: bool = False,
    channel_mask: int | None = None,
) -> bytes:
    """Return a WAV header up to and including the head of its data chunk.

    `data_bytes` None stands for "until the end". `wide` keeps room for 64-bit sizes, so that the
    length of the header does not depend on `data_bytes`. `channel_mask` gives the speakers of the
    channels where they are not the default ones of that number of channels.
    """
    align = channels * form.width
    body = _format_chunk(sample_rate, channels, form, channel_mask)
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


def _format_chunk(
    sample_rate: int, channels: int, form: SampleFormat, channel_mask: int | None
) -> bytes:
    """Return the fmt chunk: WAVE_FORMAT_EXTENSIBLE only where the plain form is not allowed.

    The plain form is for one or two channels, of at most 16 bits or float, with usual speakers.
    """
    tag = _FLOAT if form.kind == "float" else _PCM
    align = channels * form.width
    special = kept_mask(channel_mask, channels)
    plain = channels <= 2 and (tag == _FLOAT or form.width <= 2) and special is None
    fields = struct.pack(
        "<HHIIHH",
        tag if plain else _EXTENSIBLE,
        channels,
        sample_rate,
        min(sample_rate * align, _UNKNOWN),
        align,
        form.bits,
    )
    if plain:
        return _chunk(b"fmt ", fields + (b"\0\0" if tag == _FLOAT else b""))
    mask = DEFAULT_MASKS.get(channels, 0) if special is None else special
    guid = struct.pack("<H", tag) + _GUID_TAIL
    return _chunk(b"fmt ", fields + struct.pack("<HHI", 22, form.bits, mask) + guid)


def _tags_chunk(tags: Mapping[str, str]) -> bytes:
    """Return the LIST chunk of the tags that WAV has a name for; nothing if there are none."""
    texts = [(name, tags[tag]) for name, tag in INFO_TAGS.items() if tags.get(tag)]
    if not texts:
        return b""
    chunks = (_chunk(name, text.encode("utf-8", "replace") + b"\0") for name, text in texts)
    return _chunk(b"LIST", b"INFO" + b"".join(chunks))


def _chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk, padded to an even number of bytes."""
    return struct.pack("<4sI", name, len(data)) + data + b"\0" * (len(data) % 2)


def _riff_head(riff_bytes: int, wide: bool) -> bytes:
    """Return the first bytes of a WAV; `wide` adds a chunk that a ds64 chunk can replace."""
    room = _chunk(b"JUNK", bytes(_DS64_BYTES)) if wide else b""
    return struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE") + room


def _data_head(size: int) -> bytes:
    """Return the head of a data chunk."""
    return struct.pack("<4sI", b"data", size)
