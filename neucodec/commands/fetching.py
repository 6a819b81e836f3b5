"""What is shown while the weights of a model are fetched."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..console import REPORTS, Console
from ..models.monitor import Advance, Monitor

OFFLINE = "--offline"


class Downloads(Monitor):
    """Lines on standard error, and a bar where it is a person who looks on."""

    def __init__(self, console: Console) -> None:
        self.shows_progress = console.verbosity >= REPORTS and sys.stderr.isatty()
        self._console = console

    def say(self, text: str) -> None:
        """A line, unless -q asks for none."""
        self._console.report(text)

    @contextmanager
    def progress(self, name: str, total: int | None, done: int) -> Iterator[Advance]:
        """A bar that leaves nothing behind."""
        if not self.shows_progress:
            with super().progress(name, total, done) as advance:
                yield advance
            return
        from tqdm import tqdm

        with tqdm(
            desc=name, total=total, initial=done, unit="B", unit_scale=True, leave=False,
            dynamic_ncols=True,
        ) as bar:  # fmt: skip
            yield bar.update
