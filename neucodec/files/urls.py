"""URLs as text: what they name, and the URLs of their neighbours. Nobody is asked."""

from __future__ import annotations

import re
from pathlib import PurePath

WEB_SCHEMES = ("http", "https")
"""Schemes of the web, where a question mark ends the path and a slash ends a directory's name."""
_URL = re.compile(r"[A-Za-z][\w+.-]*(::[A-Za-z][\w+.-]*)*://")


def is_remote(name: str) -> bool:
    """Return whether a name is a URL, not a path of this machine."""
    return bool(_URL.match(name))


def scheme(url: str) -> str:
    """Return the scheme in lower case; of a chain of URLs that of the first link."""
    return url.partition("://")[0].rpartition("::")[2].lower()


def schemes(url: str) -> list[str]:
    """Return the schemes of all links of a chain, in lower case: one where it is no chain."""
    return [part.partition("://")[0].lower() for part in url.split("::")]


def is_web(url: str) -> bool:
    """Return whether a URL, or the first link of a chain, is one of the web."""
    return scheme(url) in WEB_SCHEMES


def file_name(url: str) -> str:
    """Return the last part of a URL's path; on the web without query and fragment."""
    path, _ = _first_link(url)
    if is_web(url):
        path = re.split("[?#]", path)[0].partition("://")[2].partition("/")[2]
    return path.rstrip("/").rpartition("/")[2]


def join(folder: str, place: PurePath) -> str:
    """Return the URL of the file at `place` below a directory's URL."""
    path, rest = _first_link(folder)
    gap = "" if path.endswith("://") else "/"
    return f"{path if not gap else path.rstrip('/')}{gap}{place.as_posix()}{rest}"


def sibling(url: str, name: str) -> str:
    """Return the URL of another file in the same directory."""
    path, rest = _first_link(url)
    return f"{path.rpartition('/')[0]}/{name}{rest}"


def _first_link(url: str) -> tuple[str, str]:
    """Split a chain such as ``zip://a.wav::https://host/b.zip`` behind its first link.

    The first link names the file; the rest, empty where there is no chain, says where it is.
    """
    if is_web(url):
        return url, ""
    start = url.index("://")
    end = url.find("::", start)
    return (url, "") if end < 0 else (url[:end], url[end:])
