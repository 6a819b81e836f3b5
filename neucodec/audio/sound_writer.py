"""Writes files by libsndfile, whether the target can seek or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import BinaryIO, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from neucodec.errors import NeucodecError
from neucodec.files.byte_streams import copy_rest, is_patchable, open_spool, write_all

from .libsndfile import TAGS, GuardedFile, SequentialFile
from .tag_writer import write_tags


class SoundForm(NamedTuple):
    """What libsndfile is told to write."""

    title: str
    """The name of the format for messages."""
    container: str
    """Its name in `output_format.SUBTYPES`."""
    format: str
    """Major format and subtype, by libsndfile's names."""
    subtype: str
    sample_rate: int
    channels: int


class SoundWriter:
    """Writes float32 or integer samples to one file by libsndfile.

    A pipe gets the file once it is complete: its first bytes are known last. Tags that libsndfile
    has no name for are left out.
    """

    def __init__(self, file: BinaryIO, form: SoundForm, tags: Mapping[str, str]) -> None:
        """Begin a file. Raises NeucodecError where libsndfile cannot write it."""
        self._file, self._form = file, form
        self._spool: BinaryIO | None = None
        if not is_patchable(file) or file.tell():  # libsndfile counts from a file's first byte
            self._spool = open_spool()
        try:
            self._sound = SequentialFile(
                GuardedFile(self._spool or file), "w", form.sample_rate, form.channels,
                form.subtype, format=form.format,
            )  # fmt: skip
        except soundfile.SoundFileError as error:
            raise NeucodecError(f"{form.title} cannot be written: {error}") from error
        for tag, name in TAGS.items():
            if tags.get(tag):
                setattr(self._sound, name, tags[tag].encode("utf-8", "replace").decode())
        self._tags = tags
        self._is_empty = True

    def put(self, block: NDArray[np.int32] | NDArray[np.float32]) -> None:
        """Append samples [n, channels], as libsndfile takes them."""
        self._run(lambda: self._sound.write(block))
        self._is_empty = False

    def close(self) -> None:
        """Complete the file; it stays open."""
        self._run(self._sound.close)
        if self._is_empty:  # libsndfile writes nothing that could be read then
            target = self._spool or self._file
            target.seek(0)
            target.truncate()
            write_all(target, self.empty_file())
        elif self._tags:
            write_tags(self._spool or self._file, self._form.container, self._tags)
        if self._spool:
            self._spool.seek(0)
            copy_rest(self._spool, self._file)
            self._spool.close()
        self._file.flush()

    def abort(self) -> None:
        """Close what is open for the file, and leave the file incomplete."""
        with suppress(Exception):
            self._sound.close()
        if self._spool:
            self._spool.close()

    def empty_file(self) -> bytes:
        """Return a file without audio. Raises NeucodecError where the format has none."""
        raise NeucodecError(f"no audio to write, which {self._form.title} needs; WAV does not")

    def _run(self, action: Callable[[], None]) -> None:
        """Do `action`. Raises the error of the file itself, not libsndfile's report of it."""
        try:
            action()
        except (soundfile.SoundFileError, AssertionError) as error:
            self._sound.check()
            raise NeucodecError(f"{self._form.title} cannot be written: {error}") from error
        self._sound.check()
