"""``neucodec encode``: audio to .ncf."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neucodec.coding.default_model import AUTO, DEFAULT_MODEL, choose_model, reason
from neucodec.coding.options import ENTROPY_MODES, RATE_MODES
from neucodec.errors import NeucodecError
from neucodec.files.paths import is_special
from neucodec.files.paths import size as size_of
from neucodec.files.remote import is_remote
from neucodec.jobs.input_kinds import AUDIO, RAW
from neucodec.jobs.output_names import Job
from neucodec.jobs.result import DONE, SKIPPED, Result
from neucodec.models import ModelError
from neucodec.terminal.console import Console, counted, shown
from neucodec.terminal.timecode import format_time

from .batch_run import Batch, Outputs, is_there, open_output, run_batch, target_name, watch
from .codec_loader import Codecs
from .options import (
    BITRATE,
    COUNT,
    TAG,
    ModelOrAuto,
    batch_options,
    inputs_argument,
    machine_options,
    output_options,
    verbosity_options,
)

if TYPE_CHECKING:
    from neucodec.audio.input import AudioSource, RawFormat
    from neucodec.coding.encoder import EncodeReport
    from neucodec.models import Card, Codec

EPILOG = """
\b
Examples:
  neucodec encode song.wav                        song.ncf, at the model's usual bitrate
  neucodec encode -b 6kbps song.flac -o small.ncf
  neucodec encode -o archive/ recordings/         a tree, mirrored below archive
  neucodec encode -j 4 --skip-existing -o archive/ recordings/
                                                  and again, only what is new, four at once
  ffmpeg -i film.mkv -f wav - | neucodec encode - > film.ncf
  arecord -f S16_LE -r 16000 -t raw | neucodec encode - --raw --rate 16000 -o memo.ncf

Bitrates are those of the whole file, all channels together, container and all; with --rate-mode
nominal those of the codes as they are, of which the nearest is taken. One that is out of reach is
refused with a list of those that are not.
"""


@click.command(epilog=EPILOG)
@inputs_argument
@click.option("-b", "--bitrate", type=BITRATE, help="As in 8kbps, 8k, 8000 or 1.5kbps.")
@click.option("-n", "--codebooks", type=COUNT, help="Codebooks, instead of a bitrate.")
@click.option(
    "-m", "--model", type=ModelOrAuto(), default=AUTO, show_default=True,
    help="See neucodec models; or the path of a checkpoint of your own; or auto: neu2-44khz "
    "where it has the bitrate, below that neu-16khz, which is for speech, above that one that is "
    "fetched.",
)  # fmt: skip
@click.option(
    "--rate-mode", type=click.Choice(RATE_MODES, case_sensitive=False),
    help="What -b means: the average of the whole file, for which the codebooks are chosen second "
    "by second, or nominal, codes as they are with equally many codebooks throughout.  [default: "
    "average where codes are squeezed]",
)  # fmt: skip
@click.option(
    "--entropy", type=click.Choice(ENTROPY_MODES, case_sensitive=False), default="auto",
    show_default=True,
    help="How to squeeze the codes, which leaves the sound as it is: lm, with a model of the "
    "codec's codes; adaptive, by what each second has shown so far; none; auto, the first of lm "
    "and adaptive that there is for the codec.",
)  # fmt: skip
@click.option(
    "--layer/--no-layer", default=True, show_default=True,
    help="Let seconds that are tones or clicks above all have some MDCT coefficients beside their "
    "codes, or instead of them, where the codec is known to blur those. Without, codes are all "
    "that there is, and neucodec before 0.8 can read the file.",
)  # fmt: skip
@output_options
@batch_options
@click.option("--mono", is_flag=True, help="Mix all channels down to one.")
@click.option(
    "--normalize-loudness", is_flag=True,
    help="Encode at -16 LUFS, the level that DAC was made for, and have decoding bring back the "
    "input's own. Reads files twice, so it cannot read a pipe.",
)  # fmt: skip
@click.option(
    "--strict", is_flag=True,
    help="Fail where an input is cut off, contradicts itself, or has more in it than is encoded; "
    "else that is warned of.",
)  # fmt: skip
@click.option("--no-tags", is_flag=True, help="Leave the input's tags (title, artist) behind.")
@click.option(
    "--tag", "tags", type=TAG, multiple=True,
    help="Set a tag, as in ARTIST=Nina; with nothing after the = remove it. May be repeated.",
)  # fmt: skip
@click.option("--raw", is_flag=True, help="Input is samples without a header; needs --rate.")
@click.option("--rate", type=COUNT, metavar="HZ", help="Sample rate of raw input.")
@click.option("--channels", type=COUNT, help="Channels of raw input.  [default: 1]")
@click.option(
    "--sample-format",
    metavar="NAME",
    help="Samples of raw input: u8, s16le, s24be, f32le, mulaw and the like.  [default: s16le]",
)
@machine_options
@verbosity_options
def encode(
    inputs: tuple[str, ...],
    bitrate: float | None,
    codebooks: int | None,
    model: Card | None,
    rate_mode: str | None,
    entropy: str,
    layer: bool,
    output: str | None,
    force: bool,
    skip_existing: bool,
    keep_time: bool,
    batch: Batch,
    mono: bool,
    normalize_loudness: bool,
    strict: bool,
    no_tags: bool,
    tags: tuple[tuple[str, str], ...],
    raw: bool,
    rate: int | None,
    channels: int | None,
    sample_format: str | None,
    threads: int | None,
    device: str,
    offline: bool,
    quiet: int,
    verbose: int,
) -> None:
    """Compress audio to .ncf files.

    INPUT is any file that libsndfile reads (WAV, FLAC, Ogg, Opus, MP3, AIFF, CAF, ...), a
    directory of them, or '-' for standard input. The .ncf is written beside it unless -o says
    where.
    """
    if bitrate is not None and codebooks is not None:
        raise click.UsageError("-b and -n both choose the bitrate; give one of them")
    if rate_mode == "average" and codebooks is not None:
        raise click.UsageError("-n fixes the codebooks; --rate-mode average needs -b")
    named = model
    if named is None and bitrate is None:
        named = choose_model(None, 1)
    if named and entropy == "lm" and named.entropy is None:
        raise click.UsageError(
            f"there is no entropy model for {named.name}; give --entropy adaptive or none"
        )
    if named and codebooks is not None and codebooks not in named.counts:
        possible = ", ".join(map(str, named.codebook_counts)) or f"1 to {named.codebooks}"
        raise click.UsageError(f"{named.name} has no {codebooks} codebooks; give {possible}")
    raw_format = _raw_format(raw, rate, channels, sample_format)
    console = Console(verbose - quiet)
    outputs = Outputs(output, force, skip_existing, keep_time)
    work = _Encoding(
        model=named, codecs=Codecs(device, offline, half="encoder"),
        bitrate=bitrate, codebooks=codebooks,
        rate_mode=rate_mode, entropy=entropy, layer=layer,
        mono=mono, normalize_loudness=normalize_loudness, strict=strict, threads=threads,
        keep_tags=not no_tags, tags=tags, raw=raw_format,
        outputs=outputs,
    )  # fmt: skip
    run_batch(inputs, RAW if raw else AUDIO, batch, outputs, ".ncf", work, console)


def _raw_format(
    raw: bool, rate: int | None, channels: int | None, sample_format: str | None
) -> RawFormat | None:
    """The layout of headerless input; UsageError where the options do not go together."""
    if not raw:
        if rate or channels or sample_format:
            raise click.UsageError("--rate, --channels and --sample-format are for --raw input")
        return None
    if rate is None:
        raise click.UsageError("--raw input does not tell its sample rate; give --rate HZ")
    from neucodec.audio.input import RawFormat

    try:
        return RawFormat(rate, channels or 1, sample_format or "s16le")
    except NeucodecError as error:
        raise click.UsageError(str(error)) from None


@dataclass(kw_only=True)
class _Encoding:
    """Encodes one file after the other, with a codec that is loaded once it is needed."""

    model: Card | None
    """None to choose by the bitrate, file by file."""
    codecs: Codecs
    bitrate: float | None
    codebooks: int | None
    rate_mode: str | None
    entropy: str
    layer: bool
    mono: bool
    normalize_loudness: bool
    strict: bool
    threads: int | None
    keep_tags: bool
    tags: tuple[tuple[str, str], ...]
    raw: RawFormat | None
    outputs: Outputs

    def __call__(self, job: Job, console: Console) -> Result:
        if is_there(job, self.outputs, lambda: self._is_done(job), console):
            return SKIPPED
        if self.raw is None and Path(job.source).suffix.lower() == ".ncf":
            raise NeucodecError("this is an .ncf already; neucodec decode makes audio of it")
        from neucodec.audio.input import open_audio

        unchanged = watch(job.source)
        with open_audio(job.source, raw=self.raw) as audio:
            card = self.model or self._choose(job, 1 if self.mono else audio.channels, console)
            codec = self._codec(card, console)
            from neucodec.coding.encoder import encode
            from neucodec.coding.options import EncodeOptions

            options = EncodeOptions(
                bitrate=self.bitrate, codebooks=self.codebooks, mono=self.mono,
                threads=self.threads, tags=self._tags(audio.tags), gain_db=self._gain(job),
                rate_mode=self.rate_mode, entropy=self.entropy, layer=self.layer,
            )  # fmt: skip
            seconds = None if audio.frames is None else audio.frames / audio.samplerate
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
                unchanged()
                doubts = _doubts(audio)
                if doubts and self.strict:
                    raise NeucodecError(f"{doubts[0]}; encode without --strict to take it so")
            for doubt in doubts:
                console.warn(job.source, doubt)
        console.report(f"{shown(job.source)}: {_outcome(report, took)}")
        return replace(
            DONE,
            input_bytes=size_of(job.source),
            output_bytes=report.file_bytes,
            audio_seconds=report.seconds,
            kbps=report.kbps,
        )

    def _is_done(self, job: Job) -> bool:
        """Whether the target is whole, and of all of the source as that is now.

        A source that is cut off is never done: the rest of it may come, or a warning is due.
        Sources at URLs are not looked at for that, nor what an attempt of this run has made.
        """
        from neucodec.audio.input import open_audio
        from neucodec.coding.integrity import frames_of_whole_ncf

        frames = frames_of_whole_ncf(job.target)
        if frames is None:
            return False
        if not self.outputs.skip_existing or is_remote(job.source) or is_special(job.source):
            return True
        with open_audio(job.source, raw=self.raw) as audio:
            return not audio.cut_off and audio.frames in (None, frames)

    def _choose(self, job: Job, channels: int, console: Console) -> Card:
        card = choose_model(self.bitrate, channels)
        if card.name != DEFAULT_MODEL:
            console.report(f"{shown(job.source)}: {card.name}, since {reason(channels)}")
        return card

    def _codec(self, card: Card, console: Console) -> Codec:
        from neucodec.models import start_torch

        start_torch()
        try:
            if self.entropy == "lm":  # before the weights: perhaps it cannot be had
                self.codecs.entropy_models(console).choose(card, self.entropy)
            return self.codecs.get(card, console)
        except ModelError as error:
            if self.model is None:
                raise  # another file may suit another model
            # No other file would fare better.
            raise click.ClickException(str(error)) from None

    def _gain(self, job: Job) -> float | None:
        """The change of level that is asked for, found by reading the input beforehand."""
        if not self.normalize_loudness:
            return None
        if is_special(job.source):
            raise NeucodecError("--normalize-loudness reads its input twice; give a file, no pipe")
        from neucodec.audio.input import open_audio
        from neucodec.audio.loudness import gain_to

        with open_audio(job.source, raw=self.raw) as audio:
            return gain_to(audio, mono=self.mono)

    def _tags(self, found: Mapping[str, str]) -> dict[str, str]:
        tags = dict(found) if self.keep_tags else {}
        return {name: value for name, value in (tags | dict(self.tags)).items() if value}


def _doubts(audio: AudioSource) -> list[str]:
    """What to know of an input that has been read to its end, a line each."""
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
        f"{shown(job.source)}: {audio.samplerate} Hz, {channels}, {length}, to {target_name(job)}"
    )


def _outcome(report: EncodeReport, took: float) -> str:
    if not report.frames:
        return f"{report.codec}, empty: {report.file_bytes} bytes, no samples"
    smaller = f"{report.ratio:.1f}x smaller" if report.ratio >= 1 else "larger than 16-bit PCM"
    books = "1 codebook" if report.codebooks == 1 else f"{report.codebooks:.3g} codebooks"
    return (
        f"{report.codec}, {books}, "
        f"{report.asked_kbps:.2f} kbps {report.rate_mode}, {report.kbps:.2f} in the file, "
        f"{smaller}, {report.seconds / took:.0f} x real time"
    )
