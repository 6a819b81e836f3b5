"""Run what is measured: our codecs at a bitrate, and others at a size in bytes."""

from __future__ import annotations

import io
import math
import shutil
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import soundfile

from neucodec.api import ArraySource
from neucodec.audio.samples import Audio
from neucodec.coding.decoder import Decoder
from neucodec.coding.encoder import encode
from neucodec.coding.options import DecodeOptions, EncodeOptions
from neucodec.errors import NeucodecError
from neucodec.formats import NcfReader

from .metrics import resampled

if TYPE_CHECKING:
    from neucodec.models import Codec

T = TypeVar("T")


@dataclass(frozen=True)
class Coded:
    """Holds what a codec made of a signal."""

    data: bytes
    """The file."""
    setting: str
    """What the codec was told, in its own words."""
    seconds: float
    """Of processor time that encoding took."""


def timed(function: Callable[[], T]) -> tuple[T, float]:
    """Return a result and the processor seconds it took, in this process and those it has run.

    Unlike the time on the wall these hardly depend on what else the machine does.
    """
    before = time.process_time() + _of_children()
    result = function()
    return result, time.process_time() + _of_children() - before


def _of_children() -> float:
    try:
        import resource
    except ImportError:  # Windows keeps no count of them
        return 0.0
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Neural:
    """Runs one of our codecs, in one thread."""

    suffix = ".ncf"

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.name = codec.card.name
        self._warm = False

    def encode(self, audio: Audio, sample_rate: int, bitrate: float) -> Coded:
        """Encode [n, channels] at the bitrate, in bit/s, nearest to this one."""
        options = EncodeOptions(bitrate=bitrate, threads=1)
        if not self._warm:  # first calls set up tables and memory that later ones find
            self._warm = True
            self.decode(self.encode(audio[:sample_rate], sample_rate, bitrate).data)
        target = io.BytesIO()
        report, seconds = timed(
            lambda: encode(ArraySource(audio, sample_rate), target, self.codec, options)
        )
        return Coded(target.getvalue(), f"{report.codebooks} codebooks", seconds)

    def decode(self, data: bytes) -> Audio:
        """Decode to the rate and length of what was encoded."""
        decoder = Decoder(NcfReader(io.BytesIO(data)), self.codec, DecodeOptions(threads=1))
        return np.concatenate(list(decoder.blocks()))


class Rival(ABC):
    """Runs another codec at whichever setting gives a file nearest to a size."""

    name: str
    suffix: str
    version: str
    """Of the encoder, whichever it is."""

    @abstractmethod
    def at(self, audio: Audio, sample_rate: int, setting: float) -> bytes:
        """Return the file of a setting between 0 (smallest) and 1 (largest that is tried)."""

    @abstractmethod
    def words(self, setting: float) -> str:
        """Write a setting as the encoder's own option."""

    @abstractmethod
    def decode(self, data: bytes, sample_rate: int, frames: int) -> Audio:
        """Decode to a rate and a length."""

    def encode(self, audio: Audio, sample_rate: int, size: int) -> Coded:
        """Encode at the setting whose file comes nearest to ``size`` bytes.

        That may be far off where even the lowest setting gives more.
        """
        low, high, best = 0.0, 1.0, 0.0
        data, seconds = timed(partial(self.at, audio, sample_rate, 0.0))
        if len(data) < size:
            for _ in range(_STEPS):
                middle = (low + high) / 2
                tried, took = timed(partial(self.at, audio, sample_rate, middle))
                if abs(len(tried) - size) < abs(len(data) - size):
                    best, data, seconds = middle, tried, took
                if abs(len(tried) - size) <= _NEAR * size:
                    break
                low, high = (low, middle) if len(tried) > size else (middle, high)
        return Coded(data, self.words(best), seconds)


_STEPS = 12
_NEAR = 0.002  # of the size: near enough


class OpusTools(Rival):
    """Runs Opus by ``opusenc`` and ``opusdec`` (complexity 10, VBR), without comments and
    padding.
    """

    name, suffix = "opus", ".opus"
    LOWEST, HIGHEST = 5.0, 96.0  # kbps

    def __init__(self, version: str) -> None:
        self.version = version

    def words(self, setting: float) -> str:
        """Write a setting as in ``--bitrate 12.5``."""
        return f"--bitrate {self._kbps(setting):.2f}"

    def _kbps(self, setting: float) -> float:
        return self.LOWEST * math.exp(setting * math.log(self.HIGHEST / self.LOWEST))

    def at(self, audio: Audio, sample_rate: int, setting: float) -> bytes:
        """Return the .opus file of a setting."""
        with tempfile.TemporaryDirectory() as folder:
            source, packed = Path(folder) / "in.wav", Path(folder) / "out.opus"
            soundfile.write(source, audio, sample_rate, subtype="FLOAT")
            _run(
                "opusenc", "--quiet", "--discard-comments", "--padding", "0",
                *self.words(setting).split(), str(source), str(packed),
            )  # fmt: skip
            return packed.read_bytes()

    def decode(self, data: bytes, sample_rate: int, frames: int) -> Audio:
        """Decode by way of a temporary file."""
        with tempfile.TemporaryDirectory() as folder:
            packed, back = Path(folder) / "in.opus", Path(folder) / "out.wav"
            packed.write_bytes(data)
            rate = str(sample_rate)
            _run("opusdec", "--quiet", "--float", "--rate", rate, str(packed), str(back))
            decoded, _ = soundfile.read(back, dtype="float32", always_2d=True)
        return _of_length(decoded, frames)


class Sndfile(Rival):
    """Runs Opus or Vorbis by libsndfile, whose settings are its levels of compression."""

    OPUS_RATES = (8000, 12000, 16000, 24000, 48000)

    def __init__(self, name: str) -> None:
        self.name, self.suffix, self._subtype = name, ".ogg", name.upper()
        self.version = f"libsndfile {soundfile.__libsndfile_version__}"

    def words(self, setting: float) -> str:
        """Write a setting as in ``compression_level 0.9876``."""
        return f"compression_level {1 - setting:.5f}"

    def at(self, audio: Audio, sample_rate: int, setting: float) -> bytes:
        """Return the Ogg file of a setting; Opus at the next rate it has."""
        rate = sample_rate
        if self._subtype == "OPUS":
            rate = next((r for r in self.OPUS_RATES if r >= sample_rate), self.OPUS_RATES[-1])
        target = io.BytesIO()
        soundfile.write(
            target, resampled(audio, sample_rate, rate), rate,
            format="OGG", subtype=self._subtype, compression_level=1 - setting,
        )  # fmt: skip
        return target.getvalue()

    def decode(self, data: bytes, sample_rate: int, frames: int) -> Audio:
        """Decode to the rate and length that were given."""
        decoded, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
        return _of_length(resampled(decoded, rate, sample_rate), frames)


@cache
def _opusenc() -> str:
    """Return the version of opus-tools; empty where they are not installed."""
    if not (shutil.which("opusenc") and shutil.which("opusdec")):
        return ""
    text = subprocess.run(["opusenc", "--version"], capture_output=True, text=True, check=False)
    return (text.stdout or text.stderr).partition("\n")[0].strip()


RIVALS: dict[str, Callable[[], Rival]] = {
    "opus": lambda: OpusTools(_opusenc()) if _opusenc() else Sndfile("opus"),
    "vorbis": lambda: Sndfile("vorbis"),
}


def rival(name: str) -> Rival:
    """Return the rival of that name; Opus by opus-tools where they are installed, else by
    libsndfile.
    """
    if name not in RIVALS:
        raise NeucodecError(f"cannot compare with {name!r}; there are {', '.join(RIVALS)}")
    return RIVALS[name]()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise NeucodecError(f"{command[0]} failed: {said}")


def _of_length(audio: Audio, frames: int) -> Audio:
    return np.pad(audio, ((0, max(0, frames - len(audio))), (0, 0)))[:frames]
