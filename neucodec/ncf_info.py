"""What an .ncf says of itself, in the manner of ``soundfile.info``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from neucodec.coding.integrity import length_of
from neucodec.formats import NcfReader
from neucodec.terminal.timecode import format_time


@dataclass(frozen=True)
class NcfInfo:
    """Holds what is known of a file without decoding it."""

    name: str
    """Its path, or what the open file calls itself; empty for one in memory."""
    samplerate: int
    """The sample rate in Hz of the source and of what comes out."""
    channels: int
    frames: int
    """Samples per channel; of a file that was cut off, those that are left."""
    duration: float
    """The length in seconds."""
    codec: str
    """The name of the model that it was made with."""
    codebooks: int
    """The largest number of codebooks that a chunk may use."""
    bitrate: float
    """The bitrate in bit/s, from the file's size; 0 where there is no audio."""
    tags: Mapping[str, str]
    """Vorbis comments: names and texts."""
    complete: bool
    """Whether the file's end is there."""
    encoder: str
    """The program that made it."""
    format_version: str
    """The version of the .ncf format."""
    format: str = "NCF"

    @property
    def subtype(self) -> str:
        """Return the name of the model, under soundfile's name for how samples are stored."""
        return self.codec

    def __str__(self) -> str:
        lines = [
            self.name or "in memory",
            f"samplerate: {self.samplerate} Hz",
            f"channels: {self.channels}",
            f"duration: {format_time(self.duration, 3)}, {self.frames} samples",
            f"format: {self.format} {self.format_version}",
            f"codec: {self.codec}, up to {self.codebooks} codebooks",
            f"bitrate: {self.bitrate / 1000:.2f} kbps",
            *(f"{name}: {value}" for name, value in self.tags.items()),
        ]
        return "\n".join(lines + ([] if self.complete else ["cut off, or its end damaged"]))

    __repr__ = __str__


def info_of(file: BinaryIO, name: str) -> NcfInfo:
    """Read what an .ncf says of itself from a file that can seek, which is left at its end.

    Raises NeucodecError for what is no .ncf.
    """
    start = file.tell()
    reader = NcfReader(file)
    header = reader.header
    reader.locate()
    size = file.seek(0, os.SEEK_END) - start
    seconds = length_of(reader)
    return NcfInfo(
        name=name,
        samplerate=header.source_rate,
        channels=header.channels,
        frames=round(seconds * header.source_rate),
        duration=seconds,
        codec=header.codec,
        codebooks=header.codebooks,
        bitrate=8 * size / seconds if seconds else 0.0,
        tags=dict(header.tags),
        complete=reader.complete,
        encoder=header.encoder,
        format_version=".".join(map(str, reader.version)),
    )
