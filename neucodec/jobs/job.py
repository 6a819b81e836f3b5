"""One file to be worked on, and where its output goes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """One input and its output: paths or URLs, or ``-`` for a standard stream."""

    source: str
    target: str
    in_tree: bool = False
    """Whether the target lies in a directory for outputs, which may have to be made."""
    is_retry: bool = False
    """Whether this is a retry after a crash: the target may be complete already."""
