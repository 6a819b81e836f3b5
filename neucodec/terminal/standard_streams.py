"""Writes to standard streams, which may be closed, full, or in an encoding that lacks characters.

Text for standard output goes through `tell`, messages through `message`. A message that cannot be
written is lost, and the run goes on; output that cannot be written fails the run.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress

import click

from .signals import interruptible

PIPE = "-"
"""The name of standard input as an input, and of standard output as an output."""


def prepare() -> None:
    """Set up the standard streams so that no failure of theirs ends the run unexpectedly.

    A descriptor that the parent process has closed would be given to the next file that is opened,
    and messages of libraries would go into that file. So /dev/null is opened there: messages go
    nowhere, while writing to standard output fails as if it were closed. Characters that an
    encoding lacks are written as escapes.
    """
    if os.name == "posix":
        _occupy()
    if sys.stdout is None and os.name == "posix":
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _occupy() -> None:
    """Open /dev/null for each of the three descriptors that is closed.

    Standard input can then only be written and standard output only be read, so their use fails.
    """
    for number, flags in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # A new descriptor gets the lowest number that is free, which is this one.
            os.set_inheritable(os.open(os.devnull, flags), True)


def tell(text: str | bytes, *, newline: bool = True) -> None:
    """Write text to standard output, at once.

    Raises ClickException, which ends the run, where it cannot be written, and BrokenPipeError where
    its reader has gone.
    """
    try:
        with interruptible():
            click.echo(text, nl=newline)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise click.ClickException(_cannot_write(error)) from None


def message(text: str) -> None:
    """Write a line to standard error; one that cannot be written is lost."""
    with suppress(OSError, ValueError), interruptible():
        click.echo(readable(text), err=True)


def readable(text: str) -> str:
    r"""Return a text with bytes of file names that are no characters written as ``\xff``.

    Python has such bytes as lone surrogates, which no encoding can hold.
    """
    try:
        return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    except UnicodeEncodeError:  # halves of characters, which no file system has
        return text.encode(errors="backslashreplace").decode()


def settle() -> str | None:
    """Flush both streams; return why standard output cannot be written, None if it can.

    Raises BrokenPipeError where the reader of standard output has gone.
    """
    reason = None
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        reason = _cannot_write(error)
        forget(sys.stdout)
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        forget(sys.stderr)
    return reason


def forget(stream: object) -> None:
    """Let text that the stream still holds go nowhere when the interpreter flushes it at exit."""
    with suppress(OSError, ValueError, AttributeError):
        number = stream.fileno()  # type: ignore[attr-defined]
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


def _cannot_write(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return f"standard output cannot be written: {reason}"
