"""Find out whether files are whole, without decoding them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from neucodec.files.paths import open_to_read
from neucodec.formats import SIGNATURE, Chunk, Header, NcfError, NcfReader, coded_streams
from neucodec.terminal.signals import end_if_told

Spans = list[tuple[float, float]]
"""Stretches of time in seconds, (start, end) each, in order."""
FindUndecodable = Callable[[list[Chunk]], list[int]]
"""Indices of those intact chunks whose payloads are not codes."""
_BLOCK = 65536
_CHUNKS = 128


@dataclass(frozen=True)
class Integrity:
    """Holds what reading all of an .ncf has shown."""

    chunks: int
    """Undamaged ones."""
    seconds: float
    """Length of the audio; of what there is of it where the file is cut off."""
    complete: bool
    """Whether the end of the file is there."""
    damaged: Spans
    """What decoding would leave silent."""
    surplus: str = ""
    """What stands behind its end, see `surplus_of`."""

    @property
    def whole(self) -> bool:
        """Tell whether every check passed."""
        return self.complete and not self.damaged and not self.surplus


def check_ncf(
    reader: NcfReader,
    undecodable: FindUndecodable | None = None,
    progress: Callable[[float], None] | None = None,
) -> Integrity:
    """Read the file to its end and check every CRC and, by ``undecodable``, every payload.

    ``progress`` is called with the seconds of audio checked since its last call.
    """
    chunks, failed, batch = 0, [], list[Chunk]()
    for chunk, count in reader.runs():
        end_if_told()
        chunks += count
        if progress:
            progress(count * reader.header.chunk_stride / reader.header.sample_rate)
        if chunk and undecodable:
            batch.append(chunk)
            if len(batch) == _CHUNKS:
                failed += undecodable(batch)
                batch = []
    failed += undecodable(batch) if undecodable else []
    seconds = length_of(reader)
    damaged = damaged_spans(reader.header, [*reader.damaged, *failed], seconds)
    return Integrity(chunks - len(failed), seconds, reader.complete, damaged, surplus_of(reader))


def surplus_of(reader: NcfReader) -> str:
    """Say what follows a file's end; an empty text where nothing does.

    An .ncf ends with its trailer: of several in one file the first is all that is read.
    """
    follows = reader.follows()
    if not follows:
        return ""
    what = "another .ncf" if follows.startswith(SIGNATURE[: len(follows)]) else "other bytes"
    return f"followed by {what}, no part of it"


@dataclass
class Contents:
    """Holds what the intact chunks of a file contain, in bytes."""

    payloads: int = 0
    raw_payloads: int = 0
    """What the payloads would take without entropy coding."""
    layers: int = 0
    layered_chunks: int = 0
    """How many chunks have a layer."""


def contents_of(reader: NcfReader) -> Contents:
    """Read all of a file and count; after that ``reader`` knows what is damaged."""
    header, found = reader.header, Contents()
    for chunk, _ in reader.runs():
        end_if_told()
        if chunk is None:
            continue
        streams = len(coded_streams(header, chunk))
        found.payloads += len(chunk.payload)
        found.raw_payloads += header.raw_bytes(streams, chunk.codebooks, chunk.frames)
        found.layers += len(chunk.layer)
        found.layered_chunks += bool(chunk.layer)
    return found


def length_of(reader: NcfReader) -> float:
    """Return the seconds of audio, once ``reader`` has been read or its table made."""
    header = reader.header
    if reader.complete and reader.frames is not None:
        return reader.frames / header.source_rate
    return (reader.chunk_count or 0) * header.chunk_stride / header.sample_rate


def damaged_spans(header: Header, indices: list[int], seconds: float) -> Spans:
    """Return the time that chunks of these indices stand for, neighbours joined; it ends at
    ``seconds``.
    """
    stride = header.chunk_stride / header.sample_rate
    spans: Spans = []
    for index in sorted(indices):
        start, end = index * stride, min((index + 1) * stride, seconds)
        if spans and spans[-1][1] >= start:
            start = spans.pop()[0]
        spans.append((start, max(start, end)))
    return spans


def samples_of_whole_ncf(path: str) -> int | None:
    """Return the samples per channel of the .ncf of that name; None where it is not complete, or
    damaged.
    """
    with open_to_read(path) as file:
        try:
            reader = NcfReader(file)
            return reader.frames if check_ncf(reader).whole else None
        except NcfError:
            return None


def is_whole_ncf(path: str) -> bool:
    """Tell whether there is an .ncf of that name, complete and undamaged."""
    return samples_of_whole_ncf(path) is not None


def is_whole_audio(path: str, samplerate: int, channels: int, frames: int) -> bool:
    """Tell whether there is a sound file of that name with just that sample rate, channels and
    length.
    """
    import soundfile

    try:
        with open_to_read(path) as opened, soundfile.SoundFile(opened) as file:
            if (file.samplerate, file.channels) != (samplerate, channels):
                return False
            found = 0
            for block in file.blocks(_BLOCK, dtype="int16"):
                end_if_told()
                found += len(block)
            return frames == found
    except soundfile.SoundFileError:
        return False


def samples_to_come(
    reader: NcfReader, rate: int | None, start: float | None, end: float | None
) -> int | None:
    """Return the samples per channel that decoding gives; None where a file's end is not there."""
    if not reader.complete or reader.frames is None:
        return None
    rate = rate or reader.header.source_rate
    total = -(-reader.frames * rate // reader.header.source_rate)
    stop = total if end is None else min(total, round(end * rate))
    return max(0, stop - round((start or 0) * rate))
