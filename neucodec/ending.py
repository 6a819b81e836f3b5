"""Runs that end from outside: by a signal, or because nobody reads their output any more."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PIPE_GONE = 13
"""Number of SIGPIPE, also where there is no such signal."""
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


class Ended(BaseException):
    """The run is to end at once; open outputs are removed on the way out.

    No Exception, so that going on after failures does not go on after this.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


_told: list[int] = []
"""The signals that have come."""


def end(number: int, frame: FrameType | None = None) -> None:
    """What a signal does: raise Ended."""
    _told.append(number)
    raise Ended(number)


def end_if_told() -> None:
    """Raise Ended if a signal has come: where it met code of a library, that may have made another
    exception of it, or none."""
    if _told:
        raise Ended(_told[0])


@contextmanager
def signals_end_the_run() -> Iterator[None]:
    """Meanwhile signals raise Ended, except those that the parent had us ignore (nohup, &)."""
    before = {}
    _told.clear()
    try:
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    before[number] = signal.signal(number, end)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def forget_stdout() -> None:
    """Let what is still buffered go nowhere; the interpreter flushes it at its exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def leave(code: int) -> None:
    """End the process at once if a thread is still reading a pipe in which nothing comes.

    The interpreter would wait for the lock of standard input, which that thread holds, and abort.
    """
    if any(thread.daemon for thread in threading.enumerate()):
        sys.stderr.flush()
        os._exit(code)
