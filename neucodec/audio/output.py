"""Audio to files and pipes: WAV, FLAC and headerless PCM.

Samples are rounded to integers in one place (`pcm.quantise`), so that every format and every
way out holds the same values. A full scale of 1.0 becomes the largest integer there is;
samples beyond full scale are counted and handled as `clip` says.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from neucodec.errors import NeucodecError
from neucodec.files.byte_streams import is_seekable, open_spool, read_up_to, write_all
from neucodec.files.outfile import output_file
from neucodec.files.pipes import standard_output

from . import flac_writer, pcm, wav_writer

Audio = NDArray[np.float32]

_RAW_FORMS = wav_writer.SUBTYPES | {
    name: form for name, form in pcm.SAMPLE_FORMATS.items() if form.kind not in ("alaw", "mulaw")
}
SUBTYPES: dict[str, tuple[str, ...]] = {
    "wav": tuple(wav_writer.SUBTYPES),
    "flac": tuple(flac_writer.BITS),
    "raw": tuple(_RAW_FORMS),
}
"""What each format can hold, by libsndfile's names; raw also by names such as s16be."""

CLIPS = ("clamp", "rescale", "none")
"""What may become of samples beyond full scale."""

_SPOOL_FRAMES = 65536


class _Writer(Protocol):
    def write(self, block: Audio) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


MakeWriter = Callable[[int | None], _Writer]  # given the samples per channel, where known


class AudioSink:
    """Where decoded audio goes; a context manager that completes or, on an exception, abandons.

    Made by `open_sink`. A target given by name appears under it once complete; after an
    exception nothing is left of it.
    """

    def __init__(
        self, name: str, channels: int, clip: str, largest: float, make_writer: MakeWriter
    ) -> None:
        self.name = name
        self.channels = channels
        self.frames = 0
        """Samples per channel so far."""
        self.clipped = 0
        """Samples beyond full scale so far."""
        self.peak = 0.0
        """The largest absolute value so far, as it came in."""
        self.closing = ExitStack()
        self._clip = clip
        self._largest = largest
        self._make_writer = make_writer
        self._writer: _Writer | None = None
        self._spool: BinaryIO | None = None
        self._done = False
        with _named_errors(name):
            if clip == "rescale":
                self._spool = open_spool()
                self.closing.callback(self._spool.close)
            else:
                self._writer = make_writer(None)

    def write(self, block: Audio) -> None:
        """Append float32 [n, channels], full scale 1.0; what is not finite becomes 0.

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
        self.frames += len(block)
        if peak > 1:
            self.clipped += int(np.count_nonzero(levels > 1))
            if self._clip == "clamp":
                block = np.clip(block, -1, 1)
        with _named_errors(self.name):
            if self._spool:
                write_all(self._spool, block.astype(np.float32).tobytes())
            elif self._writer:
                self._writer.write(block)

    def close(self) -> None:
        """Complete the target; NeucodecError where that fails, and then nothing is left."""
        if self._done:
            return
        self._done = True
        try:
            with _named_errors(self.name):
                if self._spool:
                    self._write_rescaled(self._spool)
                if self._writer:
                    self._writer.close()
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
        """All that was held back, brought below full scale where it passed it."""
        gain = np.float32(self._largest / self.peak if self.peak > 1 else 1.0)
        self._writer = self._make_writer(self.frames)
        spool.seek(0)
        while data := read_up_to(spool, _SPOOL_FRAMES * self.channels * 4):
            block = np.frombuffer(data, np.float32).reshape(-1, self.channels)
            self._writer.write(block * gain)

    def _abandon(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer:
            self._writer.abort()
        self.closing.__exit__(kind, error, trace)


def open_sink(
    target: str | os.PathLike[str] | BinaryIO,
    samplerate: int,
    channels: int,
    *,
    format: str = "wav",
    subtype: str = "PCM_16",
    frames: int | None = None,
    tags: Mapping[str, str] | None = None,
    channel_mask: int | None = None,
    clip: str | None = None,
    force: bool = False,
    modified: int | None = None,
    sources: Sequence[str | os.PathLike[str]] = (),
) -> AudioSink:
    """Open a file by name, an open binary file, or "-", standard output, for writing.

    `frames` is how many samples per channel will come, where known: a pipe's header says so.
    `clip` is what becomes of samples beyond full scale: "clamp" cuts them off, "rescale" makes
    all of the audio softer (and holds it in a temporary file meanwhile), "none" leaves them,
    which only FLOAT can. The default is "none" for floating-point subtypes and "clamp" for
    others. `force` replaces an existing file. `tags` are written where the format has a place
    for them; so is `channel_mask`, the speakers of the channels if they are not the usual ones.
    `modified` and `sources` are as for `output_file`. Raises NeucodecError for what cannot be
    written, with what can.
    """
    forms = {"wav": wav_writer.SUBTYPES, "raw": _RAW_FORMS}
    if format not in SUBTYPES:
        raise NeucodecError(f"cannot write {format!r}: choose from {', '.join(SUBTYPES)}")
    if subtype not in SUBTYPES[format]:
        choices = ", ".join(SUBTYPES[format])
        raise NeucodecError(f"{format} cannot hold {subtype}: choose from {choices}")
    form = wav_writer.SUBTYPES[subtype] if format == "flac" else forms[format][subtype]
    is_float = form.kind == "float"
    if clip is None:
        clip = "none" if is_float else "clamp"
    elif clip not in CLIPS:
        raise NeucodecError(f"cannot handle clipping by {clip!r}: choose from {', '.join(CLIPS)}")
    elif clip == "none" and not is_float:
        raise NeucodecError(
            f"{subtype} cannot hold samples beyond full scale: clamp or rescale them, or use FLOAT"
        )

    with ExitStack() as opening:
        file, name = _open_target(target, force, modified, sources, opening)

        def make_writer(exact: int | None) -> _Writer:
            if format == "flac":
                return flac_writer.FlacWriter(file, samplerate, channels, subtype, tags or {})
            if format == "raw":
                return pcm.PcmWriter(file, form)
            known = frames if exact is None else exact
            return wav_writer.WavWriter(
                file, samplerate, channels, form, known, tags or {}, channel_mask
            )

        largest = 1.0 if is_float else 1.0 - 2.0 ** (1 - form.bits)
        sink = AudioSink(name, channels, clip, largest, make_writer)
        sink.closing.push(opening.pop_all())
    return sink


def _open_target(
    target: str | os.PathLike[str] | BinaryIO,
    force: bool,
    modified: int | None,
    sources: Sequence[str | os.PathLike[str]],
    opening: ExitStack,
) -> tuple[BinaryIO, str]:
    if target == "-":
        # Where it is a file, a WAV's header is mended in it.
        out = cast(BinaryIO, sys.stdout.buffer)
        return out if is_seekable(out) else standard_output(), "standard output"
    if isinstance(target, (str, os.PathLike)):
        made = output_file(target, force, modified=modified, sources=sources)
        return opening.enter_context(made), str(Path(target))
    return target, "output"


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    """Failures to write as NeucodecError, except a reader that has had enough."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise NeucodecError(f"{name}: cannot be written: {error.strerror or error}") from error
