"""Report what a download does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]
"""Function that takes the number of bytes done since it was last called."""


class Monitor:
    """Takes reports and shows nothing; a command line overrides what it wants to show."""

    shows_progress = False
    """Whether a library that draws its own progress bar may do so."""

    def say(self, text: str) -> None:
        """Take a line that says what begins, or what is tried next."""

    @contextmanager
    def progress(self, name: str, total: int | None, done: int) -> Iterator[Advance]:
        """Follow the download of a file called ``name``, for as long as the context lasts.

        ``total`` is its size in bytes, None if unknown, of which ``done`` are there already.
        """
        yield lambda count: None


SILENT = Monitor()
"""Monitor that shows nothing."""
