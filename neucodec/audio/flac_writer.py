"""Writes FLAC by libsndfile."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from neucodec.errors import NeucodecError
from neucodec.files.byte_streams import copy_rest, is_patchable, open_spool, write_all

from . import pcm
from .libsndfile import TAGS, GuardedFile, SequentialFile

BITS = {"PCM_16": 16, "PCM_24": 24}
"""The sample formats that are written, by libsndfile's names, and their bits."""
MAX_CHANNELS = 8
MAX_RATE = 655_350  # Hz

_BLOCK = 4096  # samples; what libFLAC's default level uses


class FlacWriter:
    """Writes a FLAC file of `subtype` PCM_16 or PCM_24.

    A pipe gets the file once it is complete, since FLAC's header has totals that are known last.
    Tags that libsndfile has no name for are left out. Raises NeucodecError for sample rates and
    numbers of channels that FLAC cannot hold.
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
        self._file = file
        self._format = sample_rate, channels, BITS[subtype]
        self._spool: BinaryIO | None = None
        if not is_patchable(file) or file.tell():  # libsndfile counts from a file's first byte
            self._spool = open_spool()
        self._sound = SequentialFile(
            GuardedFile(self._spool or file), "w", sample_rate, channels, subtype, format="FLAC"
        )
        for tag, name in TAGS.items():
            if tags.get(tag):
                setattr(self._sound, name, tags[tag].encode("utf-8", "replace").decode())
        self._empty = True

    def write(self, block: NDArray[np.float32]) -> None:
        """Append `block`, float32 [n, channels]."""
        if not len(block):
            return
        bits = self._format[2]
        self._run(lambda: self._sound.write(pcm.quantise(block, bits) << (32 - bits)))
        self._empty = False

    def close(self) -> None:
        """Complete the file; it stays open."""
        self._run(self._sound.close)
        target = self._spool or self._file
        if self._empty:  # libsndfile writes nothing at all then
            write_all(target, _empty_file(*self._format))
        if self._spool:
            self._spool.seek(0)
            copy_rest(self._spool, self._file)
            self._spool.close()
        self._file.flush()

    def abort(self) -> None:
        """Close what is open for the file, and leave the file incomplete."""
        with suppress(Exception):
            self._sound.close()
        if self._spool:
            self._spool.close()

    def _run(self, action: Callable[[], None]) -> None:
        """Do `action`. Raises the error of the file itself, not libsndfile's report of it."""
        try:
            action()
        except (soundfile.SoundFileError, AssertionError) as error:
            self._sound.check()
            raise NeucodecError(f"FLAC cannot be written: {error}") from error
        self._sound.check()


def _empty_file(sample_rate: int, channels: int, bits: int) -> bytes:
    """Return a FLAC file without audio: its STREAMINFO alone (RFC 9639, section 8.2)."""
    fields = [(_BLOCK, 16), (_BLOCK, 16), (0, 24), (0, 24)]
    fields += [(sample_rate, 20), (channels - 1, 3), (bits - 1, 5), (0, 36)]
    packed = 0
    for value, width in fields:
        packed = packed << width | value
    info = packed.to_bytes(18, "big") + hashlib.md5(usedforsecurity=False).digest()
    return b"fLaC" + bytes((0x80, 0, 0, len(info))) + info
