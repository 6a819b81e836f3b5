"""A function applied to items in several threads, whose results come in the items' order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty
from typing import TypeVar

from neucodec.terminal.signals import end_if_told, result_of, take

from .read_ahead import End, ReadAhead, closed_after
from .thread_counts import available_threads, is_single_threaded

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    function: Callable[[T], R], items: Iterable[T], threads: int | None = None
) -> Iterator[R]:
    """Give `function(item)` of every item in order, worked out in `threads` threads.

    `threads` None is `available_threads`. At most a few items are read ahead of the results that
    are taken, so memory stays bounded. A result is given as soon as it and all before it are done,
    even while the producer of items (a pipe, say) waits for more. Raises what the function or the
    producer raises, after the results before that.
    """
    count = threads or available_threads()
    if count == 1 and is_single_threaded():
        yield from _one_by_one(function, items)
        return
    pool = ThreadPoolExecutor(count, "neucodec", _use_one_thread_in_torch)
    reader = ReadAhead(_submitted(function, items, pool), 2 * count)
    reader.start()
    try:
        while not isinstance(future := take(reader.queue), End):
            yield result_of(future)
        if future.error is not None:
            raise future.error
    finally:
        reader.stop()
        while True:
            try:
                unread = reader.queue.get_nowait()
            except Empty:
                break
            if isinstance(unread, Future):
                unread.cancel()
        pool.shutdown(cancel_futures=True)


def _submitted(
    function: Callable[[T], R], items: Iterable[T], pool: ThreadPoolExecutor
) -> Iterator[Future[R]]:
    """Give the future of each item's result; when this is closed, the producer of items is too."""
    with closed_after(items):
        for item in items:
            yield pool.submit(function, item)


def _one_by_one(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Give the results without starting a thread.

    For processes that are left one thread while others do other files: there nothing is gained by
    reading ahead, and starting threads would take time of short files.
    """
    _use_one_thread_in_torch()
    with closed_after(items):
        for item in items:
            end_if_told()
            yield function(item)


def _use_one_thread_in_torch() -> None:
    """Have torch compute in the calling thread alone.

    Chunks are worked on in parallel instead. A product that one thread sums is summed in the same
    order on every run, whatever the number of workers.
    """
    import torch

    torch.set_num_threads(1)
