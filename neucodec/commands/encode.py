"""Define ``neucodec encode``: audio to .ncf."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from neucodec.coding.default_model import AUTO, choose_model
from neucodec.coding.options import ENTROPY_MODES, RATE_MODES, EncodeOptions
from neucodec.errors import NeucodecError
from neucodec.jobs.input_kinds import FOREIGN, RAW, audio_kind
from neucodec.jobs.output_names import names_file
from neucodec.terminal.console import Console, shown

from .batch_run import Batch, Outputs, run_batch, with_output
from .codec_loader import Codecs
from .decode import FORMATS
from .earlier_options import TagChanges
from .encode_file import Encoding
from .gather import gathered
from .options import (
    batch_options,
    console_of,
    inputs_and_output_argument,
    machine_options,
    output_options,
    verbosity_options,
)
from .parameter_types import BITRATE, COUNT, TAG, ModelOrAuto

if TYPE_CHECKING:
    from neucodec.audio.input import RawFormat
    from neucodec.models import Card

EPILOG = """
\b
Examples:
  neucodec encode song.wav                        song.ncf, at the model's usual bitrate
  neucodec encode -b 6kbps song.flac small.ncf
  neucodec encode -o archive/ recordings/         a tree, mirrored below archive
  neucodec encode -j 4 --skip-existing -o archive/ recordings/
                                                  and again, only what is new, four at once
  ffmpeg -i film.mkv -f wav - | neucodec encode - > film.ncf
  arecord -f S16_LE -r 16000 -t raw | neucodec encode - --raw --rate 16000 -o memo.ncf

Bitrates are those of the whole file, all channels together, container and all; with --rate-mode
nominal those of the codes as they are, of which the nearest is taken. One that is out of reach is
refused with a list of those that are not.
"""


def _raw_format(
    raw: bool, rate: int | None, channels: int | None, sample_format: str | None
) -> RawFormat | None:
    """Return the layout of headerless input. Raises UsageError where the options do not go
    together.
    """
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


@click.command(epilog=EPILOG)
@inputs_and_output_argument
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
    help="What -b means: the average of the whole file, for which codebooks or layers are chosen "
    "second by second, or nominal, codes as they are with equally many codebooks throughout.  "
    "[default: average where codes are squeezed or have a waveform layer]",
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
    help="From 5 kbps per channel on, follow the waveform with MDCT coefficients beside the codes; "
    "below that, let seconds of tones or clicks have a few. Without, codes are all that there is, "
    "and neucodec before 0.8 can read the file.",
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
@click.option(
    "--verify", is_flag=True,
    help="Read back what was written, and compare its codes with those that were encoded.",
)  # fmt: skip
@click.option(
    "--delete-input", is_flag=True,
    help="Remove inputs that were encoded, after --verify; not those that are cut off, are more "
    "than audio, or were warned of.",
)  # fmt: skip
@click.option("--no-tags", is_flag=True, help="Leave the input's tags (title, artist) behind.")
@click.option(
    "--no-cover", is_flag=True,
    help="Leave pictures behind. Of others those up to 256 KiB are kept; the bitrate that -b asks "
    "for is that of the file without them.",
)  # fmt: skip
@click.option(
    "--tag", "set_tags", type=TAG, multiple=True,
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
@gathered("options", EncodeOptions)
@gathered("outputs", Outputs)
@gathered("raw_format", _raw_format)
@gathered("tag_changes", TagChanges)
@gathered("console", console_of)
def encode(
    inputs: Sequence[str],
    model: Card | None,
    options: EncodeOptions,
    outputs: Outputs,
    batch: Batch,
    raw_format: RawFormat | None,
    tag_changes: TagChanges,
    normalize_loudness: bool,
    strict: bool,
    verify: bool,
    delete_input: bool,
    device: str,
    offline: bool,
    console: Console,
) -> None:
    """Compress audio to .ncf files.

    INPUT is any audio file (WAV, FLAC, Ogg, Opus, MP3, AIFF, CAF, ...; with PyAV or ffmpeg also
    M4A, MP4, MKV, WebM, WMA and so on), a directory of them, or '-' for standard input. The .ncf
    is written beside it unless -o or OUTPUT says where: encode in.wav out.ncf.
    """
    named = _checked_model(model, options)
    inputs, outputs = with_output(inputs, outputs, (".ncf",))
    _refuse_other_kinds(inputs, outputs.output)
    work = Encoding(
        model=named, codecs=Codecs(device, offline, half="encoder"), options=options,
        outputs=outputs, raw_format=raw_format, tag_changes=tag_changes,
        normalize_loudness=normalize_loudness, strict=strict,
        verify=verify or delete_input, delete_input=delete_input,
    )  # fmt: skip
    from neucodec.audio.media import can_read_media

    kind = RAW if raw_format else audio_kind(media=can_read_media())
    run_batch(inputs, kind, batch, outputs, ".ncf", work, console)


def _refuse_other_kinds(inputs: Sequence[str], output: str | None) -> None:
    """Raise UsageError where the output is one file whose name says that it is no .ncf."""
    if output is None or not names_file(inputs, output):
        return
    suffix = PurePath(output).suffix.lower()
    if suffix in audio_kind(media=True).suffixes | FOREIGN.suffixes:
        ncf = PurePath(output).with_suffix(".ncf").name
        raise click.UsageError(
            f"{shown(output)} is no name for what encode writes; name it {shown(ncf)}, of which "
            f"neucodec decode then makes {suffix if suffix in FORMATS else 'audio'}"
        )


def _checked_model(model: Card | None, options: EncodeOptions) -> Card | None:
    """Return the model, None where each file's bitrate is to choose it.

    Raises UsageError where the options do not go together.
    """
    if options.bitrate is not None and options.codebooks is not None:
        raise click.UsageError("-b and -n both choose the bitrate; give one of them")
    if options.rate_mode == "average" and options.codebooks is not None:
        raise click.UsageError("-n fixes the codebooks; --rate-mode average needs -b")
    if model is None and options.bitrate is None:
        model = choose_model(None, 1)
    if model and options.entropy == "lm" and model.entropy is None:
        raise click.UsageError(
            f"there is no entropy model for {model.name}; give --entropy adaptive or none"
        )
    codebooks = options.codebooks
    problem = model.no_codebooks(codebooks) if model and codebooks is not None else ""
    if problem:
        raise click.UsageError(problem)
    return model
