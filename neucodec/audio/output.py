"""Audio to files and pipes: WAV, FLAC, Opus, Vorbis, MP3 and headerless PCM.

Samples are rounded to integers in one place (`pcm.quantise`), so that every container and every
way out holds the same values. A full scale of 1.0 becomes the largest integer there is; samples
beyond full scale are counted and handled as `OutputFormat.clip` says.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, cast

import numpy as np

from neucodec.errors import NeucodecError
from neucodec.files.byte_streams import is_patchable, is_seekable, open_spool, read_up_to, write_all
from neucodec.files.outfile import output_file
from neucodec.files.pipes import standard_output

from .flac_writer import FlacWriter
from .lossy_writer import LOSSY, LossyWriter
from .output_format import OutputFormat
from .pcm import PcmWriter
from .samples import Audio
from .tag_writer import write_tags
from .wav_writer import WavWriter

_SPOOL_SAMPLES = 65536
"""Samples per channel that are read back from a temporary file at once."""


class _Writer(Protocol):
    """Writes the samples of one container to an open file."""

    def write(self, block: Audio) -> None:
        """Append float32 [n, channels]."""
        ...

    def close(self) -> None:
        """Complete the file; it stays open."""
        ...

    def abort(self) -> None:
        """Give back what is held, and leave the file incomplete."""
        ...


MakeWriter = Callable[[int | None], _Writer]
"""Makes the writer, given the samples per channel that will come; None where they are unknown."""


class AudioSink:
    """A place for decoded audio; a context manager that completes it or, on an exception, abandons.

    Made by `open_sink`. A target given by name appears under it once it is complete; after an
    exception nothing of it is left.
    """

    def __init__(
        self,
        name: str,
        form: OutputFormat,
        make_writer: MakeWriter,
        whole_file: BinaryIO | None = None,
    ) -> None:
        """Open for writing to what messages call `name`.

        `whole_file` is the file, if it has nothing else in it and can be changed afterwards.
        """
        self.name = name
        self.channels = form.channels
        self.samples = 0
        """Samples per channel that have been written."""
        self.clipped = 0
        """Samples of all channels that were beyond full scale."""
        self.peak = 0.0
        """The largest absolute value that was written, before it was clipped or rescaled."""
        self.closing = ExitStack()
        """What is closed with this: the open file among it."""
        self._form = form
        self._make_writer = make_writer
        self._writer: _Writer | None = None
        self._spool: BinaryIO | None = None
        self._whole_file = whole_file
        self._done = False
        with _named_errors(name):
            if form.clipping == "rescale":
                self._spool = open_spool()
                self.closing.callback(self._spool.close)
            else:
                self._writer = make_writer(None)

    def write(self, block: Audio) -> None:
        """Append float32 [n, channels] of full scale 1.0; NaN and infinity become 0.

        Raises NeucodecError where the target takes no more, and BrokenPipeError where its
        reader has gone.
        """
        if block.ndim != 2 or block.shape[1] != self.channels:
            raise ValueError(f"a block of shape {block.shape} for {self.channels} channels")
        if not len(block):
            return
        levels = np.abs(block)
        peak = float(levels.max())
        if not np.isfinite(peak):
            block = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
            levels = np.abs(block)
            peak = float(levels.max())
        self.peak = max(self.peak, peak)
        self.samples += len(block)
        if peak > 1:
            self.clipped += int(np.count_nonzero(levels > 1))
            if self._form.clipping == "clamp":
                block = np.clip(block, -1, 1)
        with _named_errors(self.name):
            if self._spool:
                write_all(self._spool, block.astype(np.float32).tobytes())
            elif self._writer:
                self._writer.write(block)

    def close(self) -> None:
        """Complete the target.

        Raises NeucodecError where that fails; then nothing of the target is left.
        """
        if self._done:
            return
        self._done = True
        try:
            with _named_errors(self.name):
                if self._spool:
                    self._write_rescaled(self._spool)
                if self._writer:
                    self._writer.close()
                if self._form.container == "wav" and self._whole_file:
                    write_tags(self._whole_file, "wav", self._form.tags)
        except BaseException:
            self._abandon(*sys.exc_info())
            raise
        with _named_errors(self.name):
            self.closing.close()

    def __enter__(self) -> AudioSink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        elif not self._done:
            self._done = True
            self._abandon(kind, error, trace)

    def _write_rescaled(self, spool: BinaryIO) -> None:
        """Write all that was held back, made softer where its peak is beyond full scale."""
        gain = np.float32(self._form.max_level / self.peak if self.peak > 1 else 1.0)
        self._writer = self._make_writer(self.samples)
        spool.seek(0)
        while data := read_up_to(spool, _SPOOL_SAMPLES * self.channels * 4):
            block = np.frombuffer(data, np.float32).reshape(-1, self.channels)
            self._writer.write(block * gain)

    def _abandon(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything, and remove the target if it was given by name."""
        if self._writer:
            self._writer.abort()
        self.closing.__exit__(kind, error, trace)


def open_sink(
    target: str | os.PathLike[str] | BinaryIO,
    form: OutputFormat,
    *,
    overwrite: bool = False,
    modified: int | None = None,
    sources: Sequence[str | os.PathLike[str]] = (),
) -> AudioSink:
    """Open a file by name, an open binary file, or "-" (standard output) for writing audio.

    `overwrite` replaces a file that exists. `modified` is the modification time of the new file,
    and `sources` are the names of the files that it is made from; see `output_file`. Raises
    NeucodecError where the target cannot be written, or its container cannot hold the audio.
    """
    with ExitStack() as opening:
        file, name = _open_target(target, overwrite, modified, sources, opening)

        def make_writer(samples: int | None) -> _Writer:
            if form.container == "flac":
                return FlacWriter(file, form.sample_rate, form.channels, form.subtype, form.tags)
            if form.container in LOSSY:
                return LossyWriter(file, form.container, form.sample_rate, form.channels, form.tags)
            if form.container == "raw":
                return PcmWriter(file, form.sample_format)
            known = form.samples if samples is None else samples
            return WavWriter(
                file, form.sample_rate, form.channels, form.sample_format, known, form.tags,
                form.channel_mask,
            )  # fmt: skip

        alone = is_patchable(file) and not file.tell()
        sink = AudioSink(name, form, make_writer, file if alone else None)
        sink.closing.push(opening.pop_all())
    return sink


def _open_target(
    target: str | os.PathLike[str] | BinaryIO,
    overwrite: bool,
    modified: int | None,
    sources: Sequence[str | os.PathLike[str]],
    opening: ExitStack,
) -> tuple[BinaryIO, str]:
    """Return the open file, which `opening` closes if it was opened here, and its name."""
    if target == "-":
        # Where it is a file, a WAV's header is mended in it.
        out = cast(BinaryIO, sys.stdout.buffer)
        return out if is_seekable(out) else standard_output(), "standard output"
    if isinstance(target, (str, os.PathLike)):
        made = output_file(target, overwrite, modified=modified, sources=sources)
        return opening.enter_context(made), str(Path(target))
    return target, "output"


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    """Turn a failure to write into a NeucodecError that names the target.

    BrokenPipeError passes through: a reader that has had enough is no failure.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise NeucodecError(f"{name}: cannot be written: {error.strerror or error}") from error
