"""Writes Opus, Ogg Vorbis and MP3 by libsndfile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from neucodec.errors import NeucodecError

from .sound_writer import SoundForm, SoundWriter
from .speakers import xiph_channels

_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
_MIN_VORBIS_RATE, _MAX_VORBIS_RATE = 8000, 192_000  # beyond, libsndfile refuses or crashes
_BLOCK = 4096  # samples; larger blocks make libvorbis take much memory from the stack


@dataclass(frozen=True)
class LossyFormat:
    """What a lossy format can hold."""

    title: str
    format: str
    """Major format and subtype, by libsndfile's names."""
    subtype: str
    max_channels: int
    rates: tuple[int, ...] = ()
    """Sample rates in Hz; empty where any from 8000 to 192000 will do."""

    def nearest_rate(self, sample_rate: int) -> int:
        """Return the sample rate to write: the same, else the next higher, else the highest."""
        if not self.rates:
            return min(max(sample_rate, _MIN_VORBIS_RATE), _MAX_VORBIS_RATE)
        return next((rate for rate in self.rates if rate >= sample_rate), self.rates[-1])

    def check(self, sample_rate: int, channels: int) -> None:
        """Raise NeucodecError where the format cannot hold the sample rate or the channels."""
        if not 1 <= channels <= self.max_channels:
            raise NeucodecError(
                f"{self.title} cannot hold {channels} channels: 1 to {self.max_channels}; --mono "
                f"mixes them down, WAV holds them all"
            )
        if self.nearest_rate(sample_rate) != sample_rate:
            rates = ", ".join(map(str, self.rates)) or f"{_MIN_VORBIS_RATE} to {_MAX_VORBIS_RATE}"
            raise NeucodecError(f"{self.title} cannot hold {sample_rate} Hz: {rates}")


LOSSY = {
    "opus": LossyFormat("Opus", "OGG", "OPUS", 8, _OPUS_RATES),
    "ogg": LossyFormat("Ogg Vorbis", "OGG", "VORBIS", 8),
    "mp3": LossyFormat("MP3", "MP3", "MPEG_LAYER_III", 2, _MPEG_RATES),
}
"""The lossy formats, by the names of containers."""


class LossyWriter(SoundWriter):
    """Writes one of `LOSSY`, at the quality that libsndfile takes unless told otherwise.

    Raises NeucodecError for sample rates and numbers of channels that the format cannot hold.
    """

    def __init__(
        self,
        file: BinaryIO,
        container: str,
        sample_rate: int,
        channels: int,
        tags: Mapping[str, str],
    ) -> None:
        lossy = LOSSY[container]
        lossy.check(sample_rate, channels)
        self._order = xiph_channels(channels) if lossy.format == "OGG" else None
        form = SoundForm(lossy.title, container, lossy.format, lossy.subtype, sample_rate, channels)
        super().__init__(file, form, tags)

    def write(self, block: NDArray[np.float32]) -> None:
        """Append `block`, float32 [n, channels] in WAV's order."""
        if self._order is not None:
            block = block[:, self._order]
        for at in range(0, len(block), _BLOCK):
            self.put(np.ascontiguousarray(block[at : at + _BLOCK], np.float32))
