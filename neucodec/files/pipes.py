"""Inputs and outputs that are no files: standard streams, open descriptors, pipes, devices.

``-`` is standard input or output. ``/dev/stdin``, ``/dev/stdout``, ``/dev/fd/N`` and what a shell
makes of ``<(...)`` and ``>(...)`` name descriptors that this process has open already; those are
used as they are, from where they stand, never opened anew. A named pipe is opened and then read or
written as any other pipe. Signals end all waiting for whoever is at the other end.
"""

from __future__ import annotations

import io
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from neucodec.errors import NeucodecError
from neucodec.terminal.signals import interruptible
from neucodec.terminal.standard_streams import PIPE

from .byte_streams import is_seekable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"/(?:dev/fd|proc/(?:self|\d+)/fd)/(\d+)")
_MOST_LINKS = 40
"""How many links in a row Linux follows."""


def descriptor_of(name: str) -> int | None:
    """Return the descriptor of this process that a path names, also by links; None if none."""
    if os.name != "posix":
        return None
    for _ in range(_MOST_LINKS):
        if name in _STANDARD:
            return _STANDARD[name]
        match = _DESCRIPTOR.fullmatch(name)
        if match and (not name.startswith("/proc/") or name.split("/")[2] in _us()):
            return int(match[1])
        try:
            name = os.path.normpath(Path(name).parent / Path(name).readlink())
        except (OSError, ValueError):  # no link, or no name
            return None
    return None


def as_input(name: str) -> str:
    """Return the name of an input: ``-`` for every name of standard input."""
    return PIPE if descriptor_of(name) == 0 else name


def as_output(name: str) -> str:
    """Return the name of an output: ``-`` for every name of standard output."""
    return PIPE if descriptor_of(name) == 1 else name


def has_no_name(name: str) -> bool:
    """Return whether an input is standard input or an open descriptor.

    Those have no name after which an output could be named.
    """
    return name == PIPE or descriptor_of(name) is not None


def is_special(name: str | os.PathLike[str]) -> bool:
    """Return whether a name is that of something that is neither file nor directory."""
    if has_no_name(os.fspath(name)):
        return True
    try:
        mode = Path(name).stat().st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def standard_input() -> BinaryIO:
    """Return standard input as a binary file. Raises NeucodecError where it is closed."""
    if sys.stdin is None:
        raise NeucodecError("standard input: closed; pipe something in, or name a file")
    return _to_read(cast(BinaryIO, sys.stdin.buffer))


def standard_output() -> BinaryIO:
    """Return standard output as a pipe: every write goes out at once, and it cannot seek.

    Where it is a file, others may have written what stands before our output.
    """
    sys.stdout.flush()
    return cast(BinaryIO, PipeWriter(cast(BinaryIO, sys.stdout.buffer)))


@contextmanager
def open_to_read(name: str) -> Iterator[BinaryIO]:
    """Open standard input, a descriptor, a named pipe or a device to read. Raises OSError."""
    if name == PIPE:
        yield standard_input()
        return
    with _opened(name, os.O_RDONLY, "rb") as raw:
        yield _to_read(raw)


@contextmanager
def open_to_write(name: str) -> Iterator[BinaryIO]:
    """Open standard output, a descriptor, a named pipe or a device to write. Raises OSError."""
    if name == PIPE:
        yield standard_output()
        return
    with _opened(name, os.O_WRONLY, "wb") as raw:
        yield cast(BinaryIO, PipeWriter(raw))


class PipeReader(io.RawIOBase):
    """Reads from a pipe; signals end the waiting for its writer."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read the bytes that have come in, as many as `buffer` holds; return their number."""
        with interruptible():
            return cast(int, self._raw.readinto(buffer))  # type: ignore[attr-defined]

    def fileno(self) -> int:
        """Return the number of the descriptor."""
        return self._raw.fileno()


class PipeWriter(io.RawIOBase):
    """Writes to a pipe, at once and completely; signals end the waiting for its reader."""

    def __init__(self, file: BinaryIO) -> None:
        self._raw = cast(BinaryIO, getattr(file, "raw", file))

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Write all of the data and return its length."""
        count = memoryview(data).nbytes
        unwritten = memoryview(data).cast("B") if count else memoryview(b"")
        while unwritten:
            with interruptible():
                written = self._raw.write(unwritten)
            if written is None:
                raise BlockingIOError("the output is in non-blocking mode and takes no data")
            unwritten = unwritten[written:]
        return count

    def isatty(self) -> bool:
        """Return whether the pipe leads to a terminal."""
        return self._raw.isatty()


def _to_read(file: BinaryIO) -> BinaryIO:
    """Return the file itself if it can seek, else a reader that signals interrupt."""
    if is_seekable(file):
        return file
    raw = cast(BinaryIO, getattr(file, "raw", file))
    return cast(BinaryIO, io.BufferedReader(PipeReader(raw)))


@contextmanager
def _opened(name: str, flags: int, mode: str) -> Iterator[BinaryIO]:
    """Open a name without a buffer, or use a copy of the descriptor that it names."""
    descriptor = descriptor_of(name)
    if descriptor is None:
        with interruptible():
            ours = os.open(name, flags)
    else:
        ours = os.dup(descriptor)
    with open(ours, mode, buffering=0) as raw:  # noqa: PTH123 - a descriptor
        if mode == "rb" and is_seekable(cast(BinaryIO, raw)):
            yield cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, raw)))
        else:
            yield cast(BinaryIO, raw)


def _us() -> tuple[str, str]:
    """Return the names of this process below /proc."""
    return "self", str(os.getpid())
