"""Runs that end from outside: by a signal, or because nobody reads their output any more.

A signal is only noted. An exception out of its handler could come between any two steps of the
program, and would leave a lock taken or a file behind. The run looks at the note where it is safe
to end, with `end_if_told`: between chunks, files and waits. The one exception are calls that may
wait for ever for somebody else, such as reading from a pipe: they stand in `interruptible`, and a
signal ends them at once.
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
"""Number of SIGPIPE, also where there is no such signal."""
UNFINISHED: set[Path] = set()
"""Temporary files that this process is writing, for an end that leaves no time for anything."""
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_LOOK_SECONDS = 0.1
"""How often waits for another thread look whether the run is to end."""
_PATIENCE = 10.0
"""Seconds after which a further signal ends a run that has not come to its end by itself."""


class Ended(BaseException):
    """The run is to end at once; open outputs are removed on the way out.

    No Exception, so that going on after failures does not go on after this.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


_told: list[int] = []
"""The signals that have come."""
_told_at = 0.0
"""When the first of them came, by the monotonic clock."""
_waiting = False
"""Whether the main thread is in a call that signals end."""


def note(number: int, frame: FrameType | None = None) -> None:
    """Handle a signal: note it, and raise Ended where the main thread is `interruptible`."""
    global _told_at, _waiting
    _told.append(number)
    if _waiting:
        _waiting = False  # what clears up behind is not to be interrupted
        raise Ended(_told[0])
    if len(_told) == 1:
        _told_at = time.monotonic()
    elif time.monotonic() - _told_at > _PATIENCE:
        _end_now()


def end_if_told() -> None:
    """Raise Ended if a signal has come. To be called where it is safe to end."""
    if _told:
        raise Ended(_told[0])


@contextmanager
def interruptible() -> Iterator[None]:
    """Have signals raise Ended meanwhile, and at once if one has come before.

    For single calls that may wait for ever and hold no lock: reading from a pipe, opening one,
    waiting for another process. In threads other than the main one, which signals do not reach,
    this does nothing.
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
    """Give the same items; the waiting for each is `interruptible`, as for a server's."""
    done = object()
    while True:
        with interruptible():
            item = next(items, done)
        if item is done:
            return
        yield cast(T, item)


def take(queue: Queue[T]) -> T:
    """Wait for the next item of a queue; raises Ended if a signal comes first."""
    while True:
        end_if_told()
        with suppress(Empty):
            return queue.get(timeout=_LOOK_SECONDS)


def result_of(future: Future[T]) -> T:
    """Wait for the result of a future; raises Ended if a signal comes first."""
    while not future.done():
        end_if_told()
        wait([future], timeout=_LOOK_SECONDS)
    return future.result()


@contextmanager
def signals_end_the_run(*, for_good: bool = False) -> Iterator[None]:
    """Note signals meanwhile, except those that the parent had us ignore (nohup, &).

    With ``for_good`` that stays so until the process ends: what has been done is not called
    interrupted by a signal that comes while Python clears up.
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
    """Have signals do nothing meanwhile but make the function that this gives say True.

    For work that ends at a place of its own choosing, as training does behind a step.
    """
    noted: list[int] = []
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, lambda n, _: noted.append(n)) for number in heeded}
    try:
        yield lambda: bool(noted)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def leave(code: int) -> None:
    """End the process at once if it was told to end, or if a thread still reads from a pipe in
    which nothing comes.

    The interpreter would wait for the lock of standard input, which that thread holds, and abort.
    """
    if _told or any(thread.daemon for thread in threading.enumerate()):
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        os._exit(code)


def _end_now() -> None:
    """End the process in the middle of whatever it does, without its unfinished files."""
    for path in tuple(UNFINISHED):
        with suppress(OSError):
            path.unlink()
    processes = sys.modules.get("multiprocessing")
    for child in processes.active_children() if processes else ():
        child.terminate()
    os._exit(128 + _told[0])
