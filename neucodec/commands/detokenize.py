"""Define ``neucodec detokenize``: .ncf files and audio of codes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neucodec.coding.default_model import DEFAULT_MODEL
from neucodec.coding.options import ENTROPY_MODES
from neucodec.files.paths import size as size_of
from neucodec.jobs.input_kinds import TOKENS
from neucodec.jobs.job import Job
from neucodec.jobs.output_names import names_file
from neucodec.jobs.result import DONE, SKIPPED, Result
from neucodec.models import Card, find_card
from neucodec.terminal.console import Console, counted, shown
from neucodec.terminal.timecode import format_time

from .batch_run import (
    Batch,
    Outputs,
    is_there,
    make_folder,
    modification_time,
    open_output,
    run_batch,
    target_name,
    watch,
)
from .codec_loader import Codecs
from .gather import gathered
from .options import (
    batch_options,
    console_of,
    device_options,
    inputs_argument,
    output_options,
    verbosity_options,
)
from .parameter_types import Model

if TYPE_CHECKING:
    from neucodec.interchange.file_tokens import FileTokens

FORMATS = ("ncf", "wav", "flac")
LEVEL = -20.0
"""What codes without levels are brought to, in dB of RMS below full scale: that of much music."""
EPILOG = """
\b
Examples:
  neucodec detokenize song.npz -o again.ncf
  neucodec detokenize song.npz -o again.wav
  neucodec detokenize codes.npy -m neu-16khz -o talk.wav
                                       codes alone, of a model of one's own, too

An .npz says which model its codes are of, an .npy does not: -m does, else it is neu2-44khz. An
.npy of two dimensions, [codebooks, frames], has uniform codes, one of three has those of tokens
without --uniform, unless --uniform says otherwise.
"""


@click.command(epilog=EPILOG)
@inputs_argument
@click.option(
    "-m", "--model", type=Model(), metavar="NAME",
    help="The model that the codes are of, or the path of a checkpoint of your own.",
)  # fmt: skip
@output_options
@batch_options
@click.option(
    "--format", "kind", type=click.Choice(FORMATS),
    help="Kind of output; else by the suffix of -o, else ncf.",
)  # fmt: skip
@click.option(
    "--uniform/--chunks", "uniform", default=None,
    help="Whether an .npy has uniform codes, or those of chunks as an .ncf has them.",
)  # fmt: skip
@click.option(
    "--level", type=click.FloatRange(-96, 0), default=LEVEL, show_default=True, metavar="DB",
    help="RMS of codes without levels, in dB below full scale.",
)  # fmt: skip
@click.option(
    "--entropy", type=click.Choice(ENTROPY_MODES), default="auto", show_default=True,
    help="How an .ncf's codes are squeezed, as for encode.",
)  # fmt: skip
@device_options
@verbosity_options
@gathered("outputs", Outputs)
@gathered("console", console_of)
def detokenize(
    inputs: tuple[str, ...],
    model: Card | None,
    outputs: Outputs,
    batch: Batch,
    kind: str | None,
    uniform: bool | None,
    level: float,
    entropy: str,
    device: str,
    offline: bool,
    console: Console,
) -> None:
    """Make .ncf files or audio of codes, as tokens writes them.

    INPUT is an .npz or .npy, a directory of them, or '-' for standard input.
    """
    kind = kind or _kind_of(inputs, outputs.output)
    work = _Making(
        model, kind, uniform, 10 ** (level / 20), entropy, Codecs(device, offline), outputs
    )
    run_batch(inputs, TOKENS, batch, outputs, f".{kind}", work, console)


def _kind_of(inputs: tuple[str, ...], output: str | None) -> str:
    if output is None or not names_file(inputs, output):
        return "ncf"
    suffix = Path(output).suffix.lower().removeprefix(".")
    if suffix and suffix not in FORMATS:
        raise click.UsageError(
            f"cannot write .{suffix} files; to .ncf, .wav and .flac, or say which with --format"
        )
    return suffix or "ncf"


@dataclass
class _Making:
    """Makes a file of one file of codes after the other."""

    model: Card | None
    """The model that the codes are of; None for the one that they name."""
    kind: str
    uniform: bool | None
    """Whether codes alone are uniform; None to tell by their shape."""
    level: float
    """The RMS of codes alone."""
    entropy: str
    codecs: Codecs
    outputs: Outputs

    def __call__(self, job: Job, console: Console) -> Result:
        if is_there(job, self.outputs, lambda: False, console):
            return SKIPPED
        unchanged = watch(job.source)
        tokens = self._read(job.source)
        card = self.model or find_card(tokens.codec)
        from neucodec.interchange.detokenise import check_model
        from neucodec.models import start_torch

        check_model(tokens, card)
        start_torch()
        if self.kind == "ncf":
            self._write_ncf(job, tokens, card, console)
        else:
            self._write_audio(job, tokens, card, console)
        unchanged()
        if tokens.layered.any():
            chunks = counted(int(tokens.layered.sum()), "chunk")
            console.warn(job.source, f"{chunks} had a layer, which codes lack: it sounds without")
        seconds = tokens.samples / tokens.source_rate
        streams, codebooks, frames = tokens.shape
        console.report(
            f"{shown(job.source)}: {card.name}, {counted(streams, 'stream')}, "
            f"{counted(codebooks, 'codebook')}, {counted(frames, 'frame')}, "
            f"{format_time(seconds, 3)} to {target_name(job)}"
        )
        return replace(
            DONE, input_bytes=size_of(job.source), output_bytes=size_of(job.target),
            audio_seconds=seconds,
        )  # fmt: skip

    def _read(self, source: str) -> FileTokens:
        from neucodec.files.paths import open_to_seek
        from neucodec.interchange.detokenise import at_level
        from neucodec.interchange.token_arrays import has_levels, load_tokens

        with open_to_seek(source) as file:
            levels = has_levels(file)
            tokens = load_tokens(file, self.model or find_card(DEFAULT_MODEL), self.uniform)
        card = self.model or find_card(tokens.codec)
        return tokens if levels or card.level == "none" else at_level(tokens, self.level)

    def _write_ncf(self, job: Job, tokens: FileTokens, card: Card, console: Console) -> None:
        from neucodec.interchange.detokenise import write_tokens

        model = self.codecs.entropy_models(console).choose(card, self.entropy)
        codec = self.codecs.get(card, console)
        with open_output(job, self.outputs) as target:
            write_tokens(tokens, target, codec, model)

    def _write_audio(self, job: Job, tokens: FileTokens, card: Card, console: Console) -> None:
        from neucodec.audio.output import open_sink
        from neucodec.audio.output_format import OutputFormat
        from neucodec.interchange.detokenise import audio_blocks

        codec = self.codecs.get(card, console)
        make_folder(job)
        form = OutputFormat(tokens.source_rate, tokens.channels, self.kind, samples=tokens.samples)
        with open_sink(
            job.target, form, overwrite=self.outputs.may_overwrite,
            modified=modification_time(job, self.outputs), sources=[job.source],
        ) as sink:  # fmt: skip
            for block in audio_blocks(tokens, codec):
                sink.write(block)
        if sink.clipped:
            console.warn(job.source, f"{counted(sink.clipped, 'sample')} clipped")
