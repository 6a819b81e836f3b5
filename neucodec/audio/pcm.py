"""Converts PCM samples to bytes and back.

Full scale is 1.0: an integer of b bits is its float times 2**(b - 1), rounded to nearest (ties to
even) without dither, in every file and stream that this package writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from neucodec.errors import NeucodecError
from neucodec.files.byte_streams import is_seekable, write_all

Kind = Literal["unsigned", "signed", "float", "alaw", "mulaw"]


@dataclass(frozen=True)
class SampleFormat:
    """The way in which one sample is stored: `width` bytes in NumPy's byte `order`, "<" or ">"."""

    name: str
    kind: Kind
    width: int
    order: Literal["<", ">"] = "<"

    @property
    def bits(self) -> int:
        """Return the bits per sample."""
        return 8 * self.width

    @property
    def subtype(self) -> str:
        """Return libsndfile's name for the format, which leaves the byte order out."""
        if self.kind == "float":
            return "FLOAT" if self.width == 4 else "DOUBLE"
        if self.kind in ("alaw", "mulaw"):
            return "ALAW" if self.kind == "alaw" else "ULAW"
        if self.width == 1:
            return "PCM_U8" if self.kind == "unsigned" else "PCM_S8"
        return f"PCM_{self.bits}"


SAMPLE_FORMATS = {
    form.name: form
    for form in (
        SampleFormat("u8", "unsigned", 1),
        SampleFormat("s8", "signed", 1),
        SampleFormat("s16le", "signed", 2),
        SampleFormat("s16be", "signed", 2, ">"),
        SampleFormat("s24le", "signed", 3),
        SampleFormat("s24be", "signed", 3, ">"),
        SampleFormat("s32le", "signed", 4),
        SampleFormat("s32be", "signed", 4, ">"),
        SampleFormat("f32le", "float", 4),
        SampleFormat("f32be", "float", 4, ">"),
        SampleFormat("f64le", "float", 8),
        SampleFormat("f64be", "float", 8, ">"),
        SampleFormat("alaw", "alaw", 1),
        SampleFormat("mulaw", "mulaw", 1),
    )
}


def sample_format(name: str) -> SampleFormat:
    """Return the sample format called `name`. Raises NeucodecError with the list of names."""
    try:
        return SAMPLE_FORMATS[name.lower()]
    except KeyError:
        names = ", ".join(SAMPLE_FORMATS)
        raise NeucodecError(f"unknown sample format {name!r}: choose from {names}") from None


@dataclass(frozen=True)
class RawFormat:
    """The form of PCM without a header; `sample_rate` in Hz, `sample_format` by its name.

    Raises NeucodecError for a rate or channel count below 1 or an unknown sample format.
    """

    sample_rate: int
    channels: int
    sample_format: str = "s16le"

    def __post_init__(self) -> None:
        if self.sample_rate < 1:
            raise NeucodecError(f"raw audio at {self.sample_rate} Hz: the rate must be positive")
        if self.channels < 1:
            raise NeucodecError(f"raw audio with {self.channels} channels: at least 1 is needed")
        sample_format(self.sample_format)


def decode(data: bytes, form: SampleFormat) -> NDArray[np.float32]:
    """Return the samples of `data`, which has only whole ones of `form`, as float32 [count]."""
    samples: NDArray[np.float32]
    if form.kind == "float":
        # A float64 beyond float32's range becomes infinite, and is then treated as such.
        with np.errstate(over="ignore"):
            samples = np.frombuffer(data, f"{form.order}f{form.width}").astype(np.float32)
    elif form.kind in ("alaw", "mulaw"):
        samples = (_ALAW if form.kind == "alaw" else _MULAW)[np.frombuffer(data, np.uint8)]
    elif form.kind == "unsigned":
        samples = np.frombuffer(data, np.uint8).astype(np.float32)
        samples = (samples - 128) / np.float32(128)
    elif form.width == 3:
        samples = _widen(data, form.order).astype(np.float32)
        samples *= np.float32(2.0**-31)
    else:
        samples = np.frombuffer(data, f"{form.order}i{form.width}").astype(np.float32)
        samples *= np.float32(2.0 ** (1 - form.bits))
    return samples


def encode(block: NDArray[np.float32], form: SampleFormat) -> bytes:
    """Return the bytes of a float32 `block` of any shape in `form`.

    Integers of samples beyond full scale saturate; floats keep them.
    """
    if form.kind == "float":
        return block.astype(f"{form.order}f{form.width}").tobytes()
    if form.kind in ("alaw", "mulaw"):
        raise ValueError(f"{form.name} is only read, never written")
    integers = quantise(block, form.bits)
    if form.kind == "unsigned":
        return (integers + 128).astype(np.uint8).tobytes()
    if form.width == 3:
        octets = np.ascontiguousarray(integers, f"{form.order}i4").reshape(-1, 1).view(np.uint8)
        return octets[:, :3].tobytes() if form.order == "<" else octets[:, 1:].tobytes()
    return integers.astype(f"{form.order}i{form.width}").tobytes()


def quantise(block: NDArray[np.float32], bits: int) -> NDArray[np.int32]:
    """Round a float32 `block` to integers of `bits` bits, which saturate; int32 of its shape."""
    full = 2.0 ** (bits - 1)
    # float32 holds every integer up to 24 bits, but not the largest of 32.
    scaled = block.astype(np.float64 if bits > 24 else np.float32) * full
    integers: NDArray[np.int32] = np.clip(np.rint(scaled), -full, full - 1).astype(np.int32)
    return integers


class PcmWriter:
    """Writes samples to `file` without a header; to a pipe at once, block by block."""

    def __init__(self, file: BinaryIO, form: SampleFormat) -> None:
        self._file = file
        self._form = form
        self._live = not is_seekable(file)

    def write(self, block: NDArray[np.float32]) -> None:
        """Append `block`, float32 [n, channels]."""
        write_all(self._file, encode(block, self._form))
        if self._live:
            self._file.flush()

    def close(self) -> None:
        """Flush the file, which stays open."""
        self._file.flush()

    def abort(self) -> None:
        """Do nothing: there is nothing to give back."""


def _widen(data: bytes, order: str) -> NDArray[np.signedinteger]:
    """Return 24-bit integers as the upper three bytes of 32-bit ones, [count]."""
    octets = np.zeros((len(data) // 3, 4), np.uint8)
    packed = np.frombuffer(data, np.uint8).reshape(-1, 3)
    if order == "<":
        octets[:, 1:] = packed
    else:
        octets[:, :3] = packed
    return octets.view(f"{order}i4")[:, 0]


def _expand_mulaw() -> NDArray[np.float32]:
    """Return the levels of the mu-law codes 0 to 255, full scale 1.0 (ITU-T G.711, table 2)."""
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4) & 7, (code & 15).astype(np.int32)
    level = (((mantissa << 3) + 132) << exponent) - 132
    return (np.where(code & 128, -level, level) / 32768).astype(np.float32)


def _expand_alaw() -> NDArray[np.float32]:
    """Return the levels of the A-law codes 0 to 255, full scale 1.0 (ITU-T G.711, table 1)."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = ((code >> 4) & 7).astype(np.int32), (code & 15).astype(np.int32)
    level = (mantissa << 4) + 8 + np.where(exponent > 0, 256, 0)
    level <<= np.maximum(exponent - 1, 0)
    return (np.where(code & 128, level, -level) / 32768).astype(np.float32)


_MULAW = _expand_mulaw()
_ALAW = _expand_alaw()
