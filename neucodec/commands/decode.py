"""``neucodec decode``: .ncf to audio."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neucodec.audio.speakers import FLAC_MASKS
from neucodec.errors import NeucodecError
from neucodec.files.paths import size as size_of
from neucodec.jobs.input_kinds import DECODABLE
from neucodec.jobs.output_names import Job, names_file
from neucodec.jobs.result import DONE, SKIPPED, Result
from neucodec.models import PRECISIONS, card_names
from neucodec.terminal.console import Console, counted, shown
from neucodec.terminal.timecode import format_spans, format_time

from .batch_run import (
    Batch,
    Outputs,
    is_there,
    make_folder,
    modification_time,
    open_input,
    run_batch,
    target_name,
    watch,
)
from .codec_loader import Codecs
from .options import (
    COUNT,
    TIME,
    Model,
    batch_options,
    inputs_argument,
    machine_options,
    output_options,
    verbosity_options,
)

if TYPE_CHECKING:
    from neucodec.audio.output import AudioSink
    from neucodec.coding.decoder import Decoder
    from neucodec.formats import Header, NcfReader
    from neucodec.models import Card, Codec

FORMATS: dict[str, str] = {
    ".wav": "wav",
    ".wave": "wav",
    ".flac": "flac",
    ".raw": "raw",
    ".pcm": "raw",
}
EPILOG = """
\b
Examples:
  neucodec decode song.ncf                        song.wav
  neucodec decode song.ncf -o song.flac --subtype PCM_24
  neucodec decode talk.ncf --start 12:30 --end 13:00 -o quote.wav
  neucodec decode -o listen/ archive/             a tree, mirrored below listen
  neucodec decode song.ncf -o - | ffmpeg -i - song.m4a

A damaged second comes out as silence, a file that was cut off ends early; both are warned of,
or with --strict refused.
"""


@click.command(epilog=EPILOG)
@inputs_argument
@click.option(
    "-m", "--model", type=Model(), metavar="PATH",
    help="The checkpoint of your own that the files were made with; else the one they name.",
)  # fmt: skip
@output_options
@batch_options
@click.option(
    "--format", "container", type=click.Choice(["wav", "flac", "raw"], case_sensitive=False),
    help="Kind of output; else by the suffix of -o, else wav. Raw is little-endian.",
)  # fmt: skip
@click.option(
    "--subtype", metavar="NAME", default="PCM_16", show_default=True,
    help="Samples of the output: PCM_16, PCM_24, FLOAT and others; no FLOAT in FLAC.",
)  # fmt: skip
@click.option("--start", type=TIME, help="From here on: seconds, mm:ss or h:mm:ss.")
@click.option("--end", type=TIME, help="Up to here.")
@click.option("--rate", type=COUNT, metavar="HZ", help="Sample rate, if not the source's.")
@click.option("--mono", is_flag=True, help="Mix all channels down to one.")
@click.option(
    "--clip", type=click.Choice(["clamp", "rescale", "none"]),
    help="Peaks above full scale: cut them, make all of it softer, or leave them, which only "
    "FLOAT can.  [default: clamp; FLOAT: none]",
)  # fmt: skip
@click.option(
    "--any-weights", is_flag=True,
    help="Decode even with other weights than those that a file was made with.",
)  # fmt: skip
@click.option(
    "--precision", type=click.Choice(PRECISIONS), default="float32", show_default=True,
    help="That decoding computes in. DAC is faster in bfloat16 on a processor that has it, at the "
    "price of some noise; auto: bfloat16 there, float32 else. Encoding is always in float32.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Fail where something is damaged or missing.")
@machine_options
@verbosity_options
def decode(
    inputs: tuple[str, ...],
    model: Card | None,
    output: str | None,
    force: bool,
    skip_existing: bool,
    keep_time: bool,
    batch: Batch,
    container: str | None,
    subtype: str,
    start: float | None,
    end: float | None,
    rate: int | None,
    mono: bool,
    clip: str | None,
    any_weights: bool,
    precision: str,
    strict: bool,
    threads: int | None,
    device: str,
    offline: bool,
    quiet: int,
    verbose: int,
) -> None:
    """Decompress .ncf files.

    INPUT is an .ncf, a directory of them, or '-' for standard input. Unless -o says where, the
    audio is written beside it. It has the source's sample rate, channels and length. The files
    of the packages encodec and descript-audio-codec, .ecdc and .dac, are read, too.
    """
    if start is not None and end is not None and end <= start:
        raise click.UsageError(
            f"--end {format_time(end, 2)} is not after --start {format_time(start, 2)}"
        )
    kind = container or _format_of(inputs, output)
    subtype = _checked_subtype(kind, subtype, clip)
    console = Console(verbose - quiet)
    outputs = Outputs(output, force, skip_existing, keep_time)
    work = _Decoding(
        model=model, container=kind, subtype=subtype, start=start, end=end, rate=rate, mono=mono,
        clip=clip, any_weights=any_weights, strict=strict, threads=threads,
        codecs=Codecs(device, offline, precision, half="decoder"), outputs=outputs,
    )  # fmt: skip
    run_batch(inputs, DECODABLE, batch, outputs, f".{kind}", work, console)


def _format_of(inputs: tuple[str, ...], output: str | None) -> str:
    """What the name of an output file asks for; wav where there is none or it has no suffix."""
    if output is None or not names_file(inputs, output):
        return "wav"
    suffix = Path(output).suffix.lower()
    if suffix and suffix not in FORMATS:
        raise click.UsageError(
            f"cannot write {suffix} files; use .wav, .flac or .raw, or say which with --format"
        )
    return FORMATS.get(suffix, "wav")


def _checked_subtype(container: str, subtype: str, clip: str | None) -> str:
    """The subtype as it is spelt, if the format can hold it, and it what ``clip`` leaves."""
    from neucodec.audio.output import SUBTYPES

    held = {name.casefold(): name for name in SUBTYPES[container]}
    if subtype.casefold() not in held:
        raise click.UsageError(
            f"{container} cannot hold {subtype}; it can hold {', '.join(held.values())}"
        )
    if clip == "none" and _clip_of(subtype) != "none":
        raise click.UsageError(
            f"--clip none needs room above full scale, which {subtype} lacks; give --subtype FLOAT"
        )
    return held[subtype.casefold()]


def _clip_of(subtype: str) -> str:
    """What becomes of peaks where nothing is said: only floating point can leave them."""
    return "none" if subtype.casefold().startswith("f") else "clamp"


@dataclass(kw_only=True)
class _Decoding:
    """Decodes one file after the other; each codec is loaded once, when a file needs it."""

    model: Card | None
    container: str
    subtype: str
    start: float | None
    end: float | None
    rate: int | None
    mono: bool
    clip: str | None
    any_weights: bool
    strict: bool
    threads: int | None
    codecs: Codecs
    outputs: Outputs

    def __call__(self, job: Job, console: Console) -> Result:
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
        from neucodec.models import start_torch

        start_torch()
        from neucodec.coding.decoder import Decoder
        from neucodec.coding.options import DecodeOptions

        options = DecodeOptions(
            start=self.start, end=self.end, rate=self.rate, mono=self.mono,
            strict=self.strict, threads=self.threads, any_weights=self.any_weights,
        )  # fmt: skip
        codec, models = self._codec(reader.header, console), self.codecs.entropy_models(console)
        decoder = Decoder(reader, codec, options, models)
        expected = None if decoder.frames is None else decoder.frames / decoder.samplerate
        console.detail(_opened(job, reader.header.codec, decoder, expected))
        frames, began = 0, time.perf_counter()
        make_folder(job)
        with (
            open_sink(
                job.target, decoder.samplerate, decoder.channels, format=self.container,
                subtype=self.subtype, frames=decoder.frames, tags=decoder.tags, clip=self.clip,
                channel_mask=decoder.channel_mask, force=self.outputs.may_overwrite,
                modified=modification_time(job, self.outputs), sources=[job.source],
            ) as sink,
            console.progress(job.source, expected) as progress,
        ):  # fmt: skip
            for block in decoder.blocks(progress):
                sink.write(block)
                frames += len(block)
            unchanged()
        seconds = frames / decoder.samplerate
        speed = seconds / (time.perf_counter() - began)
        self._warn(job.source, decoder, sink, seconds, console)
        console.report(
            f"{shown(job.source)}: {format_time(seconds, 3)} to {target_name(job)}, "
            f"{decoder.samplerate} Hz, {counted(decoder.channels, 'channel')}, "
            f"{self.container} {self.subtype}, {speed:.0f} x real time"
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
    def _all(self) -> bool:
        return self.start is None and self.end is None

    def _warn(
        self, name: str, decoder: Decoder, sink: AudioSink, seconds: float, console: Console
    ) -> None:
        """Say what is not as it was before encoding."""
        if decoder.damaged:
            spans = format_spans(decoder.damaged)
            console.warn(name, f"damaged: silence at {spans}; --strict refuses such files")
        if decoder.truncated:
            console.warn(name, f"cut off, or its end damaged: {format_time(seconds, 1)} decoded")
        if decoder.surplus:
            console.warn(name, f"{decoder.surplus}: not decoded; --strict refuses such files")
        mask = decoder.channel_mask
        if mask and self.container == "flac" and mask not in FLAC_MASKS.get(decoder.channels, ()):
            console.warn(name, f"FLAC has no place for its speakers (mask {mask:#x}); WAV has")
        if sink.clipped and (self.clip or _clip_of(self.subtype)) != "none":
            self._warn_of_clipping(name, sink, console)

    def _warn_of_clipping(self, name: str, sink: AudioSink, console: Console) -> None:
        samples = counted(sink.clipped, "sample")
        peak = f"{20 * math.log10(sink.peak):+.1f} dB"
        if self.clip == "rescale":
            console.warn(name, f"made softer, its peak was {peak}")
        else:
            console.warn(
                name,
                f"{samples} clipped, peak {peak}; --clip rescale or --subtype FLOAT avoid that",
            )

    def _codec(self, header: Header, console: Console) -> Codec:
        from neucodec.coding.file_codec import card_for

        if self.model is None and header.codec not in card_names():
            raise NeucodecError(
                f"made with {header.codec}, which is no model of this version; if it is a "
                f"checkpoint of your own, give its path with -m"
            )
        return self.codecs.get(card_for(header, self.model), console)

    def _is_whole(self, job: Job, reader: NcfReader) -> bool:
        """Whether the output is what decoding would give, as far as its form tells."""
        from neucodec.audio import pcm, wav_writer
        from neucodec.coding.integrity import frames_to_come, is_whole_audio

        frames = frames_to_come(reader, self.rate, self.start, self.end)
        if frames is None:
            return False
        channels = 1 if self.mono else reader.header.channels
        if self.container == "raw":
            form = wav_writer.SUBTYPES.get(self.subtype) or pcm.sample_format(self.subtype)
            return size_of(job.target) == frames * channels * form.width
        return is_whole_audio(job.target, self.rate or reader.header.source_rate, channels, frames)


def _opened(job: Job, codec: str, decoder: Decoder, seconds: float | None) -> str:
    length = "length unknown" if seconds is None else format_time(seconds, 1)
    channels = counted(decoder.channels, "channel")
    return (
        f"{shown(job.source)}: {codec}, {decoder.samplerate} Hz, {channels}, {length}, "
        f"to {target_name(job)}"
    )
