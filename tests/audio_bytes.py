"""Sound files written by hand, as other programs write them and tests need them."""

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from neucodec.audio.input import open_audio

Audio = npt.NDArray[np.float32]


class Pipe(io.RawIOBase):
    """Bytes that come but once, as through a pipe."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(size)

    def readable(self) -> bool:
        return True


def tones(channels: int, lfe: int | None = None, seconds: float = 0.25) -> Audio:
    """At 48 kHz a tone for each channel, 300 Hz for the first and 200 Hz more for each further
    one; 60 Hz for channel ``lfe``, of which codecs keep but the lowest frequencies."""
    time = np.arange(round(seconds * 48000)) / 48000
    hertz = [60 if k == lfe else 300 + 200 * k for k in range(channels)]
    waves = [0.2 * np.sin(2 * np.pi * f * time) for f in hertz]
    return np.stack(waves, axis=1).astype(np.float32)


def heard(audio: Audio) -> list[int]:
    """Which of `tones` each channel [n, channels] holds; -1 is that of 60 Hz."""
    window = np.hanning(len(audio))[:, None]
    peaks = np.abs(np.fft.rfft(audio * window, axis=0)).argmax(axis=0)
    return [round((int(peak) * 48000 / len(audio) - 300) / 200) for peak in peaks]


def written(audio: Audio, form: str, subtype: str | None = None, rate: int = 48000) -> bytes:
    """As libsndfile writes it, channels as they are."""
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, rate, subtype, format=form)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes, size: int | None = None, order: str = "<") -> bytes:
    """A chunk of RIFF or AIFF, with a size that may be wrong."""
    head = struct.pack(order + "4sI", name, len(data) if size is None else size)
    return head + data + b"\0" * (len(data) % 2)


def pcm16(frames: int = 4000) -> bytes:
    """Samples of 16 bits, none of which is zero."""
    return np.random.default_rng(0).integers(1, 9999, frames).astype("<i2").tobytes()


FMT = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16))


def riff(*chunks: bytes, magic: bytes = b"RIFF", size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return struct.pack("<4sI", magic, len(body) if size is None else size) + body


def extensible(channels: int, mask: int, data: bytes) -> bytes:
    """A WAV of 16 bits at 48 kHz that says which speakers its channels are for."""
    guid = struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    head = struct.pack("<HHIIHH", 0xFFFE, channels, 48000, 96000 * channels, 2 * channels, 16)
    return riff(
        chunk(b"fmt ", head + struct.pack("<HHI", 22, 16, mask) + guid), chunk(b"data", data)
    )


def id3v2(size: int) -> bytes:
    """A tag that holds nothing but padding."""
    sevens = bytes((size >> shift) & 127 for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + sevens + bytes(size)


def read(source: Any) -> tuple[Audio, list[str], bool]:
    """Audio, doubts, and whether it is cut off."""
    with open_audio(source) as audio:
        blocks = [np.zeros((0, audio.channels), np.float32), *audio.blocks(1000)]
        return np.concatenate(blocks), audio.doubts, audio.cut_off


def read_both_ways(data: bytes) -> tuple[Audio, list[str]]:
    """What is read from a file and from a pipe alike, and what is said of it."""
    from_file, doubts, cut_off = read(io.BytesIO(data))
    piped, doubts_piped, cut_off_piped = read(Pipe(data))
    assert np.array_equal(from_file, piped)
    assert (doubts, cut_off) == (doubts_piped, cut_off_piped)
    return from_file, doubts
