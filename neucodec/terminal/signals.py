"""Ends a run from outside: by a signal, or because nobody reads its output any more.

The handler of a signal only notes it. An exception from the handler could come between any two
steps of the program, and could leave a lock taken or a file behind. So the program asks for noted
signals where it is safe to end, by `end_if_told`: between chunks, files and waits. Only calls that
may wait for ever for somebody else, such as reading from a pipe, are ended at once: they stand
within `interruptible`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, Queue
from types import FrameType
from typing import TypeVar, cast

T = TypeVar("T")

PIPE_GONE = 13
"""Number of SIGPIPE, also on systems that lack the signal."""
UNFINISHED: set[Path] = set()
"""Temporary files that this process is writing, for `_end_now` to remove."""
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""Names of the signals that end a run, of which a system may lack some."""
_LOOK_SECONDS = 0.1
"""Seconds after which a wait for another thread looks whether the run is to end."""
_PATIENCE = 10.0
"""Seconds after a first signal from which on a further one ends the run at once."""


class Ended(BaseException):
    """Raised where the run is to end; outputs that are open are removed on the way out.

    It is no Exception, so that code which goes on after failures does not go on after this.
    """

    def __init__(self, number: int) -> None:
        """End because of the signal of that number."""
        super().__init__(number)
        self.number = number


_told: list[int] = []
"""Numbers of the signals that have come, in order."""
_told_at = 0.0
"""Time at which the first of them came, by the monotonic clock."""
_waiting = False
"""Whether the main thread is in a call that signals end at once."""


def note(number: int, frame: FrameType | None = None) -> None:
    """Handle a signal: note it; raise Ended if the main thread is in an `interruptible` call."""
    global _told_at, _waiting
    _told.append(number)
    if _waiting:
        _waiting = False  # clearing up is not to be interrupted
        raise Ended(_told[0])
    if len(_told) == 1:
        _told_at = time.monotonic()
    elif time.monotonic() - _told_at > _PATIENCE:
        _end_now()


def end_if_told() -> None:
    """Raise Ended if a signal has come. Call it where it is safe to end."""
    if _told:
        raise Ended(_told[0])


@contextmanager
def interruptible() -> Iterator[None]:
    """Have signals raise Ended at once meanwhile; raise it if one has come before.

    For single calls that may wait for ever and hold no lock: reading from a pipe, opening one,
    waiting for another process. Does nothing in threads other than the main one, which signals do
    not reach.
    """
    global _waiting
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = _waiting
    try:
        _waiting = True
        end_if_told()
        yield
    finally:
        _waiting = before and not _told


def interruptibly(items: Iterator[T]) -> Iterator[T]:
    """Give the same items; waiting for each of them is `interruptible`."""
    done = object()
    while True:
        with interruptible():
            item = next(items, done)
        if item is done:
            return
        yield cast(T, item)


def take(queue: Queue[T]) -> T:
    """Wait for the next item of a queue and return it. Raises Ended if a signal comes first."""
    while True:
        end_if_told()
        with suppress(Empty):
            return queue.get(timeout=_LOOK_SECONDS)


def result_of(future: Future[T]) -> T:
    """Wait for the result of a future and return it. Raises Ended if a signal comes first."""
    while not future.done():
        end_if_told()
        wait([future], timeout=_LOOK_SECONDS)
    return future.result()


@contextmanager
def signals_end_the_run(*, for_good: bool = False) -> Iterator[None]:
    """Note signals meanwhile, except those that the parent process had us ignore (nohup, &).

    With ``for_good`` the handlers stay until the process ends, so that a signal that comes while
    Python clears up does not make a finished run look interrupted.
    """
    before = {}
    _told.clear()
    try:
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    before[number] = signal.signal(number, note)
        yield
    finally:
        if not for_good:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)
            _told.clear()


@contextmanager
def signals_noted() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether a signal has come; signals do nothing else meanwhile.

    For work that ends where it suits it, as training does after a step.
    """
    noted: list[int] = []
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    handled = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, lambda n, _: noted.append(n)) for number in handled}
    try:
        yield lambda: bool(noted)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def leave(code: int) -> None:
    """End the process at once if a signal has come, or if a daemon thread still runs.

    Such a thread may be reading from a pipe into which nothing comes. The interpreter would wait
    for the lock of standard input, which that thread holds, and abort. Otherwise return.
    """
    if _told or any(thread.daemon for thread in threading.enumerate()):
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        os._exit(code)


def _end_now() -> None:
    """End the process and its children at once, and remove its unfinished files."""
    for path in tuple(UNFINISHED):
        with suppress(OSError):
            path.unlink()
    processes = sys.modules.get("multiprocessing")
    for child in processes.active_children() if processes else ():
        child.terminate()
    os._exit(128 + _told[0])
