"""Producers of items whose pace a test watches or decides."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

from conftest import PATIENCE


class Counted:
    """The numbers below a thousand, and how many of them have been taken."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[int]:
        for n in range(1000):
            self.taken += 1
            yield n


def held_back(count: int, release: Event, what: str) -> Iterator[int]:
    """The numbers below ``count``, and that one once it is released; ``what`` else was held back
    until then."""
    yield from range(count)
    assert release.wait(PATIENCE), f"{what} was held back until the producer went on"
    yield count
