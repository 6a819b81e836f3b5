"""What a command says on standard error, and how failures read there."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from neucodec.errors import NeucodecError

from .progress import FilesProgress, Progress, files_progress, progress
from .standard_streams import PIPE, message, readable

WARNINGS, REPORTS, DETAILS = -1, 0, 1
"""Verbosity from which on these lines appear; errors always do."""
DEBUG = "NEUCODEC_DEBUG"
"""Environment variable: set to 1, failures come with their traceback."""
_SEND_SECONDS = 0.2


class Console:
    """The lines of one run, chosen by its verbosity (how many -v less how many -q)."""

    def __init__(self, verbosity: int = REPORTS) -> None:
        self.verbosity = verbosity
        self.place = ""
        """How far the run is, as the progress bar shows it before the file: ``3/12 ``."""
        self._beside_bar = False

    def progress(self, name: str, seconds: float | None) -> AbstractContextManager[Progress]:
        """A bar while that many seconds are worked on, where it is a person who looks on."""
        return progress(self.place + shown(name), seconds, show=self._people_look_on)

    @contextmanager
    def files(self, count: int) -> Iterator[FilesProgress]:
        """One bar for that many files, while several are worked on at once."""
        with files_progress(count, show=self._people_look_on) as bar:
            self._beside_bar = self._people_look_on
            try:
                yield bar
            finally:
                self._beside_bar = False

    @property
    def _people_look_on(self) -> bool:
        return self.verbosity >= REPORTS and sys.stderr.isatty()

    def detail(self, text: str) -> None:
        """A line for ``-v``."""
        self._say(DETAILS, text)

    def report(self, text: str) -> None:
        """The line on a file's outcome."""
        self._say(REPORTS, text)

    def warn(self, name: str, text: str) -> None:
        """Something to know about a file that was done nevertheless."""
        self._say(WARNINGS, f"neucodec: {shown(name)}: warning: {text}")

    def fail(self, name: str | None, error: BaseException | str) -> None:
        """Why a file (or, without a name, the run) failed."""
        if isinstance(error, BaseException) and os.environ.get(DEBUG, "0") not in ("", "0"):
            for line in "".join(traceback.format_exception(error)).splitlines():
                self.say(line)
        text = error if isinstance(error, str) else explain(error, name)
        self.say(f"neucodec: {shown(name)}: {text}" if name else f"neucodec: {text}")

    def say(self, text: str) -> None:
        """A line, whatever the verbosity. What a file, a server or a library has put into it
        stays text: this is the one door to the terminal."""
        text = printable(text)
        if self._beside_bar:
            from tqdm import tqdm

            with suppress(OSError, ValueError):
                tqdm.write(text, file=sys.stderr)
        else:
            message(text)

    def _say(self, verbosity: int, text: str) -> None:
        if self.verbosity >= verbosity:
            self.say(text)


class Relay(Console):
    """The console of a process or machine apart: everything goes to the one that started it.

    ``send`` gets lines as text, and the seconds of audio done since it last got them as numbers.
    """

    def __init__(self, verbosity: int, send: Callable[[str | float], object]) -> None:
        super().__init__(verbosity)
        self._send = send

    @contextmanager
    def progress(self, name: str, seconds: float | None) -> Iterator[Progress]:
        """Sends numbers a few times a second."""
        done, sent = 0.0, time.monotonic()

        def advance(more: float) -> None:
            nonlocal done, sent
            done += more
            if time.monotonic() - sent > _SEND_SECONDS:
                self._send(done)
                done, sent = 0.0, time.monotonic()

        yield advance
        self._send(done)

    def say(self, text: str) -> None:
        """A line, whatever the verbosity."""
        self._send(text)


def shown(name: str) -> str:
    """A file name or other text from outside, safe to print: one line, no control characters."""
    if name == PIPE:
        return "standard input"
    return printable(name)


def printable(text: str) -> str:
    r"""Text without control characters: they could move the cursor or colour the terminal."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in readable(text)
    )


def printable_lines(text: str) -> str:
    """The same for a text whose lines are ours."""
    return "\n".join(map(printable, text.split("\n")))


def counted(number: int, noun: str) -> str:
    """``1 channel``, ``2 channels``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def explain(error: BaseException, name: str | None = None) -> str:
    """One line on what went wrong, without the name of the file that it is about."""
    if isinstance(error, MemoryError) or _is_torch_out_of_memory(error):
        return "not enough memory; fewer threads (--threads 1) need less"
    if isinstance(error, OSError):
        text = " ".join((error.strerror or str(error)).split()) or type(error).__name__
        other = error.filename if isinstance(error.filename, str) else None
        return f"{shown(other)}: {text}" if other and other != name else text
    text = " ".join(str(error).split())
    if not is_expected(error):
        return (
            f"unexpected {type(error).__name__}: {text}; this is a fault of neucodec, "
            f"{DEBUG}=1 shows where"
        )
    for said in (name, str(Path(name)), shown(name)) if name else ():
        text = text.removeprefix(f"{said}: ")
    return printable(text)


def is_expected(error: BaseException) -> bool:
    """Whether a failure lies in the files, the options or the machine, not in the program."""
    kinds: tuple[type[BaseException], ...]
    kinds = (NeucodecError, OSError, MemoryError)
    soundfile = sys.modules.get("soundfile")
    if soundfile is not None:
        kinds = (*kinds, soundfile.SoundFileError)
    return isinstance(error, kinds) or _is_torch_out_of_memory(error)


def _is_torch_out_of_memory(error: BaseException) -> bool:
    """The CPU allocator of torch raises a plain RuntimeError, those of devices a subclass."""
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "out of memory" in text
    )
