"""Define ``neucodec tokens``: the codes of .ncf files as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neucodec.files.paths import size as size_of
from neucodec.jobs.input_kinds import NCF
from neucodec.jobs.job import Job
from neucodec.jobs.output_names import names_file
from neucodec.jobs.result import SKIPPED, Result
from neucodec.terminal.console import Console, counted, shown

from .batch_run import (
    Batch,
    Outputs,
    is_there,
    open_input,
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
    inputs_argument,
    offline_option,
    output_options,
    verbosity_options,
)
from .parameter_types import COUNT, Model, Parsed
from .token_choices import TokenChoices, TokenTaker
from .token_files import result_of, warn_of_layers
from .token_shards import SUFFIXES, ShardSize, parse_size, write_shards

if TYPE_CHECKING:
    from neucodec.file import NcfFile
    from neucodec.interchange.token_arrays import Codes

SIZE = Parsed("size", parse_size)
FORMATS = ("npz", "npy", "parquet", "webdataset")
EPILOG = """
\b
Examples:
  neucodec tokens song.ncf                        song.npz: codes, scales, rates
  neucodec tokens archive/ -o tokens/ --uniform --format npy
  neucodec tokens archive/ -o tokens/ --uniform --format parquet
                                                  tokens-00000.parquet and so on

Codes are [streams, codebooks, frames], as the file's chunks have them: -1 in codebooks that a
chunk does not use, in silence and in damage, and frames that two chunks share are there twice.
With --uniform every frame stands for one hop and has equally many codes; -1 is damage. Uniform
codes of one stream are [codebooks, frames] in an .npy and in a tar.
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
    "--format", "kind", type=click.Choice(FORMATS),
    help="npz with all there is, npy with the codes alone, or shards of many files: parquet, "
    "which datasets loads, or webdataset, which are tars; else by the suffix of -o, else npz.",
)  # fmt: skip
@click.option(
    "--uniform", is_flag=True,
    help="A frame for every hop, equally many codes in each. What a file lacks of that is decoded "
    "and encoded again; the rest keeps its codes.",
)  # fmt: skip
@click.option(
    "--codebooks", type=COUNT, metavar="N",
    help="Codes of a uniform frame.  [default: the file's; where that varies, the model's]",
)  # fmt: skip
@click.option(
    "--one-level", is_flag=True,
    help="With --uniform: one level throughout a file, for models that make codes alone. Encodes "
    "all of it again.",
)  # fmt: skip
@click.option(
    "--shard", type=COUNT, default=1000, show_default=True, metavar="N",
    help="Files in a shard, at most.",
)  # fmt: skip
@click.option(
    "--shard-size", type=SIZE, metavar="SIZE",
    help="Bytes of a shard's arrays in memory, at most: 500MB, say.",
)  # fmt: skip
@offline_option
@verbosity_options
@gathered("choices", TokenChoices)
@gathered("outputs", Outputs)
@gathered("size", ShardSize)
@gathered("console", console_of)
def tokens(
    inputs: tuple[str, ...],
    choices: TokenChoices,
    outputs: Outputs,
    batch: Batch,
    kind: str | None,
    size: ShardSize,
    offline: bool,
    console: Console,
) -> None:
    """Write the codes of .ncf files as arrays, to train on.

    INPUT is an .ncf, a directory of them, or '-' for standard input.
    """
    if not choices.uniform and (choices.codebooks is not None or choices.one_level):
        raise click.UsageError("--codebooks and --one-level are for --uniform; give that, too")
    kind = kind or _kind_of(inputs, outputs.output)
    taker = TokenTaker(choices, Codecs("cpu", offline))
    if kind in SUFFIXES:
        several = (batch.jobs or 1) > 1 or batch.scheduler
        if outputs.output is None or outputs.skip_existing or outputs.keep_time or several:
            raise click.UsageError(
                f"--format {kind} puts many inputs into a file: give a directory with -o, or '-' "
                "for one on standard output, and neither -j, --scheduler, --skip-existing nor "
                "--keep-time"
            )
        write_shards(inputs, outputs.output, kind, size, batch, taker, console, force=outputs.force)
        return
    run_batch(inputs, NCF, batch, outputs, f".{kind}", _Taking(kind, taker, outputs), console)


def _kind_of(inputs: tuple[str, ...], output: str | None) -> str:
    if output is None or not names_file(inputs, output):
        return "npz"
    suffix = Path(output).suffix.lower().removeprefix(".")
    if suffix and suffix not in ("npz", "npy"):
        raise click.UsageError(
            f"cannot write .{suffix} files; to .npz and .npy, or say which with --format"
        )
    return suffix or "npz"


@dataclass
class _Taking:
    """Takes the codes out of one file after the other."""

    kind: str
    taker: TokenTaker
    outputs: Outputs

    def __call__(self, job: Job, console: Console) -> Result:
        from neucodec.interchange.tokens import TokenReader, write_npy, write_npz

        if is_there(job, self.outputs, lambda: self._is_whole(job.target), console):
            return SKIPPED
        unchanged = watch(job.source)
        with self.taker.opened(job.source, console) as file:
            found: Codes = (
                self.taker.uniform(file, console)
                if self.taker.choices.uniform
                else TokenReader(file)
            )
            with open_output(job, self.outputs) as target:
                (write_npy if self.kind == "npy" else write_npz)(found, target)
                unchanged()
            if not self.taker.choices.uniform:
                warn_of_layers(job.source, found.fields()["layered"], console)
            console.report(f"{shown(job.source)}: {_summary(file, found)} to {target_name(job)}")
            return result_of(job, file, size_of(job.target))

    def _is_whole(self, path: str) -> bool:
        """Tell whether there are arrays of that name that can be read to their end."""
        import zipfile

        import numpy as np

        with open_input(path) as file:
            try:
                if self.kind == "npy":
                    return np.load(file, allow_pickle=False).ndim in (2, 3)
                return zipfile.ZipFile(file).testzip() is None
            except (OSError, ValueError, EOFError, zipfile.BadZipFile):
                return False


def _summary(file: NcfFile, found: Codes) -> str:
    streams, codebooks, frames = found.shape
    return (
        f"{file.header.codec}, {counted(streams, 'stream')}, {counted(codebooks, 'codebook')}, "
        f"{counted(frames, 'frame')}"
    )
