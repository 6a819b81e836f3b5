"""File system drivers, which fsspec finds for URLs, and their failures as errors of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from neucodec.errors import NeucodecError
from neucodec.terminal.console import is_expected
from neucodec.terminal.signals import interruptible

from . import urls, web

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_READ_BYTES = 1 << 20
"""Bytes that are asked for at once of a file that is read to its end."""


def find_driver(url: str, **options: Any) -> tuple[AbstractFileSystem, str]:
    """Return the driver of a URL and the path by which the driver knows the file.

    `options` are arguments for the driver. Raises NeucodecError where there is no driver, or the
    text is no URL; no server is asked.
    """
    import fsspec

    try:
        for scheme in urls.schemes(url):
            if scheme in urls.WEB_SCHEMES:
                options[scheme] = web.options()
        return cast("tuple[AbstractFileSystem, str]", fsspec.core.url_to_fs(url, **options))
    except ImportError as error:
        raise NeucodecError(f"{url}: {urls.scheme(url)} needs a driver: {error}") from None
    except NeucodecError:
        raise
    except Exception as error:  # drivers raise errors of any kind
        raise NeucodecError(f"{url}: {reason(error)}") from None


@contextmanager
def driver_errors(url: str) -> Iterator[None]:
    """Turn failures of a driver, which are of any kind, into NeucodecError.

    Errors that the rest of the program raises and expects pass through, and so do exits.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) or (
            is_expected(error) and not isinstance(error, FileNotFoundError)
        ):
            raise
        raise NeucodecError(f"{url}: {reason(error)}") from error


class DriverFile:
    """A file that a driver has opened; every failure to read or write it is an OSError."""

    def __init__(self, file: Any, url: str) -> None:
        self._file = file
        self.name = url

    def read(self, count: int = -1) -> bytes:
        """Read up to `count` bytes; all that are left where it is negative."""
        if count >= 0:
            return cast(bytes, self._run("read", count))
        # A driver would ask its server for all of them at once.
        return b"".join(iter(lambda: cast(bytes, self._run("read", _READ_BYTES)), b""))

    def write(self, data: bytes) -> int:
        """Write the data and return its length."""
        return cast(int, self._run("write", bytes(data)))

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a place and return it, counted from the start."""
        return cast(int, self._run("seek", offset, whence))

    def tell(self) -> int:
        """Return the place where reading or writing goes on."""
        return cast(int, self._run("tell"))

    def flush(self) -> None:
        """Do nothing: drivers write whole blocks, the last when the file is closed."""

    def seekable(self) -> bool:
        """Return whether `seek` works."""
        return bool(self._file.seekable())

    def _run(self, method: str, *args: Any) -> Any:
        try:
            with interruptible():
                return getattr(self._file, method)(*args)
        except OSError:
            raise
        except Exception as error:
            raise OSError(reason(error)) from error


def reason(error: BaseException) -> str:
    """Say in one line why a driver failed: by the failure of a server that caused it, if any."""
    cause: BaseException | None = error
    while cause is not None:
        if (said := web.reason(cause)) is not None:
            return said
        cause = cause.__cause__
    if isinstance(error, FileNotFoundError):
        if isinstance(cause := error.__cause__, ValueError):
            return f"no URL: {str(cause)[:200]}"
        return "there is no such file"
    if isinstance(error, NotImplementedError):
        return "files of this kind of URL can only be read"
    return " ".join(str(error).split())[:500] or type(error).__name__
