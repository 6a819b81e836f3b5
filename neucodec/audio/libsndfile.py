"""libsndfile through python-soundfile, with what a stream of blocks needs besides.

python-soundfile seeks after every block, which loses the end of FLAC files of unknown length;
its callbacks swallow the exceptions of Python files; and libsndfile guesses the length of MP3
files that do not state it, then stops there.
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

_UNKNOWN_SAMPLES = 1 << 62  # libsndfile says 2**63 - 1
_ID3V1_BYTES = 128
_STRETCH = 64  # more than a frame's bitrate can lie above a file's mean: 320 to 8 kbit/s

_T = TypeVar("_T")


class SequentialFile(soundfile.SoundFile):  # type: ignore[misc]
    """A SoundFile that is read or written from start to end and never seeks."""

    guesses_length = False

    def seekable(self) -> bool:
        """Keep python-soundfile from seeking to where it already is."""
        return False

    def check(self) -> None:
        """Raise what the Python file behind it, if there is one, ran into."""
        if isinstance(self.name, GuardedFile):
            self.name.check()

    @property
    def known_samples(self) -> int | None:
        """Samples per channel, None where the file does not say."""
        return None if self.guesses_length else int(self.frames)

    @property
    def vorbis_tags(self) -> dict[str, str]:
        """The tags that libsndfile knows, by their Vorbis comment names."""
        texts = {tag: _mended(getattr(self, name).strip()) for tag, name in TAGS.items()}
        return {tag: text for tag, text in texts.items() if text}


def _mended(text: str) -> str:
    """A text in which control characters show that it was written in the Windows code page, and
    read as Latin-1."""
    if not any("\x80" <= c <= "\x9f" for c in text):
        return text
    try:
        return text.encode("latin-1").decode("cp1252")
    except UnicodeError:
        return text


class GuardedFile:
    """A Python file for libsndfile's callbacks; keeps the exception that C would drop.

    After the first exception it does nothing more; `check` raises it where Python can see it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._error: BaseException | None = None

    def check(self) -> None:
        """Raise what a callback ran into, once."""
        error, self._error = self._error, None
        if error:
            raise error

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As for any file; -1 after an exception."""
        return self._call(lambda: self.file.seek(offset, whence), -1)

    def tell(self) -> int:
        """As for any file; -1 after an exception."""
        return self._call(self.file.tell, -1)

    def read(self, count: int) -> bytes:
        """As for any file; nothing after an exception."""
        return self._call(lambda: read_up_to(self.file, count), b"")

    def write(self, data: bytes) -> int:
        """As for any file; 0 after an exception."""
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

    libsndfile takes the length of an MP3 file without a Xing or VBRI header from its first
    frame's bitrate and stops there, which cuts files of variable bitrate. Given a size that is
    too large, it stops where the bytes do. The last bytes are shown at the claimed end, where
    an ID3v1 tag is looked for.
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
    """Open a seekable `file`, from its first byte on, for reading.

    `states_length` says whether MPEG audio in it begins with the number of its frames; where it
    does not, libsndfile's guess is not believed. Raises soundfile.SoundFileError where libsndfile
    does not know it, or the file's own error.
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
    try:
        sound = SequentialFile(file, "r")
    except soundfile.SoundFileError:
        file.check()
        raise
    sound.check()
    return sound
