"""Chunks in parallel, results in order, memory bounded."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

from neucodec.terminal.signals import end_if_told, result_of, take

from .read_ahead import closed_after

T = TypeVar("T")
R = TypeVar("R")


MOST_BYTES = 2**29
"""Of audio in work at once, over all threads, where there are several."""

_limit: int | None = None


def limit_threads(count: int) -> None:
    """Leave the other processors to other processes, from now on and for all of this one."""
    global _limit
    _limit = count


def available_threads() -> int:
    """Processors that this process may use."""
    if _limit is not None:
        return _limit
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_within(wanted: int | None, item_bytes: int) -> int:
    """As many threads as are wanted, or as there are processors, but no more than hold
    `MOST_BYTES` of results that large between them; one at least."""
    # Twice as many results wait as there are threads: see `in_order`.
    return max(1, min(wanted or available_threads(), MOST_BYTES // max(1, 3 * item_bytes)))


def memory() -> int:
    """Bytes that this machine has; 0 where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0


def _one_thread_each() -> None:
    """Parallelism is across chunks: inside one, a product summed by one thread is summed in the
    same order on every run, whatever the number of workers."""
    import torch

    torch.set_num_threads(1)


def batches(
    items: Iterable[T], size: int, limit: Callable[[int], int] | None = None
) -> Iterator[list[T]]:
    """Put items into lists of ``size``, the last perhaps of fewer.

    The first lists are shorter, so that few items, too, are shared out among threads and results
    begin to come soon. ``limit`` says how many items a list may have that begins with item n.
    """
    rest, number, first, begin = iter(items), 0, max(1, size // 3), 0
    while batch := list(
        islice(rest, min(size, first << number // 2, limit(begin) if limit else size))
    ):
        yield batch
        number, begin = number + 1, begin + len(batch)


class _Feeder(threading.Thread, Generic[T, R]):
    """Reads items and submits them, as far ahead as the queue has room."""

    def __init__(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        pool: ThreadPoolExecutor,
        futures: Queue[Future[R] | BaseException | None],
    ) -> None:
        # A daemon: at worst it sits in a read from a pipe that nobody writes to any more.
        super().__init__(name="neucodec-feeder", daemon=True)
        self._function, self._items, self._pool = function, items, pool
        self._futures = futures
        self._stopped = threading.Event()

    def run(self) -> None:
        end: BaseException | None = None
        try:
            with closed_after(self._items) as items:
                for item in items:
                    if not self._put(self._pool.submit(self._function, item)):
                        break
        except BaseException as error:  # handed to whoever waits for results
            end = error
        finally:
            self._put(end)

    def _put(self, value: Future[R] | BaseException | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._futures.put(value, timeout=0.1)
            except Full:
                continue
            return True
        return False

    def stop(self) -> None:
        """Ask it to end, and wait a little for that."""
        self._stopped.set()
        self.join(timeout=1.0)


def _one_by_one(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Without other threads: where processes do other files meanwhile, there is nothing to gain by
    reading ahead, and starting threads takes time of short files."""
    _one_thread_each()
    with closed_after(items):
        for item in items:
            end_if_told()
            yield function(item)


def in_order(
    function: Callable[[T], R], items: Iterable[T], threads: int | None = None
) -> Iterator[R]:
    """``map`` over worker threads that reads at most a few items ahead of what it gives.

    A result is given as soon as it and all before it are done, even while the producer of
    items (a pipe, say) is waiting for more. An exception of either comes out here.
    """
    count = threads or available_threads()
    if count == _limit == 1:
        yield from _one_by_one(function, items)
        return
    futures: Queue[Future[R] | BaseException | None] = Queue(2 * count)
    pool = ThreadPoolExecutor(count, "neucodec", _one_thread_each)
    feeder = _Feeder(function, items, pool, futures)
    feeder.start()
    try:
        while (future := take(futures)) is not None:
            if isinstance(future, BaseException):
                raise future
            yield result_of(future)
    finally:
        feeder.stop()
        while True:
            try:
                left = futures.get_nowait()
            except Empty:
                break
            if isinstance(left, Future):
                left.cancel()
        pool.shutdown(cancel_futures=True)
