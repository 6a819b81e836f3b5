"""Lists of items that follow each other, to be worked on together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from queue import Empty
from typing import TypeVar

from neucodec.terminal.signals import take

from .read_ahead import End, ReadAhead

T = TypeVar("T")


def batches(
    items: Iterable[T], size: int, limit: Callable[[int], int] | None = None
) -> Iterator[list[T]]:
    """Give the items in lists of `size`; the last may have fewer.

    The first lists are shorter, so that few items, too, are shared out among threads and results
    begin to come soon. `limit(n)` says how many items a list may have that begins with item n.
    """
    rest, number, first, begin = iter(items), 0, max(1, size // 3), 0
    while batch := list(
        islice(rest, min(size, first << number // 2, limit(begin) if limit else size))
    ):
        yield batch
        number, begin = number + 1, begin + len(batch)


def in_batches(
    items: Iterable[T], max_size: int, first_size: int, patience: float = 0.05
) -> Iterator[list[T]]:
    """Give the items in lists of up to `max_size`, the first of up to `first_size`.

    A thread takes the items from their producer. A list is given before it is full where the
    producer (a pipe, say) has nothing more for `patience` seconds. At most twice `max_size` items
    are held. Raises what the producer raises, after the items before that.
    """
    reader = ReadAhead(items, max_size)
    reader.start()
    limit = first_size
    try:
        while True:
            batch: list[T] = []
            item: T | End = take(reader.queue)
            while not isinstance(item, End):
                batch.append(item)
                if len(batch) == limit:
                    break
                try:
                    item = reader.queue.get(timeout=patience)
                except Empty:
                    break
            if batch:
                yield batch
                limit = max_size
            if isinstance(item, End):
                if item.error is not None:
                    raise item.error
                return
    finally:
        reader.stop()
