"""Define ``neucodec decode``: .ncf to audio."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import click

from neucodec.coding.options import DecodeOptions
from neucodec.files import paths
from neucodec.files.urls import is_remote
from neucodec.jobs.input_kinds import DECODABLE
from neucodec.jobs.output_names import free_name, names_file
from neucodec.models import PRECISIONS
from neucodec.terminal.console import Console, shown
from neucodec.terminal.timecode import format_time

from .batch_run import Batch, Outputs, run_batch, with_output
from .codec_loader import Codecs
from .decode_file import Decoding, clip_of
from .gather import gathered
from .options import (
    batch_options,
    console_of,
    inputs_and_output_argument,
    machine_options,
    output_options,
    verbosity_options,
)
from .parameter_types import COUNT, TIME, Model

if TYPE_CHECKING:
    from neucodec.models import Card

FORMATS: dict[str, str] = {
    ".wav": "wav",
    ".wave": "wav",
    ".flac": "flac",
    ".opus": "opus",
    ".ogg": "ogg",
    ".oga": "ogg",
    ".mp3": "mp3",
    ".raw": "raw",
    ".pcm": "raw",
}
KINDS = list(dict.fromkeys(FORMATS.values()))
EPILOG = """
\b
Examples:
  neucodec decode song.ncf                        song.wav
  neucodec decode song.ncf song.flac --subtype PCM_24
  neucodec decode song.ncf song.mp3               also .opus, and .ogg for Vorbis
  neucodec decode talk.ncf --start 12:30 --end 13:00 -o quote.wav
  neucodec decode -o listen/ archive/             a tree, mirrored below listen
  neucodec decode song.ncf -o - | ffmpeg -i - song.m4a

A damaged second comes out as silence, a file that was cut off ends early; both are warned of,
or with --strict refused.
"""


@click.command(epilog=EPILOG)
@inputs_and_output_argument
@click.option(
    "-m", "--model", type=Model(), metavar="PATH",
    help="The checkpoint of your own that the files were made with; else the one they name.",
)  # fmt: skip
@output_options
@batch_options
@click.option(
    "--format", "container", type=click.Choice(KINDS, case_sensitive=False),
    help="Kind of output; else by the suffix of OUTPUT, else wav. Ogg is Vorbis; raw is "
    "little-endian.",
)  # fmt: skip
@click.option(
    "--subtype", metavar="NAME",
    help="Samples of WAV, FLAC and raw output: PCM_16, PCM_24, FLOAT and others; no FLOAT in "
    "FLAC.  [default: PCM_16]",
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
@gathered("options", DecodeOptions)
@gathered("outputs", Outputs)
@gathered("console", console_of)
def decode(
    inputs: Sequence[str],
    model: Card | None,
    options: DecodeOptions,
    outputs: Outputs,
    batch: Batch,
    container: str | None,
    subtype: str | None,
    clip: str | None,
    precision: str,
    device: str,
    offline: bool,
    console: Console,
) -> None:
    """Decompress .ncf files.

    INPUT is an .ncf, a directory of them, or '-' for standard input. Unless -o or OUTPUT says
    where, the audio is written beside it; of one file under another name where its own is taken,
    as song-decoded.wav. It has the source's sample rate, channels and length; Opus and MP3, which
    have but few sample rates, get the next higher one. The files of the packages encodec and
    descript-audio-codec, .ecdc and .dac, are read, too.
    """
    start, end = options.start, options.end
    if start is not None and end is not None and end <= start:
        raise click.UsageError(
            f"--end {format_time(end, 2)} is not after --start {format_time(start, 2)}"
        )
    inputs, outputs = with_output(inputs, outputs, FORMATS)
    kind = container or _format_of(inputs, outputs.output)
    outputs = _beside_the_source(inputs, outputs, kind)
    work = Decoding(
        model=model, container=kind, subtype=_checked_subtype(kind, subtype, clip), clip=clip,
        options=options, outputs=outputs,
        codecs=Codecs(device, offline, precision, half="decoder"),
    )  # fmt: skip
    run_batch(inputs, DECODABLE, batch, outputs, f".{kind}", work, console)


def _beside_the_source(inputs: Sequence[str], outputs: Outputs, kind: str) -> Outputs:
    """Return outputs that name another file where the name that one input's would get is taken.

    It is mostly the file that the .ncf was made from.
    """
    name = inputs[0]
    if len(inputs) > 1 or outputs.output is not None or outputs.may_overwrite:
        return outputs
    if paths.is_special(name) or is_remote(name) or not paths.is_file(name):
        return outputs
    place = PurePath(name)
    stem = place.stem if place.suffix.lower() in DECODABLE.suffixes else place.name
    own = paths.sibling(name, f"{stem}.{kind}")
    return replace(outputs, output=free_name(own)) if os.path.lexists(own) else outputs


def _format_of(inputs: Sequence[str], output: str | None) -> str:
    """Return the format that the name of an output file asks for; wav where there is none or it has
    no suffix.
    """
    if output is None or not names_file(inputs, output):
        return "wav"
    suffix = Path(output).suffix.lower()
    if suffix and suffix not in FORMATS:
        others = ", ".join(FORMATS)
        raise click.UsageError(
            f"{shown(output)}: decode writes {others}, or what --format says; ffmpeg makes others "
            f"of a WAV: neucodec decode ... -o - | ffmpeg -i - {shown(output)}"
        )
    return FORMATS.get(suffix, "wav")


def _checked_subtype(container: str, subtype: str | None, clip: str | None) -> str:
    """Return the subtype as it is spelt. Raises UsageError where the format cannot hold it, or it
    cannot hold what ``clip`` leaves.
    """
    from neucodec.audio.output_format import SUBTYPES

    held = {name.casefold(): name for name in SUBTYPES[container]}
    subtype = subtype or ("PCM_16" if "PCM_16" in SUBTYPES[container] else SUBTYPES[container][0])
    if subtype.casefold() not in held:
        raise click.UsageError(
            f"{container} cannot hold {subtype}; it can hold {', '.join(held.values())}"
        )
    if clip == "none" and clip_of(subtype) != "none":
        raise click.UsageError(
            f"--clip none needs room above full scale, which {subtype} lacks; give --subtype FLOAT"
        )
    return held[subtype.casefold()]
