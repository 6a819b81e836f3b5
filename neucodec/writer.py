"""Write an .ncf block by block, as python-soundfile writes a sound file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from os import PathLike
from queue import Empty, Full, Queue
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from neucodec.audio.samples import Audio
from neucodec.closing import ClosesItself
from neucodec.coding.default_model import AUTO
from neucodec.files.outfile import output_file

from .arguments import (
    file_to_write,
    is_path,
    named_errors,
    path_of,
    samples_of,
    tags_of,
    whole_number,
)
from .encode_choices import EncodeChoices, Progress, counting, options_of, sample_rate_of
from .errors import GivenValueError
from .loading import ModelGiven, codec_for_bitrate

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from neucodec.coding.encoder import EncodeReport

_MAX_WAITING = 4
"""The number of blocks that may wait to be encoded; writing more waits."""
_LONGEST_WAIT = 0.1
"""Seconds after which waiting looks again whether the other side is still there."""


class _AbandonedError(Exception):
    """Ends the encoding of a file that is not to be."""


class _Written:
    """What is written, as a source that gives it once; its end is not known beforehand."""

    def __init__(self, sample_rate: int, channels: int, tags: Mapping[str, str]) -> None:
        self.sample_rate, self.channels, self.tags = sample_rate, channels, tags
        self.samples: int | None = None
        self.channel_mask: int | None = None
        self.queue: Queue[Audio | None] = Queue(_MAX_WAITING)
        self.abandoned = False

    def blocks(self, blocksize: int = 65536) -> Iterator[Audio]:
        """Give what is written, as it comes, in float32 blocks [n, channels]."""
        while True:
            try:
                block = self.queue.get(timeout=_LONGEST_WAIT)
            except Empty:
                block = np.zeros((0, self.channels), np.float32)
            if self.abandoned:
                raise _AbandonedError
            if block is None:
                return
            for start in range(0, len(block), blocksize):
                yield block[start : start + blocksize]


class NcfWriter(ClosesItself):
    """Encodes what is written to it; the file is whole once it is closed.

    A file that is given by name appears under it when it is closed, and replaces what was there;
    where the ``with`` block ends by an exception it does not appear. The bytes are those of
    `neucodec.encode`, however long the blocks are. Not safe to share between threads.
    """

    mode = "w"

    def __init__(
        self,
        file: str | PathLike[Any] | BinaryIO,
        samplerate: int,
        channels: int,
        *,
        model: ModelGiven = AUTO,
        tags: Mapping[str, object] | None = None,
        progress: Progress | None = None,
        **choices: Unpack[EncodeChoices],
    ) -> None:
        """Open a file by name, or one that is open to write, for audio at ``samplerate`` Hz.

        The choices are those of `neucodec.encode`. Raises NeucodecError.
        """
        self.samplerate = sample_rate_of(samplerate)
        self.channels = whole_number("channels", channels, 1, 255)
        self.name = path_of(file) if is_path(file) else str(getattr(file, "name", ""))  # type: ignore[arg-type]
        self.frames = 0
        """Samples per channel that have been written."""
        self.report: EncodeReport | None = None
        """What has come of it, once it is closed."""
        self.closed = False
        self._source = _Written(self.samplerate, self.channels, tags_of(tags))
        options = options_of(choices, "NcfWriter")
        self._codec = codec_for_bitrate(model, options.bitrate, self.channels)
        self._options, self._progress = options, counting(progress, None)
        self._error: BaseException | None = None
        self._open = ExitStack()
        if is_path(file):
            target = self._open.enter_context(output_file(path_of(file), overwrite=True))  # type: ignore[arg-type]
        else:
            target = file_to_write(file)
        self._thread = Thread(target=self._encode, args=(target,), daemon=True)
        self._thread.start()

    def write(self, data: npt.ArrayLike) -> None:
        """Append samples [n] or [n, channels], floats with full scale 1 or int16.

        Raises NeucodecError for what is no audio of that many channels, and for what has gone wrong
        with blocks before.
        """
        if self.closed:
            raise GivenValueError(f"{self.name or 'the file'} is closed")
        audio = samples_of(data)
        if audio.shape[1] != self.channels:
            raise GivenValueError(
                f"an array of shape {np.shape(audio)} for a file of {self.channels} channels: give "
                "[samples, channels]"
            )
        self._put(np.array(audio, dtype=np.float32))
        self.frames += len(audio)

    def tell(self) -> int:
        """Return the number of samples per channel that have been written."""
        return self.frames

    def close(self) -> None:
        """Encode what is left, and complete the file. Raises NeucodecError where that fails."""
        if self.closed:
            return
        try:
            self._put(None)
            self._thread.join()
            self._check()
        except BaseException as error:
            self._end(type(error), error, error.__traceback__)
            raise
        self._end(None, None, None)

    def __exit__(self, *error: Any) -> None:
        kind, value, trace = error
        if kind is None or self.closed:
            self.close()
            return
        self._end(kind, value, trace)

    def _encode(self, target: BinaryIO) -> None:
        from neucodec.coding.encoder import encode

        try:
            source, progress = self._source, self._progress
            with named_errors(self.name or "the file"):
                self.report = encode(source, target, self._codec, self._options, progress)
        except BaseException as error:  # told to whoever writes or closes
            self._error = error

    def _put(self, block: Audio | None) -> None:
        while True:
            self._check()
            try:
                self._source.queue.put(block, timeout=_LONGEST_WAIT)
            except Full:
                continue
            return

    def _check(self) -> None:
        if self._error is not None and not isinstance(self._error, _AbandonedError):
            raise self._error

    def _end(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the file; it does not appear where there was an error."""
        self.closed = True
        self._source.abandoned = True
        self._thread.join()
        self._open.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        facts = f"{self.samplerate} Hz, {self.channels} ch, {self.frames} samples"
        return f"<{type(self).__name__} {self.name!r}: {facts}, {self._codec.card.name}>"
