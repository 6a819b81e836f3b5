"""Names of files that come from outside: listings, archives, file system drivers, cards."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

_NOWHERE = '\\:*?"<>|'
"""Characters that mean something else in a path, or cannot be in one, on Windows."""


def place_inside(name: str, *, portable: bool = False) -> PurePosixPath | None:
    """Return a relative name as a place below whatever folder it is joined to; None if it is not.

    Parts are separated by "/". Refused are absolute names, ``..``, ``.``, empty parts (and so
    "a//b"), NUL and, on Windows or where the place is to be ``portable``, the characters that have
    a meaning in Windows' paths. Whoever joins a name that somebody else has chosen to a folder of
    this machine asks here first: without, "../../evil" is written outside of it.
    """
    refused = "\0" + (_NOWHERE if portable or os.name == "nt" else "")
    parts = name.split("/")
    if any(part in ("", ".", "..") or not set(part).isdisjoint(refused) for part in parts):
        return None
    return PurePosixPath(*parts)
