"""Checks names of files that come from outside: from listings, archives, drivers and cards."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

_NOWHERE = '\\:*?"<>|'
"""Characters that on Windows have a meaning in a path, or cannot be in one."""


def place_inside(name: str, *, portable: bool = False) -> PurePosixPath | None:
    """Return a relative name as a place below the folder that it is joined to; None if it is none.

    Parts are separated by "/". Refused are absolute names, ``..``, ``.``, empty parts (and so
    "a//b"), NUL and, on Windows or with ``portable``, the characters that have a meaning in
    Windows' paths. Call this before joining a name that somebody else has chosen to a folder of
    this machine: "../../evil" would be written outside of it.
    """
    refused = "\0" + (_NOWHERE if portable or os.name == "nt" else "")
    parts = name.split("/")
    if any(part in ("", ".", "..") or not set(part).isdisjoint(refused) for part in parts):
        return None
    return PurePosixPath(*parts)
