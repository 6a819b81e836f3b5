"""Compute with one thread inside each product, so that sums are always in the same order.

PyTorch and MKL share a product among as many threads as they may use, and a share's size decides
which kernel computes it and so how its sums are rounded. neucodec works on several chunks at once
instead, each with one thread, so that results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, local

import torch

_lock = Lock()
_inside = 0
"""How many threads are inside of `single_thread` at this moment."""
_owed = local()
"""``.threads`` is the number that a thread had before, still to be given back to it."""


@contextmanager
def single_thread() -> Iterator[None]:
    """Let PyTorch compute with one thread inside, and as before afterwards.

    MKL keeps one number for the whole process. So the number is given back when no thread is
    inside any more; a thread that left earlier gets its own back the next time it comes.
    """
    global _inside
    with _lock:
        before = getattr(_owed, "threads", None) or torch.get_num_threads()
        _owed.threads = before
        _inside += 1
        if torch.get_num_threads() != 1 or _inside == 1:
            torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                torch.set_num_threads(before)
                _owed.threads = None
