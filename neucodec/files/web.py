"""Files on the web by fsspec's HTTP driver, with time-outs, bounds and listings of our own.

A server is a stranger. It may take a connection and never answer, send a body without an end, or
list names that lead out of the directory.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
from collections.abc import Iterator
from functools import partial
from html import unescape
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urljoin, urlsplit

from neucodec.errors import NeucodecError
from neucodec.safety.inside import place_inside

from .urls import WEB_SCHEMES

if TYPE_CHECKING:
    import aiohttp
    from fsspec import AbstractFileSystem

CONNECT_SECONDS = 20.0
"""Time within which a server has to take a connection."""
SILENT_SECONDS = 30.0
"""Time without a byte after which a server counts as gone."""
ANSWER_SECONDS = 60.0
"""Time within which a server has to say what a file is, or to list a directory."""
MAX_BODY_BYTES = 1 << 26
"""Size of the largest body that is held in memory at once; files come in far smaller ranges."""
MAX_LISTING_BYTES = 1 << 23
"""Size of the largest page that is read as the listing of a directory."""
MAX_FOLDERS, MAX_DEPTH = 10_000, 32
"""How many directories one that is walked may have below it, and on how many levels."""

_TAG = re.compile(r"<a\s([^<>]{1,8192})>", re.IGNORECASE)
_LINK = re.compile(r"""href\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)


def options() -> dict[str, Any]:
    """Return the arguments for fsspec's HTTP file system: time-outs, and bodies with a bound.

    Bodies are asked for as they are and never unpacked: ranges of packed ones would be of no use,
    and a few kB could stand for gigabytes.
    """
    import aiohttp
    from fsspec.asyn import get_loop

    # The loop would print several lines on every connection that a server leaves unfinished.
    get_loop().set_exception_handler(lambda loop, context: None)

    class Bounded(aiohttp.ClientResponse):
        async def read(self) -> bytes:
            if self._body is None:
                self._body = await _read(self, MAX_BODY_BYTES)
            return await super().read()

    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS
    )
    return {
        "client_kwargs": {
            "timeout": timeout,
            "response_class": Bounded,
            "auto_decompress": False,
            "headers": {"Accept-Encoding": "identity"},
        }
    }


def info(fs: AbstractFileSystem, url: str) -> dict[str, Any]:
    """Return what the server says of a file: its ``size``, ``ETag``, ``Last-Modified``."""
    from fsspec.asyn import sync

    # The driver's synchronous function would take the time-out for an argument of its own.
    asked = partial(fs._info, url, timeout=_answer_time())
    return cast("dict[str, Any]", sync(fs.loop, asked))


def open_file(fs: AbstractFileSystem, url: str) -> Any:
    """Open a file to read: in ranges if the server gives them and says how long the file is."""
    found = info(fs, url)
    if not found.get("size") or found.get("partial") is False:
        # A size that is not 0 keeps the driver from asking once more.
        return fs.open(url, "rb", block_size=0, size=1)
    return fs.open(url, "rb", size=found["size"])


def walk(fs: AbstractFileSystem, url: str) -> Iterator[tuple[PurePosixPath, list[str], list[str]]]:
    """Give the directories that web pages list, from the top down, as os.walk does.

    Each comes as its place below `url`, its directories' names and its files' names; taking names
    out of the directories leaves those out. Of a page's links only those to what lies directly in
    the directory count: any page has links up and away. Raises NeucodecError where there are too
    many, since a server may list without end.
    """
    from fsspec.asyn import sync

    top = url.rstrip("/") + "/"
    waiting = [PurePosixPath()]
    seen = 0
    while waiting:
        place = waiting.pop()
        seen += 1
        if seen > MAX_FOLDERS or len(place.parts) > MAX_DEPTH:
            raise NeucodecError(
                f"{url}: more than {MAX_FOLDERS} directories or {MAX_DEPTH} levels of them are "
                "listed; give one further down"
            )
        page = top if place == PurePosixPath() else f"{top}{place}/"
        folders, names = _listed(page, sync(fs.loop, _fetch_page, fs, page))
        yield place, folders, names
        waiting += [place / folder for folder in reversed(folders)]


async def _fetch_page(fs: AbstractFileSystem, url: str) -> str:
    """Return the text of a page; an empty one where it is no HTML."""
    session = await fs.set_session()
    async with session.get(fs.encode_url(url), timeout=_answer_time()) as response:
        response.raise_for_status()
        if response.headers.get("Content-Type", "text/html").partition(";")[0] != "text/html":
            return ""
        return (await _read(response, MAX_LISTING_BYTES)).decode("utf-8", "replace")


def _listed(page: str, text: str) -> tuple[list[str], list[str]]:
    """Return the names of the directories and files to which a page of a directory links.

    `page` is its URL, `text` its HTML. Names are as URLs have them, percent signs and all.
    """
    root = urlsplit(page)
    folders: set[str] = set()
    names: set[str] = set()
    for tag in _TAG.finditer(text):
        link = _LINK.search(tag[1])
        if link is None:
            continue
        try:
            found = urlsplit(urljoin(page, unescape(link[1] or link[2] or link[3] or "").strip()))
        except ValueError:
            continue  # no URL at all
        if found.query or found.netloc != root.netloc or not found.path.startswith(root.path):
            continue
        name = found.path[len(root.path) :]
        inside = place_inside(unquote(name.removesuffix("/")))
        if found.scheme in WEB_SCHEMES and inside is not None and len(inside.parts) == 1:
            (folders if name.endswith("/") else names).add(name.removesuffix("/"))
    return sorted(folders), sorted(names)


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Read a body of at most `max_bytes`. Raises ClientPayloadError where more come."""
    import aiohttp

    held = bytearray()
    async for block in response.content.iter_chunked(1 << 16):
        held += block
        if len(held) > max_bytes:
            response.close()
            raise aiohttp.ClientPayloadError(f"more than {max_bytes} bytes came where few were due")
    return bytes(held)


def _answer_time() -> aiohttp.ClientTimeout:
    import aiohttp

    return aiohttp.ClientTimeout(
        total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS
    )


def reason(error: BaseException) -> str | None:
    """Say in one line what went wrong with a server; None for an error of another kind."""
    from fsspec.exceptions import FSTimeoutError

    if isinstance(error, (asyncio.TimeoutError, TimeoutError, FSTimeoutError)):
        return f"the server does not answer: nothing came for {SILENT_SECONDS:g} s"
    aiohttp = sys.modules.get("aiohttp")
    if aiohttp is None:
        return None
    if isinstance(error, aiohttp.TooManyRedirects):
        return "the server redirects without end"
    if isinstance(error, aiohttp.ClientResponseError):
        if error.status in (404, 410):
            return "there is no such file"
        return f"the server answers {error.status} {_brief(error.message)}".rstrip()
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.os_error, socket.gaierror):
            return "no such host, or no network"
        number = error.os_error.errno
        return f"cannot be reached: {os.strerror(number) if number else error.os_error}"
    if isinstance(error, aiohttp.InvalidURL):
        return f"no URL, or the server redirects to none: {_brief(error)}"
    if isinstance(error, aiohttp.ClientError):
        return f"the connection was cut: {_brief(error) or type(error).__name__}"
    return None


def _brief(text: object) -> str:
    return " ".join(str(text).split())[:200]
