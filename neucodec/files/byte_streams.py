"""Byte streams that may be pipes: complete reads and writes, and which of them can seek."""

from __future__ import annotations

import os
import stat
import tempfile
from typing import BinaryIO, cast

from neucodec.terminal.signals import end_if_told

try:
    import fcntl
except ImportError:  # Windows has no O_APPEND flag to ask for
    fcntl = None  # type: ignore[assignment]

HAS_LOCKS: bool = hasattr(fcntl, "flock")
"""Whether this system has locks on files."""

_COPY_BYTES = 1 << 20
"""Bytes that are copied at once."""
_SKIP_BYTES = 1 << 16
"""Bytes that are passed over at once."""


def is_seekable(file: BinaryIO) -> bool:
    """Return whether `file` can seek: whether it is a regular file or memory.

    Where there is a descriptor its kind decides, since some systems let pipes seem to seek.
    """
    try:
        mode = os.fstat(file.fileno()).st_mode
    except (AttributeError, OSError):
        return bool(getattr(file, "seekable", bool)())
    return stat.S_ISREG(mode) and file.seekable()


def is_patchable(file: BinaryIO) -> bool:
    """Return whether written bytes can be replaced: `file` can seek, and does not append."""
    if not is_seekable(file) or "a" in str(getattr(file, "mode", "")):
        return False
    try:
        flags = fcntl.fcntl(file.fileno(), fcntl.F_GETFL) if fcntl else 0
    except (AttributeError, OSError):
        return True
    return not flags & getattr(os, "O_APPEND", 0)


def lock(file: BinaryIO | int, *, wait: bool) -> None:
    """Lock an open file or descriptor against other processes that lock it.

    The lock lasts as long as the file or a copy of its descriptor is open. With `wait` another
    process's lock is waited for. Raises OSError where another process has it, or the file system
    has no locks.
    """
    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def read_up_to(file: BinaryIO, count: int) -> bytes:
    """Read `count` bytes, fewer only at the end of the stream."""
    data = _read_once(file, count)
    if len(data) == count or not data:
        return data
    parts = [data]
    missing = count - len(data)
    while missing and (data := _read_once(file, missing)):
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


def write_all(file: BinaryIO, data: bytes | bytearray) -> int:
    """Write all of `data`, also to an unbuffered pipe that takes it in parts; return its length."""
    view = memoryview(data)
    while view:
        written = file.write(view)
        if written is None:
            raise BlockingIOError("the output is in non-blocking mode and takes no data")
        view = view[written:]
    return len(data)


def copy_rest(source: BinaryIO, target: BinaryIO) -> None:
    """Copy `source`, from where it stands to its end, to `target` in pieces."""
    while data := read_up_to(source, _COPY_BYTES):
        end_if_told()
        write_all(target, data)


def open_spool() -> BinaryIO:
    """Open a temporary file without a name, which is removed when it is closed."""
    return cast(BinaryIO, tempfile.TemporaryFile(prefix="neucodec-"))


class Prelude:
    """The start of a stream, kept so that it can be handed to another reader."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.position = 0
        """Bytes that have been read so far."""
        self.kept: bytearray | None = bytearray()
        """All bytes that have been read so far; None after `forget`."""

    def take(self, count: int) -> bytes:
        """Read the next `count` bytes, fewer at the end of the stream."""
        data = read_up_to(self._file, count)
        self.position += len(data)
        if self.kept is not None:
            self.kept += data
        return data

    def skip(self, count: int) -> int:
        """Pass over `count` bytes, fewer at the end of the stream; return how many they were."""
        missing = count
        while missing and (data := self.take(min(missing, _SKIP_BYTES))):
            missing -= len(data)
        return count - missing

    def forget(self) -> None:
        """Drop the bytes that are kept, and keep none from here on."""
        self.kept = None


def _read_once(file: BinaryIO, count: int) -> bytes:
    """Read once. Raises BlockingIOError where a non-blocking stream has nothing."""
    data = file.read(count)
    if data is None:
        raise BlockingIOError("the input is in non-blocking mode and has no data")
    return data
