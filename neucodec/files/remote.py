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
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast

from neucodec.errors import NeucodecError
from neucodec.safety.inside import place_inside
from neucodec.terminal.signals import interruptible, interruptibly

from . import web

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_URL = re.compile(r"[A-Za-z][\w+.-]*(::[A-Za-z][\w+.-]*)*://")
_WEB = web.SCHEMES
_NEEDS_FOLDERS = ("file", "local", "memory", "dir", "sftp", "ssh", "ftp", "smb", "hdfs", "webhdfs")
"""Where directories have to be made; elsewhere names just have slashes in them."""
_MOST_FOLDERS, _DEEPEST = 1_000_000, 64
"""Directories below one that is given, and how many levels of them."""
_READ = 1 << 20
_MARKS = {
    "etag", "last-modified", "lastmodified", "last_modified", "updated", "updated_at", "mtime",
    "modified", "created", "content-md5", "md5", "md5hash", "crc", "digest", "generation",
    "versionid", "version_id", "blob_id", "oid", "size",
}  # fmt: skip
"""What drivers know of a file, in lower case, that is another where the file is."""


def is_remote(name: str) -> bool:
    """Whether a name is a URL."""
    return bool(_URL.match(name))


def check(url: str) -> None:
    """Raise NeucodecError where there is no driver for a URL, or it is none; nobody is asked."""
    _found(url)


def is_folder(url: str) -> bool:
    """Whether a URL is that of a directory; on the web those end with a slash.

    Where that cannot be told it is a file, and opening it says what is wrong.
    """
    if url.endswith("/"):
        return True
    if _scheme(url) in _WEB:
        return False
    with suppress(NeucodecError):
        fs, path = _found(url)
        with interruptible(), _errors(url):
            return bool(fs.isdir(path))
    return False


def is_file(url: str) -> bool:
    """Whether there is a file."""
    fs, path = _found(url)
    with interruptible(), _errors(url):
        return bool(fs.isfile(path))


def size(url: str) -> int | None:
    """Bytes of a file; None where its server does not say."""
    fs, path = _found(url)
    with suppress(Exception), interruptible():
        return cast("int | None", fs.size(path))
    return None


def state(url: str) -> tuple[tuple[str, str], ...] | None:
    """What changes when a file does, as far as its server says it: ETag, time, length.

    None where it says nothing of that. Raises NeucodecError where there is no such file or the
    server cannot be asked.
    """
    fs, path = _found(url)
    with interruptible(), _errors(url):
        fs.invalidate_cache(path)
        found = web.info(fs, path) if _scheme(url) in _WEB else fs.info(path)
    known = {name: found[name] for name in found if name.lower() in _MARKS}
    return tuple(sorted((name, str(v)) for name, v in known.items() if v is not None)) or None


def file_name(url: str) -> str:
    """The last part of a URL, without what follows a question mark on the web."""
    path, _ = _first_link(url)
    if _scheme(url) in _WEB:
        path = re.split("[?#]", path)[0].partition("://")[2].partition("/")[2]
    return path.rstrip("/").rpartition("/")[2]


def join(folder: str, place: PurePath) -> str:
    """The URL of what is at that place below a directory's."""
    path, rest = _first_link(folder)
    gap = "" if path.endswith("://") else "/"
    return f"{path if not gap else path.rstrip('/')}{gap}{place.as_posix()}{rest}"


def sibling(url: str, name: str) -> str:
    """The URL of another file in the same directory."""
    path, rest = _first_link(url)
    return f"{path.rpartition('/')[0]}/{name}{rest}"


def _first_link(url: str) -> tuple[str, str]:
    """The link of a chain that names the file, as in ``zip://a.wav::https://host/b.zip``, and the
    rest of the chain."""
    if _scheme(url) in _WEB:
        return url, ""
    start = url.index("://")
    end = url.find("::", start)
    return (url, "") if end < 0 else (url[:end], url[end:])


def walk(url: str) -> Iterator[tuple[PurePath, list[str], list[str]]]:
    """As os.walk, with places below the directory; taking names out of the first list leaves those
    directories out."""
    fs, path = _found(url)
    with _errors(url):
        listing = web.walk(fs, path) if _scheme(url) in _WEB else _walk_driver(fs, path, url)
        for place, folders, names in interruptibly(listing):
            for name in (*folders, *names):
                if "/" in name or place_inside(name) is None:
                    _refuse(url, f"{place}/{name}")
            yield place, folders, names


def _walk_driver(
    fs: AbstractFileSystem, path: str, url: str
) -> Iterator[tuple[PurePath, list[str], list[str]]]:
    """The same by a driver's own walk, whose names an archive or a server may have chosen."""
    top = path.rstrip("/")
    for count, (parent, folders, names) in enumerate(fs.walk(top)):
        whole = parent.rstrip("/")
        below = whole == top or whole.startswith(f"{top}/") or not top
        place = PurePosixPath(whole.removeprefix(top).strip("/"))
        if not below or (place.parts and place_inside(place.as_posix()) is None):
            _refuse(url, str(place))
        if count >= _MOST_FOLDERS or len(place.parts) > _DEEPEST:
            raise NeucodecError(
                f"{url}: more than {_MOST_FOLDERS} directories or {_DEEPEST} levels of them; give "
                "one further down"
            )
        wanted = list(folders)
        yield place, wanted, [name for name in names if name]
        for name in set(folders) - set(wanted):
            _drop(folders, name)


def _refuse(url: str, place: str) -> NoReturn:
    raise NeucodecError(
        f"{url}: lists {place[:200]!r}, which leads out of it: nothing more is taken from there"
    )


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
    with interruptible(), _errors(url):
        file = web.open_file(fs, path) if _scheme(url) in _WEB else fs.open(path, "rb")
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

    schemes = [part.partition("://")[0].lower() for part in url.split("::")]
    try:
        for scheme in schemes:
            if scheme in _WEB:
                options[scheme] = web.options()
        return cast("tuple[AbstractFileSystem, str]", fsspec.core.url_to_fs(url, **options))
    except ImportError as error:
        raise NeucodecError(f"{url}: {_scheme(url)} needs a driver: {error}") from None
    except NeucodecError:
        raise
    except Exception as error:  # whatever a driver makes of what it is given
        raise NeucodecError(f"{url}: {_reason(error)}") from None


@contextmanager
def _errors(url: str) -> Iterator[None]:
    """Failures of drivers, each of its own kind, as ours; the program's own pass through."""
    from neucodec.terminal.console import is_expected

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
        if count >= 0:
            return cast(bytes, self._run("read", count))
        # A driver would ask for all at once.
        return b"".join(iter(lambda: cast(bytes, self._run("read", _READ)), b""))

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
            with interruptible():
                return getattr(self._file, method)(*args)
        except OSError:
            raise
        except Exception as error:
            raise OSError(_reason(error)) from error


def _reason(error: BaseException) -> str:
    """One line on a driver's failure: on what lies beneath it, where that is a server's."""
    deeper: BaseException | None = error
    while deeper is not None:
        if (said := web.reason(deeper)) is not None:
            return said
        deeper = deeper.__cause__
    if isinstance(error, FileNotFoundError):
        if isinstance(cause := error.__cause__, ValueError):
            return f"no URL: {str(cause)[:200]}"
        return "there is no such file"
    if isinstance(error, NotImplementedError):
        return "files of this kind of URL can only be read"
    return " ".join(str(error).split())[:500] or type(error).__name__
