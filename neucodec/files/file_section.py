"""A part of a file as a file of its own."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

from .byte_streams import read_up_to


class Section(io.RawIOBase):
    """The bytes of a seekable file from `start` to `end`, some of them shown as others.

    `patches` maps places, counted from `start`, to the bytes that reading gives there instead.
    Closing the section leaves the file open. Raises what the file raises.
    """

    def __init__(
        self,
        file: BinaryIO,
        start: int = 0,
        end: int | None = None,
        patches: Mapping[int, bytes] | None = None,
    ) -> None:
        super().__init__()
        self._file = file
        self._start = start
        self._size = max(0, (file.seek(0, os.SEEK_END) if end is None else end) - start)
        self._patches = dict(patches or {})
        self._position = 0

    @property
    def size(self) -> int:
        """Return how many bytes the section has."""
        return self._size

    @property
    def path(self) -> str | None:
        """Return the path of the file, if the section is all of one that has a name; else None."""
        name = getattr(self._file, "name", None)
        if not isinstance(name, str) or self._start or self._patches:
            return None
        try:
            same = os.path.samestat(os.fstat(self._file.fileno()), Path(name).stat())
        except (OSError, AttributeError, ValueError):
            return None
        return name if same and self._size == Path(name).stat().st_size else None

    def part(
        self, start: int, end: int | None = None, patches: Mapping[int, bytes] | None = None
    ) -> Section:
        """Return the section from `start` to `end` of this one, without this one's patches."""
        stop = self._size if end is None else min(end, self._size)
        return Section(self._file, self._start + start, self._start + stop, patches)

    def at(self, position: int, count: int) -> bytes:
        """Return up to `count` bytes from `position` on; `tell` stays as it is."""
        before, self._position = self._position, position
        try:
            return self.read(count)
        finally:
            self._position = before

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place where reading goes on."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place as in any file, and return it. Raises OSError for one before 0."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise OSError("a place before the start of the file")
        self._position = origin + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes, fewer only at the end; all that follow if it is negative."""
        remaining = max(0, self._size - self._position)
        count = remaining if size is None or size < 0 else min(size, remaining)
        if not count:
            return b""
        self._file.seek(self._start + self._position)
        data = read_up_to(self._file, count)
        for place, shown in self._patches.items():
            at = place - self._position
            if -len(shown) < at < len(data):
                first, last = max(0, at), min(len(data), at + len(shown))
                data = data[:first] + shown[first - at : last - at] + data[last:]
        self._position += len(data)
        return data

    def as_file(self) -> BinaryIO:
        """Return the section itself, typed as a binary file."""
        return cast(BinaryIO, self)
