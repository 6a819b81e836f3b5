"""Audio from files and pipes, in blocks.

The same bytes give the same audio by name and from a pipe. PCM in a WAV or without a header is
decoded here, as it comes in; any other format is decoded by libsndfile, from a pipe through a
temporary file. `sound_parts` finds beforehand what libsndfile would not see. What libsndfile does
not know is read by FFmpeg's libraries, or by an ffmpeg (`media`).

A sample that cannot be audio (NaN, infinite, beyond `samples.LOUDEST`) is read as 0 and counted.
Damage inside a file ends `AudioSource.blocks` with a NeucodecError after the blocks before it.
Audio that is missing at the end, and bytes that are left out behind it, are told in
`AudioSource.doubts`.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import soundfile

from neucodec.errors import NeucodecError
from neucodec.files import remote
from neucodec.files.byte_streams import Prelude, copy_rest, is_seekable, open_spool, write_all
from neucodec.files.file_section import Section
from neucodec.files.pipes import is_special, open_to_read, standard_input
from neucodec.files.urls import is_remote
from neucodec.terminal.standard_streams import PIPE

from . import wav_header
from .media import can_read_media, open_media
from .media_kinds import kind_of_media
from .pcm import RawFormat
from .samples import Audio
from .sound_parts import PcmPart, SoundParts, find_parts
from .source import AudioSource, PcmSource, SoundFileSource, cannot_read
from .speakers import kept_mask
from .tag_reader import merged, read_tags

__all__ = ["Audio", "AudioSource", "RawFormat", "open_audio"]

MAX_CHANNELS = 255
"""The most channels that an .ncf can hold; a corrupt header may announce more."""


def open_audio(
    source: str | os.PathLike[str] | BinaryIO, *, raw: RawFormat | None = None
) -> AudioSource:
    """Open audio for reading: a file by name or URL, "-" for standard input, or an open file.

    An open binary file is read from where it stands, and stays open. `raw` is given for audio
    without a header, and says how samples are stored. Raises NeucodecError where the source cannot
    be read, or its format is unknown.
    """
    opened = _open(source, raw)
    if opened.channels > MAX_CHANNELS:
        opened.close()
        raise NeucodecError(
            f"{opened.name}: {opened.channels} channels: 1 to {MAX_CHANNELS} are possible"
        )
    return opened


def _open(source: str | os.PathLike[str] | BinaryIO, raw: RawFormat | None) -> AudioSource:
    """Open audio with any number of channels; see `open_audio`."""
    if source == PIPE:
        return _open_binary(standard_input(), "standard input", raw)
    if not isinstance(source, (str, os.PathLike)):
        return _open_binary(source, str(getattr(source, "name", "input")), raw)
    with ExitStack() as opening:
        if isinstance(source, str) and is_remote(source):
            file, name = opening.enter_context(remote.open_to_read(source)), source
        elif is_special(source):
            name = str(source)
            try:
                file = opening.enter_context(open_to_read(os.fspath(source)))
            except OSError as error:
                raise cannot_read(name, error) from error
        else:
            path = Path(source)
            name = str(path)
            if path.is_dir():
                raise NeucodecError(f"{path}: this is a directory, not an audio file")
            try:
                file = opening.enter_context(path.open("rb"))
            except OSError as error:
                raise cannot_read(name, error) from error
        opened = _open_binary(file, name, raw)
        opened.closing.push(opening.pop_all())
    return opened


def _open_binary(file: BinaryIO, name: str, raw: RawFormat | None) -> AudioSource:
    """Open the audio of a binary file, which messages call `name`."""
    if raw:
        return PcmSource(name, file, raw, _bytes_left(file))
    try:
        if is_seekable(file):
            return _open_section(Section(file, file.tell()), name)
        return _open_stream(file, name)
    except OSError as error:
        raise cannot_read(name, error) from error


def _open_section(section: Section, name: str) -> AudioSource:
    """Open the audio of a file that can seek, with all of its tags."""
    opened = _open_sound(section, name)
    tags, doubts = read_tags(section.part(0))
    opened.tags = merged(opened.tags, tags)
    opened.tag_doubts += doubts
    return opened


def _open_sound(section: Section, name: str) -> AudioSource:
    """Open the audio of a file that can seek."""
    if kind_of_media(section):
        return open_media(section, name)
    try:
        found = find_parts(section)
        if isinstance(found, SoundParts):
            return SoundFileSource(name, found)
    except NeucodecError as error:
        raise NeucodecError(f"{name}: {error}") from None
    except soundfile.SoundFileError as error:
        if section.at(0, 4) == b"\x89NCF":
            raise NeucodecError(
                f"{name}: this is an .ncf already; neucodec decode makes audio of it"
            ) from None
        if section.size and can_read_media():
            return open_media(section, name)
        raise NeucodecError(
            f"{name}: empty, or no audio that libsndfile reads (WAV, FLAC, Ogg Vorbis, Opus, MP3, "
            f"AIFF, CAF, AU, W64 ...); other formats need PyAV (pip install av) or ffmpeg on the "
            f"PATH, headerless PCM needs its format said (--raw)"
        ) from error
    return _open_pcm(found, name)


def _open_pcm(part: PcmPart, name: str) -> AudioSource:
    """Open the PCM that was found in a file."""
    source = PcmSource(name, part.section.as_file(), part.layout, part.section.size, part.tags)
    source.doubts += part.doubts
    source.cut_off = part.cut_off
    source.channel_mask = kept_mask(part.mask, source.channels)
    return source


def _open_stream(file: BinaryIO, name: str) -> AudioSource:
    """Open the audio of a pipe, from where it stands, without seeking."""
    start = Prelude(file)
    try:
        header = wav_header.read_header(start)
    except NeucodecError as error:
        raise NeucodecError(f"{name}: {error}") from None
    if header and (layout := header.raw_format):
        source = PcmSource(name, file, layout, header.data_bytes, header.tags, header)
        source.doubts += [header.doubt] if header.doubt else []
        source.channel_mask = kept_mask(header.format.mask, source.channels)
        return source
    with ExitStack() as opening:
        try:
            spool = open_spool()
            opening.callback(spool.close)
            write_all(spool, start.kept or b"")
            copy_rest(file, spool)
        except OSError as error:
            reason = f"cannot be held in {tempfile.gettempdir()}: {error.strerror or error}"
            raise NeucodecError(f"{name}: {reason}") from error
        opened = _open_section(Section(spool), name)
        opened.closing.push(opening.pop_all())
    return opened


def _bytes_left(file: BinaryIO) -> int | None:
    """Return the bytes from where a file stands to its end; None for a pipe."""
    if not is_seekable(file):
        return None
    position = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(position)
    return end - position
