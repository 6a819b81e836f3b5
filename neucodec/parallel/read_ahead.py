"""A thread that takes items from their producer before they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import Full, Queue
from typing import Generic, TypeVar

T = TypeVar("T")

_STOP_SECONDS = 1.0
"""Seconds that `ReadAhead.stop` waits for the thread to end."""
_LOOK_SECONDS = 0.1
"""Seconds after which a thread whose queue is full looks whether it was stopped."""


@contextmanager
def closed_after(items: Iterable[T]) -> Iterator[Iterable[T]]:
    """Give the items themselves; on the way out close their producer if it is a generator."""
    try:
        yield items
    finally:
        close = getattr(items, "close", None)
        if close:
            close()


class End:
    """The last entry of a queue that `ReadAhead` fills."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
        """The exception by which the producer ended; None where it had no more items."""


class ReadAhead(threading.Thread, Generic[T]):
    """Puts the items of a producer into `queue`, then one `End`; waits where the queue is full.

    The producer runs in this thread, and is closed there if it is a generator.
    """

    def __init__(self, items: Iterable[T], max_held: int) -> None:
        """`max_held` is how many items the queue has room for."""
        # A daemon, since it may be reading from a pipe into which nobody writes any more.
        super().__init__(name="neucodec-reader", daemon=True)
        self.queue: Queue[T | End] = Queue(max_held)
        self._items = items
        self._stopped = threading.Event()

    def run(self) -> None:
        """Fill the queue; the thread's own function, which `start` calls."""
        raised: BaseException | None = None
        try:
            with closed_after(self._items) as items:
                for item in items:
                    if not self._put(item):
                        break
        except BaseException as error:  # given to whoever reads the queue
            raised = error
        finally:
            self._put(End(raised))

    def _put(self, entry: T | End) -> bool:
        """Wait until the queue takes the entry; return False if it was stopped first."""
        while not self._stopped.is_set():
            try:
                self.queue.put(entry, timeout=_LOOK_SECONDS)
            except Full:
                continue
            return True
        return False

    def stop(self) -> None:
        """Ask the thread to end, and wait a little for it: a read in progress cannot be ended."""
        self._stopped.set()
        self.join(timeout=_STOP_SECONDS)
