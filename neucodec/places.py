"""Names of files and directories, be they paths or URLs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO

from . import remote
from .remote import is_remote


def is_folder(name: str) -> bool:
    """Whether there is a directory of that name."""
    return remote.is_folder(name) if is_remote(name) else Path(name).is_dir()


def is_file(name: str) -> bool:
    """Whether there is a file of that name; a pipe or a device is none."""
    return remote.is_file(name) if is_remote(name) else Path(name).is_file()


def file_name(name: str) -> PurePath:
    """The last part of a name."""
    return PurePath(remote.file_name(name) if is_remote(name) else Path(name).name)


def join(folder: str, place: PurePath) -> str:
    """What is at that place below a directory."""
    return remote.join(folder, place) if is_remote(folder) else str(Path(folder) / place)


def sibling(name: str, other: str) -> str:
    """Another file in the same directory."""
    return remote.sibling(name, other) if is_remote(name) else str(Path(name).with_name(other))


def size(name: str) -> int | None:
    """Bytes of a file; None of what is none, or does not say."""
    if is_remote(name):
        return remote.size(name)
    return Path(name).stat().st_size if Path(name).is_file() else None


def state(name: str) -> tuple[object, ...] | None:
    """What changes when a file does; None for pipes and devices, and where nothing can be told.

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
    """The same text for the same file, whichever way it is named."""
    return name if is_remote(name) else os.path.normcase(os.path.realpath(name))


@contextmanager
def open_to_read(name: str) -> Iterator[BinaryIO]:
    """The bytes of a file."""
    if is_remote(name):
        with remote.open_to_read(name) as file:
            yield file
        return
    with Path(name).open("rb") as local:
        yield local
