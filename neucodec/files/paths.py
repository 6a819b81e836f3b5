"""Names of files and directories, which may be paths or URLs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO

from neucodec.terminal.standard_streams import PIPE

from . import pipes, remote, remote_folders, urls
from .byte_streams import copy_rest, is_seekable, open_spool
from .urls import is_remote


def is_folder(name: str) -> bool:
    """Return whether there is a directory of that name."""
    return remote_folders.is_folder(name) if is_remote(name) else Path(name).is_dir()


def is_file(name: str) -> bool:
    """Return whether there is a file of that name; pipes, open descriptors and devices are none."""
    if is_remote(name):
        return remote.is_file(name)
    return not pipes.has_no_name(name) and Path(name).is_file()


def is_special(name: str) -> bool:
    """Return whether a name stands for a pipe, an open descriptor, a device or a socket."""
    return not is_remote(name) and pipes.is_special(name)


def file_name(name: str) -> PurePath:
    """Return the last part of a name."""
    return PurePath(urls.file_name(name) if is_remote(name) else Path(name).name)


def join(folder: str, place: PurePath) -> str:
    """Return the name of the file at `place` below a directory."""
    return urls.join(folder, place) if is_remote(folder) else str(Path(folder) / place)


def sibling(name: str, other: str) -> str:
    """Return the name of another file in the same directory."""
    return urls.sibling(name, other) if is_remote(name) else str(Path(name).with_name(other))


def size(name: str) -> int | None:
    """Return the bytes of a file; None where it is no file, or its server does not say."""
    if is_remote(name):
        return remote.size(name)
    return Path(name).stat().st_size if is_file(name) else None


def state(name: str) -> tuple[object, ...] | None:
    """Return what changes when a file does: of a path its inode, size and modification time.

    None for pipes and devices, and where a file cannot be asked for it.
    Raises NeucodecError where a URL cannot be reached.
    """
    if is_remote(name):
        return remote.state(name)
    try:
        status = Path(name).stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def identity(name: str) -> str:
    """Return a text that is the same for the same file, whichever way it is named."""
    if is_remote(name) or name == PIPE:
        return name
    return os.path.normcase(os.path.realpath(name))


@contextmanager
def open_to_read(name: str) -> Iterator[BinaryIO]:
    """Open a file, a pipe or a device to read. Raises OSError, or NeucodecError for a URL."""
    if is_remote(name):
        with remote.open_to_read(name) as file:
            yield file
        return
    if pipes.is_special(name):
        with pipes.open_to_read(name) as pipe:
            yield pipe
        return
    with Path(name).open("rb") as local:
        yield local


@contextmanager
def open_to_seek(name: str) -> Iterator[BinaryIO]:
    """Open as `open_to_read` does, to seek in: a pipe is copied to a temporary file first."""
    with open_to_read(name) as file, ExitStack() as opening:
        if is_seekable(file) and not file.tell():
            yield file
            return
        spool = opening.enter_context(open_spool())
        copy_rest(file, spool)
        spool.seek(0)
        yield spool
