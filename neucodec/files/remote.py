"""Files at URLs: s3://, gs://, hf://, memory://, https:// and all else that fsspec has drivers for.

They are read and written as they go, never held as a whole on this machine, unless a format cannot
be read or written in one pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, cast

from neucodec.terminal.signals import interruptible

from . import urls, web
from .drivers import DriverFile, driver_errors, find_driver

_NEEDS_FOLDERS = ("file", "local", "memory", "dir", "sftp", "ssh", "ftp", "smb", "hdfs", "webhdfs")
"""Schemes where directories have to be made; elsewhere names just have slashes in them."""
_VERSION_FIELDS = {
    "etag", "last-modified", "lastmodified", "last_modified", "updated", "updated_at", "mtime",
    "modified", "created", "content-md5", "md5", "md5hash", "crc", "digest", "generation",
    "versionid", "version_id", "blob_id", "oid", "size",
}  # fmt: skip
"""What drivers tell of a file, in lower case, that changes when the file does."""


def check(url: str) -> None:
    """Raise NeucodecError where there is no driver for a URL, or it is none; nobody is asked."""
    find_driver(url)


def is_file(url: str) -> bool:
    """Return whether there is a file. Raises NeucodecError where its server cannot be asked."""
    fs, path = find_driver(url)
    with interruptible(), driver_errors(url):
        return bool(fs.isfile(path))


def size(url: str) -> int | None:
    """Return the bytes of a file; None where its server does not say."""
    fs, path = find_driver(url)
    with suppress(Exception), interruptible():
        return cast("int | None", fs.size(path))
    return None


def state(url: str) -> tuple[tuple[str, str], ...] | None:
    """Return what changes when a file does, as far as its server says: ETag, time, length.

    None where it says nothing of that. Raises NeucodecError where there is no such file or the
    server cannot be asked.
    """
    fs, path = find_driver(url)
    with interruptible(), driver_errors(url):
        fs.invalidate_cache(path)
        found = web.info(fs, path) if urls.is_web(url) else fs.info(path)
    known = {name: found[name] for name in found if name.lower() in _VERSION_FIELDS}
    return tuple(sorted((name, str(v)) for name, v in known.items() if v is not None)) or None


@contextmanager
def open_to_read(url: str) -> Iterator[BinaryIO]:
    """Open a file, whose bytes are fetched as they are asked for.

    Raises NeucodecError where it cannot be opened, OSError while it is read.
    """
    fs, path = find_driver(url)
    with interruptible(), driver_errors(url):
        file = web.open_file(fs, path) if urls.is_web(url) else fs.open(path, "rb")
    with file:
        yield cast(BinaryIO, DriverFile(file, url))


@contextmanager
def open_to_write(url: str) -> Iterator[BinaryIO]:
    """Open a file that gets its content when the context ends without exception, else never.

    A file that exists is replaced. Raises NeucodecError where it cannot be opened or completed,
    OSError while it is written.
    """
    # An instance of its own, since a transaction holds all that an instance writes.
    fs, path = find_driver(url, skip_instance_cache=True)
    with driver_errors(url):
        if urls.scheme(url) in _NEEDS_FOLDERS:
            fs.makedirs(fs._parent(path), exist_ok=True)
        fs.start_transaction()
        file = fs.open(path, "wb")
    try:
        yield cast(BinaryIO, DriverFile(file, url))
    except BaseException:
        with suppress(Exception):
            file.close()
        with suppress(Exception):
            fs.transaction.complete(commit=False)
        raise
    with driver_errors(url):
        file.close()
        fs.transaction.complete()
