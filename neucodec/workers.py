"""Chunks in parallel, results in order, memory bounded."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def available_threads() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _one_thread_each() -> None:
    """Parallelism is across chunks: inside one, a product summed by one thread is summed in the
    same order on every run, whatever the number of workers."""
    import torch

    torch.set_num_threads(1)


def in_order(
    function: Callable[[T], R], items: Iterable[T], threads: int | None = None
) -> Iterator[R]:
    """``map`` over worker threads that reads at most a few items ahead of what it gives.

    An item is given as soon as it and all before it are done, so that a slow producer (a pipe)
    does not hold finished results back.
    """
    count = threads or available_threads()
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(count, "neucodec", _one_thread_each) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                while waiting and (len(waiting) > 2 * count or waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
