"""How many threads to start, by the processors and the memory that there are."""

from __future__ import annotations

import os

MAX_BYTES = 2**29
"""Most bytes of audio that several threads together may have in work at once."""

_limit: int | None = None
"""Most threads of this process; None where nothing but the processors limits them."""


def limit_threads(count: int) -> None:
    """Set the number of threads that `available_threads` returns in this process from now on.

    Processes that work side by side share the processors out among them by it.
    """
    global _limit
    _limit = count


def available_threads() -> int:
    """Return how many threads may run at once: the limit if one is set, else the processors."""
    if _limit is not None:
        return _limit
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_single_threaded() -> bool:
    """Return whether `limit_threads` has left this process one thread."""
    return _limit == 1


def threads_within(wanted: int | None, item_bytes: int) -> int:
    """Return the number of threads to start for items of `item_bytes` each; at least 1.

    That is `wanted` (None: `available_threads`), or fewer where the items that they hold would
    take more than `MAX_BYTES`.
    """
    # A thread works on one item while two results wait for each: see `ordered_work.in_order`.
    return max(1, min(wanted or available_threads(), MAX_BYTES // max(1, 3 * item_bytes)))


def memory_bytes() -> int:
    """Return the bytes of memory that this machine has; 0 where it cannot be asked."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0
