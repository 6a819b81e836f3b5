"""Audio from files and pipes, in blocks.

Files are read by libsndfile. A pipe cannot be sought, so WAV and headerless PCM are read from
it as they come, and any other format goes through a temporary file first.

A sample that is not finite (NaN or infinite, in floating-point files) is read as 0 and counted.
Damage inside a file ends `blocks` with a NeucodecError after all blocks before it.
"""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from . import pcm, remote, sndfile, wav
from .ending import end_if_told
from .errors import NeucodecError
from .fileio import Prelude, copy_rest, is_seekable, open_spool, read_up_to, write_all
from .pcm import RawFormat
from .pipes import PIPE, is_special, open_to_read, standard_input
from .remote import is_remote

__all__ = ["AudioSource", "RawFormat", "open_audio"]

Audio = NDArray[np.float32]

MAX_CHANNELS = 255  # what an .ncf file holds; keeps blocks of a corrupt header small, too

_DRAIN_BYTES = 1 << 16


class AudioSource(ABC):
    """Audio that is read once, from start to end; a context manager that closes it."""

    samplerate: int
    """Hz."""
    channels: int
    frames: int | None
    """Samples per channel, None where unknown: a pipe's header may not say."""
    subtype: str | None
    """libsndfile's name for how the samples are stored, such as PCM_16 or VORBIS."""
    tags: dict[str, str]
    """Vorbis comment names, in upper case, to texts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nonfinite = 0
        """Samples replaced by 0 so far."""
        self.closing = ExitStack()

    def blocks(self, blocksize: int = 65536) -> Iterator[Audio]:
        """The rest of the audio as float32 [n, channels], full scale 1.0.

        Every block has `blocksize` samples per channel but the last, and is given out as soon
        as it has come in. Raises NeucodecError where the input is damaged or cannot be read.
        """
        if blocksize < 1:
            raise ValueError(f"blocksize is {blocksize}: at least 1 is needed")
        while True:
            end_if_told()
            try:
                block = self._read(blocksize)
            except OSError as error:
                raise _cannot_read(self.name, error) from error
            if not len(block):
                return
            finite = np.isfinite(block)
            if not finite.all():
                self.nonfinite += int(block.size - np.count_nonzero(finite))
                block = np.where(finite, block, np.float32(0))
            yield block

    @abstractmethod
    def _read(self, count: int) -> Audio:
        """The next [n, channels], n <= count; n = 0 at the end only."""

    def close(self) -> None:
        """Close what was opened here; a file handed in stays open."""
        self.closing.close()

    def __enter__(self) -> AudioSource:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _PcmSource(AudioSource):
    """PCM from wherever `file` stands, to its end or for `data_bytes`."""

    def __init__(
        self,
        name: str,
        file: BinaryIO,
        layout: RawFormat,
        data_bytes: int | None,
        tags: Mapping[str, str],
    ) -> None:
        super().__init__(name)
        self._file = file
        self._form = pcm.sample_format(layout.sample_format)
        self._align = layout.channels * self._form.width
        self._left = data_bytes
        self.samplerate = layout.samplerate
        self.channels = layout.channels
        self.frames = None if data_bytes is None else data_bytes // self._align
        self.subtype = self._form.subtype
        self.tags = dict(tags)

    def _read(self, count: int) -> Audio:
        wanted = count * self._align
        data = read_up_to(self._file, wanted if self._left is None else min(wanted, self._left))
        if self._left is not None:
            self._left -= len(data)
        whole = len(data) - len(data) % self._align  # a last sample cut in two is dropped
        if not whole and self._left is not None:
            self._drain()
        return pcm.decode(data[:whole], self._form).reshape(-1, self.channels)

    def _drain(self) -> None:
        """Take chunks behind the audio too, so that their writer does not fail."""
        while read_up_to(self._file, _DRAIN_BYTES):
            pass


class _SoundFileSource(AudioSource):
    """Whatever libsndfile reads."""

    def __init__(self, name: str, sound: sndfile.SequentialFile) -> None:
        super().__init__(name)
        self._sound = sound
        self.samplerate = sound.samplerate
        self.channels = sound.channels
        self.frames = sound.known_frames
        self.subtype = sound.subtype
        self.tags = sound.vorbis_tags
        self._done = 0

    def _read(self, count: int) -> Audio:
        block: Audio = np.empty((count, self.channels), np.float32)
        try:
            block = self._sound.read(out=block)
        except soundfile.SoundFileError as error:
            self._sound.check()
            raise self._damaged(str(error)) from error
        self._sound.check()
        self._done += len(block)
        if not len(block) and self.frames is not None and self._done < self.frames:
            raise self._damaged(f"{self.frames / self.samplerate:.2f} s were announced")
        return block

    def close(self) -> None:
        self._sound.close()
        super().close()

    def _damaged(self, reason: str) -> NeucodecError:
        seconds = self._done / self.samplerate
        return NeucodecError(
            f"{self.name}: damaged or cut off after {seconds:.2f} s ({reason.rstrip('.')})"
        )


def open_audio(
    source: str | os.PathLike[str] | BinaryIO, *, raw: RawFormat | None = None
) -> AudioSource:
    """Open a file by name or URL, an open binary file from where it stands, or "-", stdin.

    `raw` says that there is no header, and what the samples are. Raises NeucodecError where
    there is nothing to read or nothing that can be read.
    """
    opened = _open(source, raw)
    if opened.channels > MAX_CHANNELS:
        opened.close()
        raise NeucodecError(
            f"{opened.name}: {opened.channels} channels: 1 to {MAX_CHANNELS} are possible"
        )
    return opened


def _open(source: str | os.PathLike[str] | BinaryIO, raw: RawFormat | None) -> AudioSource:
    if source == PIPE:
        return _open_binary(standard_input(), "standard input", raw)
    if not isinstance(source, (str, os.PathLike)):
        return _open_binary(source, str(getattr(source, "name", "input")), raw)
    if isinstance(source, str) and is_remote(source):
        with ExitStack() as opening:
            elsewhere = opening.enter_context(remote.open_to_read(source))
            opened = _open_binary(elsewhere, source, raw)
            opened.closing.push(opening.pop_all())
        return opened
    if is_special(source):
        with ExitStack() as opening:
            try:
                pipe = opening.enter_context(open_to_read(os.fspath(source)))
            except OSError as error:
                raise _cannot_read(str(source), error) from error
            opened = _open_binary(pipe, str(source), raw)
            opened.closing.push(opening.pop_all())
        return opened
    path = Path(source)
    if path.is_dir():
        raise NeucodecError(f"{path}: this is a directory, not an audio file")
    try:
        file = path.open("rb")
    except OSError as error:
        raise _cannot_read(str(path), error) from error
    with ExitStack() as opening:
        opening.callback(file.close)
        if raw is None and path.is_file():
            opened = _open_sound(str(path), lambda: sndfile.open_path(path), file)
        else:
            opened = _open_binary(file, str(path), raw)
        opened.closing.push(opening.pop_all())
    return opened


def _open_binary(file: BinaryIO, name: str, raw: RawFormat | None) -> AudioSource:
    if raw:
        return _PcmSource(name, file, raw, _bytes_left(file), {})
    if is_seekable(file) and file.tell() == 0:
        return _open_sound(name, lambda: sndfile.open_file(file), file)
    return _open_stream(file, name)


def _open_sound(
    name: str, opening: Callable[[], sndfile.SequentialFile], file: BinaryIO
) -> AudioSource:
    """Through libsndfile; `file` is the same, open at its start."""
    sound = _open_with_libsndfile(name, opening)
    if sound.frames == 0 and sound.format in ("WAV", "WAVEX", "RF64"):
        # Whoever wrote it may not have come back to fill in the size.
        sound.close()
        file.seek(0)
        return _open_stream(file, name)
    return _SoundFileSource(name, sound)


def _open_stream(file: BinaryIO, name: str) -> AudioSource:
    """From where `file` stands, without seeking in it."""
    start = Prelude(file)
    try:
        header = wav.read_header(start)
    except NeucodecError as error:
        raise NeucodecError(f"{name}: {error}") from None
    except OSError as error:
        raise _cannot_read(name, error) from error
    if header:
        layout = RawFormat(header.samplerate, header.channels, header.sample_format.name)
        data_bytes = _bytes_left(file) if header.data_bytes is None else header.data_bytes
        return _PcmSource(name, file, layout, data_bytes, header.tags)
    with ExitStack() as opening:
        try:
            spool = open_spool()
            opening.callback(spool.close)
            write_all(spool, start.kept or b"")
            copy_rest(file, spool)
        except OSError as error:
            reason = f"cannot be held in {tempfile.gettempdir()}: {error.strerror or error}"
            raise NeucodecError(f"{name}: {reason}") from error
        sound = _open_with_libsndfile(name, lambda: sndfile.open_file(spool))
        opened = _SoundFileSource(name, sound)
        opened.closing.push(opening.pop_all())
    return opened


def _bytes_left(file: BinaryIO) -> int | None:
    """Up to the end of a seekable file; None for a pipe."""
    if not is_seekable(file):
        return None
    position = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(position)
    return end - position


def _open_with_libsndfile(
    name: str, opening: Callable[[], sndfile.SequentialFile]
) -> sndfile.SequentialFile:
    try:
        return opening()
    except soundfile.SoundFileError as error:
        raise NeucodecError(
            f"{name}: empty, or no audio that libsndfile reads (WAV, FLAC, Ogg Vorbis, Opus, MP3, "
            f"AIFF, CAF, AU, W64 ...); headerless PCM needs its format said (--raw)"
        ) from error
    except OSError as error:
        raise _cannot_read(name, error) from error


def _cannot_read(name: str, error: OSError) -> NeucodecError:
    return NeucodecError(f"{name}: cannot be read: {error.strerror or error}")
