"""Download a file from a URL: resume where the connection was cut, check the content as it comes,
and give the file its name only once it is whole."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import socket
import time
import urllib.error
import urllib.request
from contextlib import suppress
from email.message import Message
from pathlib import Path
from typing import IO

from neucodec.closing import ClosesItself
from neucodec.models.errors import ModelError, UnavailableError

from .cache_dirs import CACHE, alone
from .digest import BLOCK, sha256_of
from .download_progress import SILENT, Monitor
from .http_opener import opener

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as cut."""
ATTEMPTS = 5
"""How many tries in a row may bring nothing before a download fails."""
MOST_TRIES = 1000
"""How many tries a download may take, however much each of them brings."""
MOST_BYTES = 1 << 36
"""Size of the largest file; no checkpoint has a thousandth of it, but a server may never stop."""
PAUSE = 0.5
"""Seconds between a first try that brings nothing and the second; each further pause is doubled."""

_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_READ = 1 << 16


def download(url: str, target: Path, sha256: str = "", monitor: Monitor = SILENT) -> str:
    """Download ``url`` into the file ``target`` and return its SHA-256.

    ``sha256`` holds the first digits that are known of it, perhaps none. A partial file of an
    earlier run is continued if the server still has the same file. A ``target`` that is there, as
    where another process was faster, is left as it is. Raises UnavailableError where the server
    cannot be reached or has no such file, ModelError where the file is another or cannot be
    written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = target.with_name(target.name + ".lock")
        with alone(
            lock, lambda: monitor.say(f"another process is fetching {target.name}: waiting")
        ):
            if target.exists():
                return sha256_of(target)
            with _Partial(target) as partial:
                found = _complete(url, partial, sha256, monitor)
            partial.path.replace(target)
            partial.forget()
            return found
    except OSError as error:  # those of the network are none any more
        raise _unwritable(target, error) from None


class _Partial(ClosesItself):
    """A partial download, and the ETag or Last-Modified with which to resume it."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".partial")
        self._mark = target.with_name(target.name + ".partial.mark")
        self._file: IO[bytes] = self.path.open("a+b")
        self._digest = hashlib.sha256()
        self.size = 0
        self.mark = ""
        with suppress(OSError, UnicodeDecodeError):
            self.mark = self._mark.read_text(encoding="ascii")
        self._file.seek(0)
        while block := self._file.read(BLOCK):
            self._digest.update(block)
            self.size += len(block)
        self.left_over = self.size > 0
        """Whether an earlier run has left some of it."""
        self.arriving = False
        """Whether this run has received some of it."""

    def close(self) -> None:
        """Close the file, and remove it if nothing has come in."""
        self._file.close()
        if not self.size:
            self.forget()

    @property
    def sha256(self) -> str:
        """SHA-256 of what is there, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, block: bytes) -> None:
        """Append what has come in."""
        self._file.write(block)
        self._digest.update(block)
        self.size += len(block)
        self.arriving = True

    def restart(self, mark: str = "") -> None:
        """Begin again with an empty file; ``mark`` is the server's ETag or Last-Modified of it."""
        self._file.truncate(0)
        self._digest, self.size, self.mark, self.left_over = hashlib.sha256(), 0, mark, False
        if mark:
            self._mark.write_text(mark, encoding="ascii")
        else:
            self._mark.unlink(missing_ok=True)

    def finish(self) -> None:
        """Have the system write everything to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def forget(self) -> None:
        """Remove the partial file and its mark, for a file that is done or of no use."""
        for path in (self.path, self._mark):
            with suppress(OSError):
                path.unlink(missing_ok=True)


class _CutError(Exception):
    """The connection ended early, or the server asks to try again."""


def _complete(url: str, partial: _Partial, sha256: str, monitor: Monitor) -> str:
    """Download what is missing, with pauses where nothing comes; return the whole SHA-256."""
    fruitless, most = 0, partial.size
    for _ in range(MOST_TRIES):
        try:
            _transfer(url, partial, monitor)
        except _CutError as cut:
            # Counted is what is kept: a server that has us begin again and again brings nothing.
            fruitless = 1 if partial.size > most else fruitless + 1
            most = max(most, partial.size)
            if fruitless >= ATTEMPTS:
                raise UnavailableError(f"{url}: {cut}, {ATTEMPTS} times in a row") from None
            time.sleep(PAUSE * 2 ** (fruitless - 1))
            continue
        except OSError:
            partial.restart()  # a full disk is not to be kept full
            raise
        if partial.sha256.startswith(sha256):
            partial.finish()
            return partial.sha256
        if not partial.left_over:
            found = partial.sha256
            partial.restart()
            raise ModelError(
                f"{url} gave a damaged or another file, which was removed: its SHA-256 is "
                f"{found[:16]}…, {sha256[:16]}… was expected"
            )
        partial.restart()
    raise UnavailableError(f"{url}: not there after {MOST_TRIES} tries")


def _transfer(url: str, partial: _Partial, monitor: Monitor) -> None:
    """Send one request and append what the server gives; raise _CutError to be called again."""
    headers = {"User-Agent": "neucodec", "Accept-Encoding": "identity"}
    if not partial.mark:
        partial.restart()
    if partial.size:
        headers |= {"Range": f"bytes={partial.size}-", "If-Range": partial.mark}
    try:
        response = opener().open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            _refused(url, error, partial)
        return
    except urllib.error.URLError as error:
        raise _unreachable(url, error.reason, partial) from None
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, error, partial) from None
    except ValueError as error:  # what urllib makes of a redirect to no URL
        raise UnavailableError(f"{url} is or leads to no URL: {_reason(error)}") from None
    with response:
        start, total = _extent(response.status, response.headers)
        if start != partial.size:
            if start:
                partial.restart()
                raise _CutError("the server resumed at another place")
            partial.restart()
        if not partial.size:
            partial.restart(_mark_of(response.headers))
        if total is not None:
            _make_sure_of_room(partial.path, total - partial.size)
        name = partial.path.name.removesuffix(".partial")
        with monitor.progress(name, total, partial.size) as advance:
            while block := _read(response):
                partial.write(block)
                advance(len(block))
                if partial.size > MOST_BYTES:
                    partial.restart()
                    raise UnavailableError(f"{url}: more than {MOST_BYTES} bytes came")
    if total is not None and partial.size != total:
        raise _CutError(f"the connection was cut at {partial.size} of {total} bytes")


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(_READ)
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(f"the connection was cut: {_reason(error)}") from None


def _extent(status: int, headers: Message) -> tuple[int, int | None]:
    """Return at which byte of the file a body begins, and the file's length, None if not told."""
    if status == 206:
        told = headers.get("Content-Range", "")
        found = re.fullmatch(r"bytes ([0-9]{1,30})-[0-9]{1,30}/([0-9]{1,30}|\*)", told)
        if found is None:
            raise _CutError("the server resumed without saying where")
        return int(found[1]), None if found[2] == "*" else int(found[2])
    length = headers.get("Content-Length", "")
    if length and not re.fullmatch("[0-9]{1,30}", length):
        raise _CutError("the server says a length that is none")
    return 0, int(length) if length else None


def _mark_of(headers: Message) -> str:
    """Return what a server can compare before it resumes (RFC 9110, If-Range); "" if nothing."""
    etag = str(headers.get("ETag", ""))
    mark = etag if etag.startswith('"') else str(headers.get("Last-Modified", ""))
    return mark if mark.isascii() and mark.isprintable() else ""


def _refused(url: str, error: urllib.error.HTTPError, partial: _Partial) -> None:
    """Handle a status that is no success: return if the file is whole, else raise.

    _CutError asks for another try, UnavailableError for none.
    """
    if error.code == 416 and partial.size:
        length = error.headers.get("Content-Range", "").rpartition("/")[2]
        if length == str(partial.size):
            return
        partial.restart()
        raise _CutError("the server has another file now")
    if error.code in _TRANSIENT:
        raise _CutError(f"the server answers {error.code} {_reason(error.reason)}")
    raise UnavailableError(f"{url}: the server answers {error.code} {_reason(error.reason)}")


def _unreachable(url: str, reason: object, partial: _Partial) -> Exception:
    """Make the error for a lost server: one that has sent something may come back."""
    if partial.arriving:
        return _CutError(f"cannot be reached: {_reason(reason)}")
    return UnavailableError(f"{url} cannot be reached: {_reason(reason)}")


def _reason(error: object) -> str:
    if isinstance(error, socket.gaierror):
        return "no such host, or no network"
    if isinstance(error, TimeoutError):
        return f"nothing came for {TIMEOUT:.0f} s"
    text = (isinstance(error, OSError) and error.strerror) or str(error)
    return " ".join(text.split())[:200] or type(error).__name__


def _make_sure_of_room(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise ModelError(
            f"{path.parent}: {needed / 1e6:.1f} MB are needed and {free / 1e6:.1f} MB free; "
            f"{CACHE} names another folder"
        )


def _unwritable(target: Path, error: OSError) -> ModelError:
    return ModelError(
        f"{target} cannot be written: {error.strerror or error}; {CACHE} names another folder"
    )
