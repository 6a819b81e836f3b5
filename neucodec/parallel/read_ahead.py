"""Items in batches: as many as are there by the time they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

from neucodec.terminal.signals import take

T = TypeVar("T")


@contextmanager
def closed_after(items: Iterable[T]) -> Iterator[Iterable[T]]:
    """The items; their producer, if it is a generator, is closed in the end."""
    try:
        yield items
    finally:
        close = getattr(items, "close", None)
        if close:
            close()


class _End:
    """No more items; ``error`` is why, unless there simply were no more."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Reader(threading.Thread, Generic[T]):
    """Takes items from their producer as far ahead as the queue has room."""

    def __init__(self, items: Iterable[T], queue: Queue[T | _End]) -> None:
        # A daemon: at worst it sits in a read from a pipe that nobody writes to any more.
        super().__init__(name="neucodec-reader", daemon=True)
        self._items, self._queue = items, queue
        self._stopped = threading.Event()

    def run(self) -> None:
        end: BaseException | None = None
        try:
            with closed_after(self._items) as items:
                for item in items:
                    if not self._put(item):
                        break
        except BaseException as error:  # handed to whoever waits for items
            end = error
        finally:
            self._put(_End(end))

    def _put(self, value: T | _End) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(value, timeout=0.1)
            except Full:
                continue
            return True
        return False

    def stop(self) -> None:
        """Ask it to end, and wait a little for that."""
        self._stopped.set()
        self.join(timeout=1.0)


def in_batches(
    items: Iterable[T], most: int, first: int, patience: float = 0.05
) -> Iterator[list[T]]:
    """Items in their order, in batches of up to ``most``, the first one of up to ``first``.

    A batch that is not full goes out when its producer (a pipe, say) gives nothing for
    ``patience`` seconds. At most twice ``most`` items are held.
    """
    queue: Queue[T | _End] = Queue(most)
    reader = _Reader(items, queue)
    reader.start()
    limit = first
    try:
        while True:
            batch: list[T] = []
            item: T | _End = take(queue)
            while not isinstance(item, _End):
                batch.append(item)
                if len(batch) == limit:
                    break
                try:
                    item = queue.get(timeout=patience)
                except Empty:
                    break
            if batch:
                yield batch
                limit = most
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
    finally:
        reader.stop()
