"""Directories at URLs, and what lies below them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn

from neucodec.errors import NeucodecError
from neucodec.safety.inside import place_inside
from neucodec.terminal.signals import interruptible, interruptibly

from . import urls, web
from .drivers import driver_errors, find_driver

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

Listing = tuple[PurePath, list[str], list[str]]
"""A directory's place below the one that is walked, its directories' names, its files' names."""

MAX_FOLDERS, MAX_DEPTH = 1_000_000, 64
"""How many directories one that is walked may have below it, and on how many levels."""


def is_folder(url: str) -> bool:
    """Return whether a URL is that of a directory; on the web those end with a slash.

    Where that cannot be told it is taken for a file, and opening it says what is wrong.
    """
    if url.endswith("/"):
        return True
    if urls.is_web(url):
        return False
    with suppress(NeucodecError):
        fs, path = find_driver(url)
        with interruptible(), driver_errors(url):
            return bool(fs.isdir(path))
    return False


def walk(url: str) -> Iterator[Listing]:
    """Give a directory and those below it, from the top down, as os.walk does.

    Taking names out of a listing's directories leaves those directories out. Raises NeucodecError
    where the directory cannot be listed, or a listing has a name that leads out of it.
    """
    fs, path = find_driver(url)
    with driver_errors(url):
        listings = web.walk(fs, path) if urls.is_web(url) else _walk_driver(fs, path, url)
        for place, folders, names in interruptibly(listings):
            for name in (*folders, *names):
                if "/" in name or place_inside(name) is None:
                    _refuse(url, f"{place}/{name}")
            yield place, folders, names


def _walk_driver(fs: AbstractFileSystem, path: str, url: str) -> Iterator[Listing]:
    """Walk by the driver's own listings, whose names an archive or a server may have chosen."""
    top = path.rstrip("/")
    for count, (parent, folders, names) in enumerate(fs.walk(top)):
        whole = parent.rstrip("/")
        below = whole == top or whole.startswith(f"{top}/") or not top
        place = PurePosixPath(whole.removeprefix(top).strip("/"))
        if not below or (place.parts and place_inside(place.as_posix()) is None):
            _refuse(url, str(place))
        if count >= MAX_FOLDERS or len(place.parts) > MAX_DEPTH:
            raise NeucodecError(
                f"{url}: more than {MAX_FOLDERS} directories or {MAX_DEPTH} levels of them; give "
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
    """Take a name out of a driver's directories, which some hold in a list, others in a dict."""
    if isinstance(folders, dict):
        del folders[name]
    else:
        folders.remove(name)
