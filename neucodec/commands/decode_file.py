"""Decode one file after the other, as ``neucodec decode`` does."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from neucodec.audio.speakers import holds_speakers
from neucodec.coding.options import DecodeOptions
from neucodec.errors import NeucodecError
from neucodec.files.paths import size as size_of
from neucodec.jobs.job import Job
from neucodec.jobs.result import DONE, SKIPPED, Result
from neucodec.models import card_names
from neucodec.terminal.console import Console, counted, shown
from neucodec.terminal.timecode import format_spans, format_time

from .batch_run import (
    Outputs,
    is_there,
    make_folder,
    modification_time,
    open_input,
    target_name,
    watch,
)
from .codec_loader import Codecs

if TYPE_CHECKING:
    from neucodec.audio.output import AudioSink
    from neucodec.coding.decoder import Decoder
    from neucodec.formats import Header, NcfReader
    from neucodec.models import Card, Codec


def clip_of(subtype: str) -> str:
    """Return what becomes of peaks where nothing is said: only floating point can leave them."""
    return "none" if subtype.casefold().startswith("f") else "clamp"


@dataclass(kw_only=True)
class Decoding:
    """Decodes one file after the other; each codec is loaded once, when a file needs it."""

    model: Card | None
    """The model that the files were made with; None for the one that each names."""
    container: str
    subtype: str
    clip: str | None
    """What becomes of peaks above full scale; None for what suits the subtype."""
    options: DecodeOptions
    outputs: Outputs
    codecs: Codecs

    def __call__(self, job: Job, console: Console) -> Result:
        """Decode the job's source into its target, unless that is there; see `jobs.runner.Work`."""
        from neucodec.formats import NcfReader
        from neucodec.interchange.peers import as_ncf

        unchanged = watch(job.source)
        with open_input(job.source) as opened:
            file = as_ncf(opened, lambda card: self.codecs.get(card, console), self.model)
            reader = NcfReader(file)
            if is_there(job, self.outputs, lambda: self._is_whole(job, reader), console):
                return SKIPPED
            return self._decode(job, reader, console, unchanged)

    def _decode(
        self, job: Job, reader: NcfReader, console: Console, unchanged: Callable[[], None]
    ) -> Result:
        from neucodec.audio.output import open_sink
        from neucodec.audio.output_format import OutputFormat
        from neucodec.models import start_torch

        start_torch()
        from neucodec.coding.decoder import Decoder

        codec, models = self._codec(reader.header, console), self.codecs.entropy_models(console)
        options = replace(self.options, rate=self._rate(reader.header))
        decoder = Decoder(reader, codec, options, models)
        expected = None if decoder.samples is None else decoder.samples / decoder.sample_rate
        console.detail(_opened(job, reader.header.codec, decoder, expected))
        frames, began = 0, time.perf_counter()
        make_folder(job)
        form = OutputFormat(
            decoder.sample_rate, decoder.channels, self.container, self.subtype,
            samples=decoder.samples, tags=decoder.tags, channel_mask=decoder.channel_mask,
            clip=self.clip,
        )  # fmt: skip
        with (
            open_sink(
                job.target,
                form,
                overwrite=self.outputs.may_overwrite,
                modified=modification_time(job, self.outputs),
                sources=[job.source],
            ) as sink,
            console.progress(job.source, expected) as progress,
        ):
            for block in decoder.blocks(progress):
                sink.write(block)
                frames += len(block)
            unchanged()
        seconds = frames / decoder.sample_rate
        speed = seconds / (time.perf_counter() - began)
        self._warn(job.source, decoder, sink, seconds, console)
        console.report(
            f"{shown(job.source)}: {format_time(seconds, 3)} to {target_name(job)}, "
            f"{decoder.sample_rate} Hz, {counted(decoder.channels, 'channel')}, "
            f"{self._kind}, {speed:.0f} x real time"
        )
        size = size_of(job.source)
        return replace(
            DONE,
            input_bytes=size,
            output_bytes=size_of(job.target),
            audio_seconds=seconds,
            kbps=size * 8 / 1000 / seconds if size and seconds and self._all else None,
        )

    @property
    def _kind(self) -> str:
        """Return what is written, for messages: wav PCM_16, or mp3."""
        from neucodec.audio.lossy_writer import LOSSY

        return self.container if self.container in LOSSY else f"{self.container} {self.subtype}"

    @property
    def _all(self) -> bool:
        return self.options.start is None and self.options.end is None

    def _warn(
        self, name: str, decoder: Decoder, sink: AudioSink, seconds: float, console: Console
    ) -> None:
        """Say what is not as it was before encoding."""
        from neucodec.audio.tag_writer import left_behind

        if decoder.damaged:
            spans = format_spans(decoder.damaged)
            console.warn(name, f"damaged: silence at {spans}; --strict refuses such files")
        if decoder.truncated:
            console.warn(name, f"cut off, or its end damaged: {format_time(seconds, 1)} decoded")
        if decoder.surplus:
            console.warn(name, f"{decoder.surplus}: not decoded; --strict refuses such files")
        if lost := left_behind(self.container, decoder.tags):
            names = ", ".join(lost)
            console.warn(name, f"tags left behind: {names}; mutagen (pip install mutagen) has them")
        mask = decoder.channel_mask
        if mask and not holds_speakers(self.container, decoder.channels, mask):
            container = self.container if self.container == "raw" else self.container.upper()
            console.warn(
                name, f"{container} has no place for its speakers (mask {mask:#x}); WAV has"
            )
        if sink.clipped and (self.clip or clip_of(self.subtype)) != "none":
            self._warn_of_clipping(name, sink, console)

    def _warn_of_clipping(self, name: str, sink: AudioSink, console: Console) -> None:
        samples = counted(sink.clipped, "sample")
        peak = f"{20 * math.log10(sink.peak):+.1f} dB"
        if self.clip == "rescale":
            console.warn(name, f"made softer, its peak was {peak}")
        else:
            lossless = self.container in ("wav", "raw")
            way_out = "rescale or --subtype FLOAT avoid" if lossless else "rescale avoids"
            console.warn(name, f"{samples} clipped, peak {peak}; --clip {way_out} that")

    def _codec(self, header: Header, console: Console) -> Codec:
        from neucodec.coding.file_codec import card_for

        if self.model is None and header.codec not in card_names():
            raise NeucodecError(
                f"made with {header.codec}, which is no model of this version; if it is a "
                f"checkpoint of your own, give its path with -m"
            )
        return self.codecs.get(card_for(header, self.model), console)

    def _rate(self, header: Header) -> int | None:
        """Return the sample rate to decode to: what was asked for; else one that the output can
        have, where that is not any; None for the source's.
        """
        from neucodec.audio.lossy_writer import LOSSY

        if self.options.rate is not None or self.container not in LOSSY:
            return self.options.rate
        nearest = LOSSY[self.container].nearest_rate(header.source_rate)
        return None if nearest == header.source_rate else nearest

    def _is_whole(self, job: Job, reader: NcfReader) -> bool:
        """Tell whether the output is what decoding would give, as far as its form tells."""
        from neucodec.audio import pcm, wav_writer
        from neucodec.coding.integrity import is_whole_audio, samples_to_come

        rate = self._rate(reader.header) or reader.header.source_rate
        frames = samples_to_come(reader, rate, self.options.start, self.options.end)
        if frames is None:
            return False
        channels = 1 if self.options.mono else reader.header.channels
        if self.container == "raw":
            form = wav_writer.SUBTYPES.get(self.subtype) or pcm.sample_format(self.subtype)
            return size_of(job.target) == frames * channels * form.width
        return is_whole_audio(job.target, rate, channels, frames)


def _opened(job: Job, codec: str, decoder: Decoder, seconds: float | None) -> str:
    length = "length unknown" if seconds is None else format_time(seconds, 1)
    channels = counted(decoder.channels, "channel")
    return (
        f"{shown(job.source)}: {codec}, {decoder.sample_rate} Hz, {channels}, {length}, "
        f"to {target_name(job)}"
    )
