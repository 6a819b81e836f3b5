"""Reads and writes by libsndfile through python-soundfile, block by block.

Three faults are mended here. python-soundfile seeks after every block, which loses the end of FLAC
files of unknown length; its callbacks swallow exceptions of Python files; and libsndfile guesses
the length of MP3 files that do not state it, and stops there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import BinaryIO, TypeVar

import soundfile

from neucodec.files.byte_streams import read_up_to, write_all

TAGS = {
    "TITLE": "title",
    "ARTIST": "artist",
    "ALBUM": "album",
    "DATE": "date",
    "TRACKNUMBER": "tracknumber",
    "GENRE": "genre",
    "COMMENT": "comment",
    "COPYRIGHT": "copyright",
    "LICENSE": "license",
}
"""Vorbis comment names and python-soundfile's attributes for them."""

_UNKNOWN_SAMPLES = 1 << 62  # libsndfile says 2**63 - 1 where it does not know
_ID3V1_BYTES = 128
_STRETCH = 64  # above the ratio of a frame's bitrate to a file's mean, at most 320 to 8 kbit/s

_T = TypeVar("_T")


class SequentialFile(soundfile.SoundFile):  # type: ignore[misc]
    """A SoundFile that is read or written from start to end and never seeks."""

    guesses_length = False
    """Whether the length is libsndfile's guess."""

    def seekable(self) -> bool:
        """Return False, which keeps python-soundfile from seeking to where it already is."""
        return False

    def check(self) -> None:
        """Raise the exception of the Python file that is read or written, if it had one."""
        if isinstance(self.name, GuardedFile):
            self.name.check()

    @property
    def known_samples(self) -> int | None:
        """Return the samples per channel; None where the file does not say."""
        return None if self.guesses_length else int(self.frames)

    @property
    def vorbis_tags(self) -> dict[str, str]:
        """Return the tags that libsndfile gives, by their Vorbis comment names."""
        texts = {tag: _mended(getattr(self, name).strip()) for tag, name in TAGS.items()}
        return {tag: text for tag, text in texts.items() if text}


def _mended(text: str) -> str:
    """Return a text as it was meant, if it was written in the Windows code page.

    libsndfile reads such a text as Latin-1, in which it has control characters.
    """
    if not any("\x80" <= c <= "\x9f" for c in text):
        return text
    try:
        return text.encode("latin-1").decode("cp1252")
    except UnicodeError:
        return text


class GuardedFile:
    """A Python file for libsndfile's callbacks, which keeps the exception that C would drop.

    After the first exception it does nothing more. `check` raises that exception.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._error: BaseException | None = None

    def check(self) -> None:
        """Raise the exception of a callback, if there was one, and forget it."""
        error, self._error = self._error, None
        if error:
            raise error

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place and return it; -1 after an exception."""
        return self._call(lambda: self.file.seek(offset, whence), -1)

    def tell(self) -> int:
        """Return the current place; -1 after an exception."""
        return self._call(self.file.tell, -1)

    def read(self, count: int) -> bytes:
        """Read up to `count` bytes; none after an exception."""
        return self._call(lambda: read_up_to(self.file, count), b"")

    def write(self, data: bytes) -> int:
        """Write the data and return its length; 0 after an exception."""
        return self._call(lambda: write_all(self.file, data), 0)

    def _call(self, function: Callable[[], _T], otherwise: _T) -> _T:
        if self._error:
            return otherwise
        try:
            return function()
        except BaseException as error:
            self._error = error
            return otherwise


class _StretchedFile(GuardedFile):
    """A file that claims to be longer than it is.

    libsndfile works out the length of an MP3 file without a Xing or VBRI header from its first
    frame's bitrate, and stops there, which cuts files of variable bitrate. Given too large a size,
    it stops where the bytes end. The file's last bytes are given at the claimed end, since
    libsndfile looks for an ID3v1 tag there.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._size = file.seek(0, os.SEEK_END)
        file.seek(-min(_ID3V1_BYTES, self._size), os.SEEK_END)
        self._tail = file.read().rjust(_ID3V1_BYTES, b"\0")
        self._claimed = self._size * _STRETCH
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._claimed}
        self._position = origin[whence] + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, count: int) -> bytes:
        tail_start = self._claimed - _ID3V1_BYTES
        if self._position >= tail_start:
            start = self._position - tail_start
            data = self._tail[start : start + count]
        else:
            super().seek(min(self._position, self._size))
            data = super().read(count)
        self._position += len(data)
        return data


def open_file(file: BinaryIO, *, states_length: bool = True) -> SequentialFile:
    """Open a file that can seek, from its first byte on, for reading.

    `states_length` says whether MPEG audio in it begins with the number of its frames; if not,
    libsndfile's guess of the length is not used. Raises soundfile.SoundFileError where libsndfile
    does not know the format, or the error of the file.
    """
    file.seek(0)
    sound = _open_guarded(GuardedFile(file))
    sound.guesses_length = sound.frames >= _UNKNOWN_SAMPLES
    if sound.format != "MP3" or states_length:
        return sound
    sound.guesses_length = True
    try:
        stretched = _open_guarded(_StretchedFile(file))
    except soundfile.SoundFileError:
        sound.close()
        file.seek(0)
        sound = _open_guarded(GuardedFile(file))
        sound.guesses_length = True
        return sound
    sound.close()
    stretched.guesses_length = True
    return stretched


def _open_guarded(file: GuardedFile) -> SequentialFile:
    """Open a file for reading. Raises its own error rather than libsndfile's."""
    try:
        sound = SequentialFile(file, "r")
    except soundfile.SoundFileError:
        file.check()
        raise
    sound.check()
    return sound
