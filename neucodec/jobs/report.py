"""A line of JSON for every file of a batch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from neucodec.errors import NeucodecError
from neucodec.files.pipes import as_output, is_special, open_to_write

from .result import Result


class ReportWriter:
    """Appends to a file, each line as soon as its job has ended."""

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file
        self.error: OSError | None = None
        """Why lines are missing, if some are; the jobs do not fail for want of them."""

    def write(self, source: str, target: str | None, result: Result) -> None:
        """Add the line of one job.

        Names are as Python's file names are, so that ``os.fsencode`` gives their bytes.
        """
        if self._file is None or self.error is not None:
            return
        fields = {
            "input": source,
            "output": target,
            "outcome": result.outcome.value,
            "input_bytes": result.input_bytes,
            "output_bytes": result.output_bytes,
            "audio_seconds": _rounded(result.audio_seconds),
            "kbps": _rounded(result.kbps),
            "seconds": _rounded(result.seconds),
            "error": result.error,
        }
        try:
            self._file.write(json.dumps(fields).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            self.error = error


NO_REPORT = ReportWriter(None)


@contextmanager
def open_report(path: str | None) -> Iterator[ReportWriter]:
    """A report that goes on at the end of the file of that name, if there is one; ``-`` is
    standard output.

    Raises NeucodecError where it cannot be opened, or in the end if some of it was not written.
    """
    if path is None:
        yield NO_REPORT
        return
    path = as_output(path)
    with ExitStack() as opening:
        try:
            if is_special(path):
                file = opening.enter_context(open_to_write(path))
            else:
                file = opening.enter_context(Path(path).open("a+b", buffering=0))
                _end_torn_line(file)
        except OSError as error:
            raise _cannot_write(path, error) from None
        writer = ReportWriter(file)
        yield writer
    if writer.error is not None:
        raise _cannot_write(path, writer.error)


def _cannot_write(path: str, error: OSError) -> NeucodecError:
    return NeucodecError(f"--report {path}: {error.strerror or error}")


def _end_torn_line(file: BinaryIO) -> None:
    """After a run that was killed in the middle of a line."""
    if file.seekable() and file.seek(0, os.SEEK_END):
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
