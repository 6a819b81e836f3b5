"""Writes a command's messages to standard error, and says what failures mean."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from neucodec.errors import NeucodecError

from .progress import FilesProgress, Progress, files_progress, progress, steps_progress
from .standard_streams import PIPE, message, readable

WARNINGS, REPORTS, DETAILS = -1, 0, 1
"""Verbosity from which on lines of a kind appear; errors always appear."""
DEBUG = "NEUCODEC_DEBUG"
"""Environment variable which, set to 1, has failures come with their traceback."""
_SEND_SECONDS = 0.2
"""Seconds between two messages of a `Relay` about its progress."""


class Console:
    """Writes the lines of one run that its verbosity lets through: how many -v less how many -q."""

    def __init__(self, verbosity: int = REPORTS) -> None:
        self.verbosity = verbosity
        self.place = ""
        """The number of the current file, shown before its name by the progress bar: ``3/12 ``."""
        self._beside_bar = False
        self._all_files = FilesProgress()

    @contextmanager
    def progress(self, name: str, seconds: float | None) -> Iterator[Progress]:
        """Show a bar while `seconds` of audio are worked on, if standard error is a terminal."""
        label = self.place + shown(name)
        with progress(label, seconds, show=self._people_look_on) as advance:

            def both(more: float) -> None:
                advance(more)
                self._all_files.audio(more)

            yield both

    def steps(self, label: str, done: int, count: int) -> AbstractContextManager[Progress]:
        """Show a bar for `count` steps, of which `done` were made before."""
        return steps_progress(label, done, count, show=self._people_look_on)

    @contextmanager
    def files(self, count: int) -> Iterator[FilesProgress]:
        """Show one bar for `count` files, above those of the files that are worked on."""
        with files_progress(count, show=self._people_look_on) as bar:
            self._beside_bar, self._all_files = self._people_look_on, bar
            try:
                yield bar
            finally:
                self._beside_bar, self._all_files = False, FilesProgress()

    @property
    def _people_look_on(self) -> bool:
        return self.verbosity >= REPORTS and sys.stderr.isatty()

    def detail(self, text: str) -> None:
        """Write a line that appears with ``-v``."""
        self._say(DETAILS, text)

    def report(self, text: str) -> None:
        """Write the line on the outcome of a file."""
        self._say(REPORTS, text)

    def warn(self, name: str, text: str) -> None:
        """Write a warning about a file that was done nevertheless."""
        self._say(WARNINGS, f"neucodec: {shown(name)}: warning: {text}")

    def fail(self, name: str | None, error: BaseException | str) -> None:
        """Write why a file failed; without a name, why the run failed."""
        if isinstance(error, BaseException) and os.environ.get(DEBUG, "0") not in ("", "0"):
            for line in "".join(traceback.format_exception(error)).splitlines():
                self.say(line)
        text = error if isinstance(error, str) else explain(error, name)
        self.say(f"neucodec: {shown(name)}: {text}" if name else f"neucodec: {text}")

    def say(self, text: str) -> None:
        """Write a line at any verbosity.

        Control characters that a file, a server or a library has put into it are escaped here, for
        every message passes through this method.
        """
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
    """The console of another process or machine, which sends its messages to the one that began it.

    ``send`` is called with lines as text, and with the seconds of audio done since the call before.
    """

    def __init__(self, verbosity: int, send: Callable[[str | float], object]) -> None:
        super().__init__(verbosity)
        self._send = send

    @contextmanager
    def progress(self, name: str, seconds: float | None) -> Iterator[Progress]:
        """Send the seconds that are done a few times a second."""
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
        """Send a line, at any verbosity."""
        self._send(text)


def shown(name: str) -> str:
    """Return a file name or other text from outside as one line without control characters."""
    if name == PIPE:
        return "standard input"
    return printable(name)


def printable(text: str) -> str:
    r"""Return a text with its control characters escaped.

    They could move the cursor or colour the terminal.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in readable(text)
    )


def printable_lines(text: str) -> str:
    """Return a text with its control characters escaped except the ends of its lines."""
    return "\n".join(map(printable, text.split("\n")))


def counted(number: int, noun: str) -> str:
    """Return a number with a noun that fits it: ``1 channel``, ``2 channels``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def explain(error: BaseException, name: str | None = None) -> str:
    """Return one line on what went wrong, without the name of the file that it is about.

    An error that is not expected is said to be a fault of neucodec.
    """
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
    """Return whether a failure lies in the files, the options or the machine, not in this code."""
    kinds: tuple[type[BaseException], ...]
    kinds = (NeucodecError, OSError, MemoryError)
    soundfile = sys.modules.get("soundfile")
    if soundfile is not None:
        kinds = (*kinds, soundfile.SoundFileError)
    return isinstance(error, kinds) or _is_torch_out_of_memory(error)


def _is_torch_out_of_memory(error: BaseException) -> bool:
    """Return whether torch has run out of memory.

    Its CPU allocator raises a plain RuntimeError, those of devices a subclass.
    """
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "out of memory" in text
    )
