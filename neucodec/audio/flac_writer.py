"""Writes FLAC by libsndfile."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from neucodec.errors import NeucodecError

from . import pcm
from .sound_writer import SoundForm, SoundWriter

BITS = {"PCM_16": 16, "PCM_24": 24}
"""The sample formats that are written, by libsndfile's names, and their bits."""
MAX_CHANNELS = 8
MAX_RATE = 655_350  # Hz

_BLOCK = 4096  # samples; what libFLAC's default level uses


class FlacWriter(SoundWriter):
    """Writes a FLAC file of `subtype` PCM_16 or PCM_24.

    Raises NeucodecError for sample rates and numbers of channels that FLAC cannot hold.
    """

    def __init__(
        self,
        file: BinaryIO,
        sample_rate: int,
        channels: int,
        subtype: str,
        tags: Mapping[str, str],
    ) -> None:
        if not 1 <= channels <= MAX_CHANNELS:
            raise NeucodecError(f"FLAC cannot hold {channels} channels: 1 to {MAX_CHANNELS}")
        if not 1 <= sample_rate <= MAX_RATE:
            raise NeucodecError(f"FLAC cannot hold {sample_rate} Hz: 1 to {MAX_RATE}")
        self._bits = BITS[subtype]
        super().__init__(
            file, SoundForm("FLAC", "flac", "FLAC", subtype, sample_rate, channels), tags
        )

    def write(self, block: NDArray[np.float32]) -> None:
        """Append `block`, float32 [n, channels]."""
        if len(block):
            self.put(pcm.quantise(block, self._bits) << (32 - self._bits))

    def empty_file(self) -> bytes:
        """Return a FLAC file without audio: its STREAMINFO alone (RFC 9639, section 8.2)."""
        sample_rate, channels, bits = self._form.sample_rate, self._form.channels, self._bits
        fields = [(_BLOCK, 16), (_BLOCK, 16), (0, 24), (0, 24)]
        fields += [(sample_rate, 20), (channels - 1, 3), (bits - 1, 5), (0, 36)]
        packed = 0
        for value, width in fields:
            packed = packed << width | value
        info = packed.to_bytes(18, "big") + hashlib.md5(usedforsecurity=False).digest()
        return b"fLaC" + bytes((0x80, 0, 0, len(info))) + info
