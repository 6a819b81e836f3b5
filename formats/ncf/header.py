"""Define the header: what an .ncf says of itself before its first chunk."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any

from neucodec.formats.entropy.adaptive import can_adapt
from neucodec.formats.entropy.packed_codes import code_bits, payload_bytes
from neucodec.formats.entropy.range_coder import SMALLEST_CODEBOOK
from neucodec.formats.entropy.varint import MAX_VARINT_BYTES, VARINT_LIMIT
from neucodec.formats.errors import NcfError

from .budget import (
    MAX_CHUNK_BYTES,
    MAX_CHUNK_SAMPLES,
    MAX_LAYER_CODEBOOKS,
    MAX_LAYER_RATE,
    MAX_LAYER_SAMPLES,
    MAX_STREAM_CODES,
    MIN_WAVEFORM_BYTES,
    WAVEFORM_SAMPLES,
    check_limit,
)
from .waveform_grid import WaveformGrid

FINGERPRINT_BYTES = 8
MAX_RATE = 2**32 - 1
MAX_MASK = 2**32 - 1
MAX_GAIN_DB = 200.0
MAX_ENCODER_BYTES = 255

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
# Vorbis comment names: printable ASCII without "="; lower case is folded before.
_UNPRINTABLE = frozenset(
    chr(code)
    for first, last in (
        (0x0000, 0x001F), (0x007F, 0x009F), (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F),
        (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB),
    )
    for code in range(first, last + 1)
)  # fmt: skip
"""Characters that control a terminal or the direction of text. Which others are printable changes
with every version of Unicode, and what a header may hold must not."""
_TAG_NAME = re.compile(r"[ -<>-`{-}]+")


class ScaleKind(IntEnum):
    """How a chunk gives the level of each of its streams."""

    NONE = 0
    """Not at all."""
    LOG = 1
    """By one byte per stream, see byte_to_scale; 0: the stream is silent and has no codes."""
    FLOAT = 2
    """By one float32 per stream."""


class LayerKind(IntEnum):
    """What chunks may hold beside their codes."""

    NONE = 0
    """Nothing."""
    MDCT = 1
    """A few coefficients of a lapped transform, see `neucodec.formats.ncf.layer`."""
    WAVEFORM = 2
    """Integers for all coefficients of a lapped transform up to a frequency, see
    `neucodec.formats.ncf.waveform`."""


class EntropyCoder(IntEnum):
    """How payloads are coded where a chunk is not raw."""

    NONE = 0
    """All payloads are raw."""
    ADAPTIVE = 1
    """By frequencies that adapt within the chunk."""
    LM = 2
    """By the frequencies of an entropy model, which the header names."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """Fixed properties of a file. Raises NcfError for values that an .ncf cannot hold."""

    codec: str
    """Name of the codec, such as "neu-44khz": letters, digits and . _ + -"""
    fingerprint: bytes
    """8 bytes that tell the codec's weights from others."""
    sample_rate: int
    """Sample rate of the codec's model in Hz."""
    source_rate: int
    """Sample rate of the audio that was encoded in Hz."""
    channels: int
    """Channels of the audio that was encoded."""
    streams: int
    """Code streams per chunk: one per channel for mono codecs, one for a stereo codec."""
    codebooks: int
    """Largest number of codebooks that a chunk uses."""
    codebook_size: int
    """How many entries a codebook has."""
    hop: int
    """Samples per code frame at the model's rate."""
    chunk_frames: int
    """Code frames of a whole chunk, per stream."""
    chunk_stride: int
    """Samples at the model's rate from one chunk's start to the next one's."""
    overlap: int = 0
    """Samples at the model's rate that a chunk shares with the next one."""
    scale_kind: ScaleKind = ScaleKind.NONE
    """How chunks give the levels of their streams."""
    entropy: EntropyCoder = EntropyCoder.NONE
    """How payloads are coded."""
    entropy_fingerprint: bytes = b""
    """First 8 bytes of the SHA-256 of the entropy model's weights, where there is one."""
    entropy_model: str = ""
    """Name of the entropy model, where there is one."""
    nominal_bitrate: int | None = None
    """Bitrate in bit/s of all streams, if all chunks had all codebooks and raw payloads."""
    average_bitrate: int | None = None
    """Bitrate in bit/s that the writer made the whole file average; None where it did not."""
    frames: int | None = None
    """Source samples per channel where the encoder knew them at the start; only a hint."""
    gain_db: float | None = None
    """Change of level in dB before encoding, to be undone after decoding; held as a float32."""
    layer: LayerKind = LayerKind.NONE
    """What chunks may hold beside their codes."""
    channel_mask: int | None = None
    """Speakers of the channels, as in WAVE_FORMAT_EXTENSIBLE; 0 for none. None for those that this
    number of channels usually has."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Vorbis comments: text by upper-case names."""
    encoder: str = ""
    """Name and version of the program that wrote the file."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", dict(self.tags))
        if self.gain_db is not None:
            _check_number("gain_db", self.gain_db, MAX_GAIN_DB)
            rounded = struct.unpack("<f", struct.pack("<f", self.gain_db))[0]
            object.__setattr__(self, "gain_db", rounded)
        self._check_names()
        _check_integer("sample_rate", self.sample_rate, 1, MAX_RATE)
        _check_integer("source_rate", self.source_rate, 1, MAX_RATE)
        _check_integer("channels", self.channels, 1, 255)
        _check_integer("streams", self.streams, 1, 255)
        _check_integer("codebooks", self.codebooks, 1, 255)
        _check_integer("codebook_size", self.codebook_size, 2, 65536)
        _check_integer("hop", self.hop, 1, MAX_CHUNK_SAMPLES)
        _check_integer("chunk_frames", self.chunk_frames, 1, MAX_CHUNK_SAMPLES)
        _check_integer("chunk_stride", self.chunk_stride, 1, self.chunk_frames * self.hop)
        _check_integer("overlap", self.overlap, 0, MAX_CHUNK_SAMPLES)
        if self.nominal_bitrate is not None:
            _check_integer("nominal_bitrate", self.nominal_bitrate, 1, VARINT_LIMIT - 1)
        if self.average_bitrate is not None:
            _check_integer("average_bitrate", self.average_bitrate, 1, VARINT_LIMIT - 1)
        if self.channel_mask is not None:
            _check_integer("channel_mask", self.channel_mask, 0, MAX_MASK)
        if self.frames is not None:
            _check_integer("frames", self.frames, 0, VARINT_LIMIT - 1)
        self._check_coding()
        _check_budget(self)

    def _check_names(self) -> None:
        """Raise NcfError for names beyond a plain alphabet: they end up in paths and terminals."""
        if not _NAME.fullmatch(self.codec):
            raise NcfError(f"codec name {self.codec!r}: 1 to 64 letters, digits and . _ + - fit")
        if self.entropy_model and not _NAME.fullmatch(self.entropy_model):
            raise NcfError(
                f"entropy model name {self.entropy_model!r}: "
                "1 to 64 letters, digits and . _ + - fit"
            )
        if len(self.fingerprint) != FINGERPRINT_BYTES:
            raise NcfError(f"fingerprint of {len(self.fingerprint)} bytes: it must have 8")
        named = bool(self.entropy_model)
        if len(self.entropy_fingerprint) != FINGERPRINT_BYTES * named:
            raise NcfError(
                f"entropy model {self.entropy_model!r} with a fingerprint of "
                f"{len(self.entropy_fingerprint)} bytes: a name and 8 bytes go together"
            )
        if self.entropy == EntropyCoder.LM and not named:
            raise NcfError("entropy coder LM without the name of its model")
        if len(_utf8("encoder", self.encoder)) > MAX_ENCODER_BYTES or not (
            _UNPRINTABLE.isdisjoint(self.encoder)
        ):
            raise NcfError("encoder: at most 255 bytes of printable text fit")
        for name, text in self.tags.items():
            if not _TAG_NAME.fullmatch(name):
                raise NcfError(f"tag name {name!r}: upper-case ASCII without '=' fits")
            _utf8(f"tag {name}", text)

    def _check_coding(self) -> None:
        """Raise NcfError for values that range coding or layers cannot work with."""
        if self.entropy == EntropyCoder.ADAPTIVE and not can_adapt(
            self.codebook_size, self.chunk_frames
        ):
            raise NcfError(
                f"adaptive coding of {self.chunk_frames} frames and codebooks of "
                f"{self.codebook_size}: at most 65536 frames and at least 3 entries are possible"
            )
        if self.entropy != EntropyCoder.NONE and self.codebook_size < SMALLEST_CODEBOOK:
            raise NcfError(f"entropy coding of codebooks of {self.codebook_size}: 3 are needed")
        if self.layer == LayerKind.NONE:
            return
        if self.streams != self.channels or self.scale_kind != ScaleKind.LOG:
            raise NcfError("layers need a stream for each channel, and scales of a byte")
        reached = self.chunk_frames * self.hop - self.chunk_stride
        if not reached <= self.overlap <= self.chunk_stride:
            raise NcfError(
                f"layers with an overlap of {self.overlap} samples: it must cover the {reached} by "
                f"which frames go beyond the stride, and be within the stride, {self.chunk_stride}"
            )
        if self.layer == LayerKind.WAVEFORM:
            WaveformGrid.of(self.chunk_stride, self.sample_rate)

    @cached_property
    def code_bits(self) -> int:
        """Width of a raw code in bits."""
        return code_bits(self.codebook_size)

    @cached_property
    def scale_bytes(self) -> int:
        """Length in bytes of the scales of a chunk that is not silent."""
        return {ScaleKind.NONE: 0, ScaleKind.LOG: 1, ScaleKind.FLOAT: 4}[
            self.scale_kind
        ] * self.streams

    @property
    def largest_head(self) -> int:
        """Most bytes of a chunk before its payload, varints at their longest."""
        return 3 + MAX_VARINT_BYTES + self.scale_bytes + MAX_VARINT_BYTES

    @cached_property
    def largest_payload(self) -> int:
        """Most bytes that a chunk's codes take: entropy coded they never take more than raw."""
        return self.raw_bytes(self.streams, self.codebooks, self.chunk_frames)

    @cached_property
    def largest_layer(self) -> int:
        """Most bytes of a chunk's layer, without the varint of its length."""
        if self.layer == LayerKind.WAVEFORM:
            return self.streams * (MIN_WAVEFORM_BYTES + self.chunk_stride // WAVEFORM_SAMPLES)
        return 0 if self.layer == LayerKind.NONE else self.largest_payload

    @property
    def largest_chunk(self) -> int:
        """Most bytes of a whole chunk."""
        layer = MAX_VARINT_BYTES + self.largest_layer if self.largest_layer else 0
        return self.largest_head + self.largest_payload + layer + 4

    @property
    def layer_samples(self) -> int:
        """Samples of a chunk that its layer covers, over all streams."""
        return (self.chunk_stride + self.overlap) * self.streams

    def raw_bytes(self, streams: int, codebooks: int, frames: int) -> int:
        """Return the length in bytes of the raw payload of ``streams`` streams with codes."""
        return payload_bytes(streams * codebooks * frames, self.code_bits)


def _check_budget(header: Header) -> None:
    """Raise NcfError where a chunk could ask more of a reader than the limits allow."""
    stretch = -(-header.chunk_stride * header.source_rate // header.sample_rate)
    longest = max(header.chunk_frames * header.hop + header.overlap, stretch)
    check_limit(longest * header.channels, MAX_CHUNK_SAMPLES, "samples over all channels")
    check_limit(header.largest_chunk, MAX_CHUNK_BYTES, "bytes")
    if header.entropy:
        codes = header.codebooks * header.chunk_frames
        by = f"({header.codebooks} x {header.chunk_frames})"
        check_limit(codes, MAX_STREAM_CODES, f"codes {by} per stream under an entropy coder")
    if header.layer:
        check_limit(header.layer_samples, MAX_LAYER_SAMPLES, "samples over all streams with layers")
        check_limit(header.codebooks, MAX_LAYER_CODEBOOKS, "codebooks with layers")
        check_limit(header.sample_rate, MAX_LAYER_RATE, "Hz with layers")


def _check_integer(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or not low <= value <= high:
        raise NcfError(f"{name} {value!r} is out of range: {low} to {high} are possible")


def _check_number(name: str, value: Any, limit: float) -> None:
    if not isinstance(value, (int, float)) or not abs(value) <= limit:
        raise NcfError(f"{name} {value!r} is out of range: -{limit:g} to {limit:g} are possible")


def _utf8(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise NcfError(f"{name}: {text!r} is not valid Unicode") from None
