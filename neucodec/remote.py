"""Files elsewhere, by URL: s3://, gs://, hf://, memory://, https:// and whatever else fsspec has a
driver for.

They are read and written as they go, never held as a whole on this machine, unless a format cannot
be read or written in one pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import urlsplit

from .errors import NeucodecError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_URL = re.compile(r"[A-Za-z][\w+.-]*(::[A-Za-z][\w+.-]*)*://")
_WEB = ("http", "https")
_NEEDS_FOLDERS = ("file", "local", "memory", "dir", "sftp", "ssh", "ftp", "smb", "hdfs", "webhdfs")
"""Where directories have to be made; elsewhere names just have slashes in them."""


def is_remote(name: str) -> bool:
    """Whether a name is a URL."""
    return bool(_URL.match(name))


def is_folder(url: str) -> bool:
    """Whether a URL is that of a directory; on the web those end with a slash."""
    if url.endswith("/"):
        return True
    if _scheme(url) in _WEB:
        return False
    fs, path = _found(url)
    with _errors(url):
        return bool(fs.isdir(path))


def is_file(url: str) -> bool:
    """Whether there is a file."""
    fs, path = _found(url)
    with _errors(url):
        return bool(fs.isfile(path))


def size(url: str) -> int | None:
    """Bytes of a file; None where its server does not say."""
    fs, path = _found(url)
    with suppress(Exception):
        return cast("int | None", fs.size(path))
    return None


def file_name(url: str) -> str:
    """The last part of a URL, without what follows a question mark on the web."""
    path = urlsplit(url).path if _scheme(url) in _WEB else url
    return path.rstrip("/").rpartition("/")[2]


def join(folder: str, place: PurePath) -> str:
    """The URL of what is at that place below a directory's."""
    return f"{folder.rstrip('/')}/{place.as_posix()}"


def sibling(url: str, name: str) -> str:
    """The URL of another file in the same directory."""
    return f"{url.rpartition('/')[0]}/{name}"


def walk(url: str) -> Iterator[tuple[PurePath, list[str], list[str]]]:
    """As os.walk, with places below the directory; taking names out of the first list leaves those
    directories out."""
    fs, path = _found(url)
    top = path.rstrip("/")
    with _errors(url):
        for parent, folders, names in fs.walk(top if _scheme(url) not in _WEB else path):
            place = PurePosixPath(parent.rstrip("/").removeprefix(top).strip("/"))
            wanted = list(folders)
            yield place, wanted, [name for name in names if name]
            for name in set(folders) - set(wanted):
                _drop(folders, name)


def _drop(folders: Any, name: str) -> None:
    if isinstance(folders, dict):
        del folders[name]
    else:
        folders.remove(name)


@contextmanager
def open_to_read(url: str) -> Iterator[BinaryIO]:
    """A file's bytes, fetched as they are asked for.

    Raises NeucodecError where it cannot be opened, OSError while it is read.
    """
    fs, path = _found(url)
    with _errors(url):
        file = fs.open(path, "rb")
    with file:
        yield cast(BinaryIO, _Guarded(file, url))


@contextmanager
def open_to_write(url: str) -> Iterator[BinaryIO]:
    """A file that gets its content when the context ends without exception, else never.

    One that is there is replaced. Raises NeucodecError, OSError while writing.
    """
    # An instance of its own, since the transaction is of all that the instance writes.
    fs, path = _found(url, skip_instance_cache=True)
    with _errors(url):
        if _scheme(url) in _NEEDS_FOLDERS:
            fs.makedirs(fs._parent(path), exist_ok=True)
        fs.start_transaction()
        file = fs.open(path, "wb")
    try:
        yield cast(BinaryIO, _Guarded(file, url))
    except BaseException:
        with suppress(Exception):
            file.close()
        with suppress(Exception):
            fs.transaction.complete(commit=False)
        raise
    with _errors(url):
        file.close()
        fs.transaction.complete()


def _scheme(url: str) -> str:
    return url.partition("://")[0].rpartition("::")[2].lower()


def _found(url: str, **options: Any) -> tuple[AbstractFileSystem, str]:
    """The file system of a URL, and the path in it."""
    import fsspec

    try:
        return cast("tuple[AbstractFileSystem, str]", fsspec.core.url_to_fs(url, **options))
    except ImportError as error:
        raise NeucodecError(f"{url}: {_scheme(url)} needs a driver: {error}") from None
    except ValueError as error:
        raise NeucodecError(f"{url}: {error}") from None


@contextmanager
def _errors(url: str) -> Iterator[None]:
    """Failures of drivers, each of its own kind, as ours; the program's own pass through."""
    from .console import is_expected

    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) or (
            is_expected(error) and not isinstance(error, FileNotFoundError)
        ):
            raise
        raise NeucodecError(f"{url}: {_reason(error)}") from error


class _Guarded:
    """A driver's file; whatever goes wrong with it is an OSError."""

    def __init__(self, file: Any, url: str) -> None:
        self._file = file
        self.name = url

    def read(self, count: int = -1) -> bytes:
        return cast(bytes, self._run("read", count))

    def write(self, data: bytes) -> int:
        return cast(int, self._run("write", bytes(data)))

    def seek(self, offset: int, whence: int = 0) -> int:
        return cast(int, self._run("seek", offset, whence))

    def tell(self) -> int:
        return cast(int, self._run("tell"))

    def flush(self) -> None:
        """Drivers write whole blocks, the last when the file is closed."""

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def _run(self, method: str, *args: Any) -> Any:
        try:
            return getattr(self._file, method)(*args)
        except OSError:
            raise
        except Exception as error:
            raise OSError(_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, NotImplementedError):
        return "files of this kind of URL can only be read"
    return " ".join(str(error).split()) or type(error).__name__
