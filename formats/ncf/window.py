"""Look at a byte stream through a window that slides over it."""

from __future__ import annotations

from typing import Any, Protocol


class Readable(Protocol):
    """What reading in one pass needs of a file."""

    def read(self, size: int, /) -> bytes | None:
        """Return the next bytes, as many as there are but at most ``size``; b"" only at the end."""


class Window:
    """The bytes of a stream from ``offset`` on, as far as they have been asked for.

    From a file it reads ``ahead`` bytes at a time. From a pipe it reads what the pipe has just
    then, so that it does not wait for a live one in vain; where a pipe cannot tell, no more than
    was asked for.
    """

    def __init__(self, file: Any, offset: int, *, seekable: bool, ahead: int = 0) -> None:
        self.data = bytearray()
        self.offset = offset
        self._file = file
        self._seekable = seekable
        self._ahead = ahead
        # read1 returns what there is, and waits only where there is nothing.
        self._read = file.read if seekable else getattr(file, "read1", file.read)
        if not seekable and self._read == file.read:
            self._ahead = 0

    def fill(self, count: int) -> int:
        """Hold ``count`` bytes or more, fewer only at the end of the stream; return how many."""
        while len(self.data) < count:
            if self._seekable:
                # Others may have moved the file since.
                self._file.seek(self.offset + len(self.data))
            block = self._read(max(count - len(self.data), self._ahead))
            if block is None:
                raise BlockingIOError("the input has no data yet: open it in blocking mode")
            if not block:
                break
            self.data += block
        return len(self.data)

    def drop(self, count: int) -> None:
        """Move on by ``count`` bytes that are held."""
        del self.data[:count]
        self.offset += count
