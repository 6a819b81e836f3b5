"""Encode one file after the other, as ``neucodec encode`` does."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from neucodec.coding.default_model import DEFAULT_MODEL, choose_model, reason
from neucodec.coding.options import EncodeOptions
from neucodec.errors import NeucodecError
from neucodec.files.paths import is_special, open_to_read
from neucodec.files.paths import size as size_of
from neucodec.files.urls import is_remote
from neucodec.jobs.job import Job
from neucodec.jobs.result import DONE, SKIPPED, Result
from neucodec.models import ModelError
from neucodec.terminal.console import Console, counted, shown
from neucodec.terminal.timecode import format_time

from .batch_run import Outputs, is_there, open_output, target_name, watch
from .codec_loader import Codecs
from .earlier_options import TagChanges, other_changes, other_options

if TYPE_CHECKING:
    from neucodec.audio.input import AudioSource, RawFormat
    from neucodec.coding.encoder import EncodeReport
    from neucodec.models import Card, Codec


@dataclass(kw_only=True)
class Encoding:
    """Encodes one file after the other, with a codec that is loaded once it is needed."""

    model: Card | None
    """The model; None to choose one by the bitrate, file by file."""
    codecs: Codecs
    options: EncodeOptions
    outputs: Outputs
    raw_format: RawFormat | None
    """The layout of headerless input."""
    tag_changes: TagChanges
    normalize_loudness: bool
    strict: bool
    """Whether inputs that are cut off or contradict themselves are failures."""
    verify: bool = False
    """Whether what was written is read back, and its codes compared."""
    delete_input: bool = False
    """Whether inputs are removed once they are encoded and verified."""

    def __call__(self, job: Job, console: Console) -> Result:
        """Encode the job's source into its target, unless that is there; see `jobs.runner.Work`."""
        if is_there(job, self.outputs, lambda: self._is_done(job), console):
            return SKIPPED
        if self.raw_format is None and Path(job.source).suffix.lower() == ".ncf":
            raise NeucodecError("this is an .ncf already; neucodec decode makes audio of it")
        from neucodec.audio.input import open_audio

        if self.delete_input and (is_remote(job.source) or is_special(job.source)):
            raise NeucodecError("--delete-input removes files; this is none on this machine")
        if self.verify and (is_remote(job.target) or is_special(job.target)):
            raise NeucodecError("--verify reads back what was written; give -o FILE")
        unchanged = watch(job.source)
        with open_audio(job.source, raw=self.raw_format) as audio:
            channels = 1 if self.options.mono else audio.channels
            card = self.model or self._choose(job, channels, console)
            self._check_bitrate(card, channels)  # before anything is fetched
            codec = self._codec(card, console)
            from neucodec.coding.encoder import encode

            options = replace(
                self.options, tags=self.tag_changes.of(audio.tags), gain_db=self._gain(job)
            )
            seconds = None if audio.samples is None else audio.samples / audio.sample_rate
            console.detail(_opened(job, audio, seconds))
            with (
                open_output(job, self.outputs) as target,
                console.progress(job.source, seconds) as progress,
            ):
                began = time.perf_counter()
                report = encode(
                    audio, target, codec, options, progress, self.codecs.entropy_models(console)
                )
                took = time.perf_counter() - began
                if self.verify:
                    self._read_back(target, report, console)
                unchanged()
                doubts = _doubts(audio)
                if doubts and self.strict:
                    raise NeucodecError(f"{doubts[0]}; encode without --strict to take it so")
            tag_doubts = [] if self.tag_changes.no_tags else audio.tag_doubts
            for doubt in (*doubts, *tag_doubts):
                console.warn(job.source, doubt)
            others = audio.others
        console.report(f"{shown(job.source)}: {_outcome(report, self.options.bitrate, took)}")
        if self.delete_input:
            self._delete(job, doubts, others, console)
        return replace(
            DONE,
            input_bytes=size_of(job.source),
            output_bytes=report.file_bytes,
            audio_seconds=report.seconds,
            kbps=report.kbps,
        )

    def _read_back(self, target: BinaryIO, report: EncodeReport, console: Console) -> None:
        """Read what was written, and leave the end of it as the place to go on.

        Raises NeucodecError where it does not give the codes that were encoded.
        """
        from neucodec.coding.fingerprint import codes_digest_of
        from neucodec.formats import NcfError, NcfReader

        target.flush()
        target.seek(0)
        try:
            reader = NcfReader(target)
            model = self.codecs.entropy_models(console).of(reader.header)
            found = codes_digest_of(reader, model)
        except NcfError:
            found = None
        if found != report.codes_digest:
            raise NeucodecError(
                "what was written does not give back the codes, so it is not kept; try again, and "
                "have memory and disk checked if that happens again"
            )
        target.seek(0, os.SEEK_END)

    def _delete(self, job: Job, doubts: list[str], others: str, console: Console) -> None:
        """Remove an input that was encoded and verified, unless something of it was left out."""
        if reason := others or "; ".join(doubts):
            console.warn(job.source, f"kept in spite of --delete-input: {reason}")
            return
        Path(job.source).unlink()
        console.detail(f"{shown(job.source)}: removed")

    def _is_done(self, job: Job) -> bool | str:
        """Tell whether the target is whole, and of all of the source as that is now; or why it is
        to be made again.

        A source that is cut off is never done: the rest of it may come, or a warning is due.
        Sources at URLs are not looked at for that, nor what an attempt of this run has made.
        """
        from neucodec.audio.input import open_audio
        from neucodec.coding.integrity import samples_of_whole_ncf
        from neucodec.formats import NcfReader

        frames = samples_of_whole_ncf(job.target)
        if frames is None:
            return False
        if not self.outputs.skip_existing or is_remote(job.source) or is_special(job.source):
            return True
        with open_audio(job.source, raw=self.raw_format) as audio:
            if audio.cut_off or audio.samples not in (None, frames):
                return "is not of all of its source"
            channels = 1 if self.options.mono else audio.channels
        with open_to_read(job.target) as file:
            header = NcfReader(file).header
        card = self.model or choose_model(self.options.bitrate, channels)
        loudness, tags = self.normalize_loudness, self.tag_changes
        return other_options(header, card, channels, self.options) or (
            other_changes(header, loudness=loudness, tags=tags) or True
        )

    def _choose(self, job: Job, channels: int, console: Console) -> Card:
        card = choose_model(self.options.bitrate, channels)
        if card.name != DEFAULT_MODEL:
            console.report(f"{shown(job.source)}: {card.name}, since {reason(channels)}")
        return card

    def _check_bitrate(self, card: Card, channels: int) -> None:
        """Raise NeucodecError where the model cannot have the bitrate that is asked for."""
        from neucodec.coding.rate_target import RateTarget

        RateTarget.of(card, channels, self.options, is_squeezed=self.options.entropy != "none")

    def _codec(self, card: Card, console: Console) -> Codec:
        from neucodec.models import start_torch

        start_torch()
        try:
            if self.options.entropy == "lm":  # before the weights: perhaps it cannot be had
                self.codecs.entropy_models(console).choose(card, self.options.entropy)
            return self.codecs.get(card, console)
        except ModelError as error:
            if self.model is None:
                raise  # another file may suit another model
            # No other file would fare better.
            raise click.ClickException(str(error)) from None

    def _gain(self, job: Job) -> float | None:
        """Return the change of level that is asked for, found by reading the input beforehand."""
        if not self.normalize_loudness:
            return None
        if is_special(job.source):
            raise NeucodecError("--normalize-loudness reads its input twice; give a file, no pipe")
        from neucodec.audio.input import open_audio
        from neucodec.audio.loudness import gain_to

        with open_audio(job.source, raw=self.raw_format) as audio:
            return gain_to(audio, mono=self.options.mono)


def _doubts(audio: AudioSource) -> list[str]:
    """Return what to know of an input that has been read to its end, a line each."""
    doubts = list(audio.doubts)
    if audio.nonfinite:
        doubts.append(f"{counted(audio.nonfinite, 'sample')} infinite or NaN, taken as silence")
    if audio.excessive:
        samples = counted(audio.excessive, "sample")
        doubts.append(f"{samples} more than 96 dB above full scale, taken as silence")
    return doubts


def _opened(job: Job, audio: AudioSource, seconds: float | None) -> str:
    length = "length unknown" if seconds is None else format_time(seconds, 1)
    channels = counted(audio.channels, "channel")
    return (
        f"{shown(job.source)}: {audio.sample_rate} Hz, {channels}, {length}, to {target_name(job)}"
    )


def _outcome(report: EncodeReport, asked: float | None, took: float) -> str:
    """Say what has come of encoding, where `asked` bit/s were asked for, in `took` seconds."""
    if not report.samples:
        return f"{report.codec}, empty: {report.file_bytes} bytes, no samples"
    smaller = f"{report.ratio:.1f}x smaller" if report.ratio >= 1 else "larger than 16-bit PCM"
    books = "1 codebook" if report.codebooks == 1 else f"{report.codebooks:.3g} codebooks"
    of_it = "" if asked is None else f" ({asked / 1000:g} asked for)"
    return (
        f"{report.codec}, {books}, {report.kbps:.2f} kbps{of_it}, {smaller}, "
        f"{report.seconds / took:.0f} x real time"
    )
