"""Reports of many jobs: a line of JSON for every file."""

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
    """Appends lines to a file, each as soon as its job has ended."""

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file
        self.error: OSError | None = None
        """Why lines are missing; None if none are. Jobs do not fail because lines are missing."""

    def write(self, source: str, target: str | None, result: Result) -> None:
        """Write the line of one job; ``target`` is None where it has none.

        File names are written as Python has them, so that ``os.fsencode`` gives their bytes.
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
"""A report that writes nothing."""


@contextmanager
def open_report(path: str | None) -> Iterator[ReportWriter]:
    """Open a report that is appended to a file, which need not exist yet.

    ``-`` is standard output, and with None nothing is written. Raises NeucodecError where the file
    cannot be opened, or on the way out if lines could not be written.
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
    """End the file's last line, which a run that was killed may have left unfinished."""
    if file.seekable() and file.seek(0, os.SEEK_END):
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
