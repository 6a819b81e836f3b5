"""What a download tells whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]
"""Takes the bytes done since it was last called."""


class Monitor:
    """Keeps everything to itself; a command line overrides what it wants to show."""

    shows_progress = False
    """Whether a library that draws its own progress bar may do so."""

    def say(self, text: str) -> None:
        """A line on what begins or on what is tried next."""

    @contextmanager
    def progress(self, name: str, total: int | None, done: int) -> Iterator[Advance]:
        """While the file ``name`` of ``total`` bytes comes in, of which ``done`` are there."""
        yield lambda count: None


SILENT = Monitor()
