"""Read and write `.ecdc`, the package ``encodec``'s files (``binary``, ``compress``, 0.1.1).

    file    = "ECDC" version length metadata segment*      version 0, big-endian >4sBI
    segment = [scale] codes                                scale: big-endian float32, 48 kHz alone

The metadata is JSON: ``m`` the model, ``al`` samples per channel, ``nc`` codebooks, ``lm`` whether
codes went through an arithmetic coder. Without it they are integers of 10 bits, frame by frame, in
each frame codebook by codebook, least significant bit first, filled up to a byte per segment.
"""

from __future__ import annotations

import json
import math
import reprlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neucodec.formats.errors import NcfError

MAGIC = b"ECDC"
_HEAD = struct.Struct(">4sBI")
_SCALE = struct.Struct(">f")
_MAX_METADATA = 2**16
_BRIEF = reprlib.Repr()
"""Makes short texts of the metadata's values, for messages."""
_BITS = 10
HOP = 320
"""Samples per frame of both models."""

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """Properties of a model that its files do not give."""

    sample_rate: int
    """Sample rate in Hz."""
    codebooks: int
    """Largest number of codebooks."""
    segment: int | None = None
    """Samples that are coded at once; None for the whole signal."""
    stride: int | None = None
    """Samples from one segment's start to the next's; None where there is one segment."""
    scaled: bool = False
    """Whether each segment has a scale."""

    def lengths(self, samples: int) -> Iterator[int]:
        """Give the samples of every segment; the last segment may lie within the one before."""
        segment, stride = self.segment or samples, self.stride or samples
        return (min(samples - start, segment) for start in range(0, samples, stride))

    def frames_read(self, samples: int) -> int:
        """Return the frames that the package expects of a segment of ``samples`` samples.

        At some lengths this is one more than it writes, for it multiplies and divides by rates in
        floating point.
        """
        rate = math.ceil(self.sample_rate / HOP)
        return math.ceil(samples / self.sample_rate * rate)


LAYOUTS = {
    "encodec_24khz": Layout(24000, 32),
    "encodec_48khz": Layout(48000, 16, segment=48000, stride=47520, scaled=True),
}


@dataclass(frozen=True)
class Segment:
    """Codes [codebooks, frames] of a segment, and its scale where the model has one."""

    codes: Codes
    scale: float | None = None


@dataclass(frozen=True)
class Ecdc:
    """Content of an .ecdc."""

    model: str
    """Name of the model, a key of `LAYOUTS`."""
    samples: int
    """Samples per channel at the model's rate."""
    segments: list[Segment]
    """Segments in the order of the signal."""

    @property
    def codebooks(self) -> int:
        """Number of codebooks, the same in all segments."""
        return len(self.segments[0].codes)


def read_ecdc(data: bytes) -> Ecdc:
    """Parse a whole file; NcfError unless it is intact and not arithmetically coded."""
    if len(data) < _HEAD.size or not data.startswith(MAGIC):
        raise NcfError("not an .ecdc: its first bytes are others")
    _, version, length = _HEAD.unpack_from(data)
    if version != 0:
        raise NcfError(f".ecdc of version {version}: only 0 is known")
    at = _HEAD.size + length
    if length > _MAX_METADATA or at > len(data):
        raise NcfError(f".ecdc with {length} bytes of metadata: cut off or damaged")
    model, samples, codebooks = _metadata(data[_HEAD.size : at])
    layout, segments = LAYOUTS[model], []
    if samples * codebooks * _BITS > 8 * HOP * len(data):
        raise NcfError(f".ecdc of {len(data)} bytes: cut off, {samples} samples take more")
    for part in layout.lengths(samples):
        scale = None
        if layout.scaled:
            scale = _scale(data[at : at + _SCALE.size])
            at += _SCALE.size
        frames = -(-part // HOP)
        end = at + _bytes(codebooks, frames)
        segments.append(Segment(_unpack(data[at:end], codebooks, frames), scale))
        at = end
    # The package can only read some of its own files if they have a frame more, see frames_read.
    spare = _bytes(codebooks, layout.frames_read(part)) - _bytes(codebooks, frames)
    if len(data) not in (at, at + spare):
        raise NcfError(f".ecdc of {len(data)} bytes: its metadata make it {at}")
    return Ecdc(model, samples, segments)


def write_ecdc(ecdc: Ecdc) -> bytes:
    """Return the bytes of a file; NcfError where the segments do not fit the length."""
    layout = LAYOUTS[ecdc.model]
    metadata = {"m": ecdc.model, "al": ecdc.samples, "nc": ecdc.codebooks, "lm": False}
    text = json.dumps(metadata).encode()
    parts = [_HEAD.pack(MAGIC, 0, len(text)), text]
    for samples, segment in zip(layout.lengths(ecdc.samples), ecdc.segments, strict=True):
        codes, frames = segment.codes, -(-samples // HOP)
        if codes.shape != (ecdc.codebooks, frames):
            raise NcfError(f"codes of shape {codes.shape} for {samples} samples")
        # The package expects these frames, see frames_read, and cuts off what it decodes of them.
        codes = np.pad(codes, ((0, 0), (0, layout.frames_read(samples) - frames)), "edge")
        if layout.scaled:
            parts.append(_SCALE.pack(segment.scale))
        parts.append(_pack(codes))
    return b"".join(parts)


def _metadata(text: bytes) -> tuple[str, int, int]:
    """Read the metadata: model, samples, codebooks. Raises NcfError."""
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise NcfError("its metadata are not those of an .ecdc: damaged")
    model, samples, codebooks = (found.get(key) for key in ("m", "al", "nc"))
    if not isinstance(model, str) or model not in LAYOUTS:
        raise NcfError(f".ecdc made with {_BRIEF.repr(model)}: {' and '.join(LAYOUTS)} are known")
    if found.get("lm"):
        raise NcfError(
            "this .ecdc went through the package's language model, whose floating point only "
            "the machine that wrote it repeats for sure: decode it with encodec itself"
        )
    if type(samples) is not int or not 1 <= samples < 2**63:
        raise NcfError(f".ecdc of {_BRIEF.repr(samples)} samples: 1 or more are possible")
    most = LAYOUTS[model].codebooks
    if type(codebooks) is not int or not 1 <= codebooks <= most:
        raise NcfError(f".ecdc with {_BRIEF.repr(codebooks)} codebooks: {model} has 1 to {most}")
    return model, samples, codebooks


def _scale(data: bytes) -> float:
    if len(data) < _SCALE.size:
        raise NcfError("this .ecdc is cut off")
    scale: float = _SCALE.unpack(data)[0]
    if not 0 <= scale < math.inf:
        raise NcfError(f".ecdc with a scale of {scale}: damaged")
    return scale


def _bytes(codebooks: int, frames: int) -> int:
    return (codebooks * frames * _BITS + 7) // 8


def _pack(codes: Codes) -> bytes:
    """Pack codes [K, F] into a segment's bytes."""
    if codes.size and not 0 <= codes.min() <= codes.max() < 1 << _BITS:
        raise NcfError(f"codes from {codes.min()} to {codes.max()}: 0 to 1023 fit an .ecdc")
    planes = np.unpackbits(
        codes.T.astype("<u2").reshape(-1, 1).view(np.uint8), axis=1, bitorder="little"
    )
    return np.packbits(planes[:, :_BITS], bitorder="little").tobytes()


def _unpack(data: bytes, codebooks: int, frames: int) -> Codes:
    """Undo `_pack`."""
    if len(data) < _bytes(codebooks, frames):
        raise NcfError("this .ecdc is cut off")
    count = codebooks * frames
    planes = np.zeros((count, 16), np.uint8)
    packed = np.frombuffer(data, np.uint8)
    planes[:, :_BITS] = np.unpackbits(packed, count=count * _BITS, bitorder="little").reshape(
        count, _BITS
    )
    codes: Codes = np.packbits(planes, axis=1, bitorder="little").view("<u2").astype(np.int64)
    return np.ascontiguousarray(codes.reshape(frames, codebooks).T)
