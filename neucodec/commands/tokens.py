"""Define ``neucodec tokens``: the codes of .ncf files as arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neucodec.errors import NeucodecError
from neucodec.files.paths import size as size_of
from neucodec.files.pipes import as_output, is_special
from neucodec.jobs.input_files import find_inputs
from neucodec.jobs.input_kinds import NCF
from neucodec.jobs.job import Job
from neucodec.jobs.output_names import names_file
from neucodec.jobs.report import open_report
from neucodec.jobs.result import SKIPPED, Result
from neucodec.jobs.runner import run_jobs
from neucodec.terminal.console import Console, counted, shown

from .batch_run import (
    Batch,
    Outputs,
    is_there,
    open_input,
    open_output,
    refuse_streams,
    run_batch,
    shown_output,
    target_name,
    watch,
)
from .codec_loader import Codecs
from .options import (
    batch_options,
    inputs_argument,
    offline_option,
    output_options,
    verbosity_options,
)
from .parameter_types import COUNT
from .token_files import opened_codes, result_of, warn_of_layers

if TYPE_CHECKING:
    from neucodec.file import NcfFile
    from neucodec.interchange.tokens import FileTokens, TokenReader

FORMATS = ("npz", "npy", "parquet")
EPILOG = """
\b
Examples:
  neucodec tokens song.ncf                        song.npz: codes, scales, rates
  neucodec tokens archive/ -o tokens/ --format npy
  neucodec tokens archive/ -o tokens/ --format parquet
                                                  tokens-00000.parquet and so on

Codes are [streams, codebooks, frames], -1 where there are none: silence, or damage.
"""


@click.command(epilog=EPILOG)
@inputs_argument
@output_options
@batch_options
@click.option(
    "--format", "kind", type=click.Choice(FORMATS),
    help="npz with all there is, npy with the codes alone, or parquet with a row for every file; "
    "else by the suffix of -o, else npz.",
)  # fmt: skip
@click.option(
    "--shard", type=COUNT, default=1000, show_default=True, metavar="N",
    help="Files in a Parquet file.",
)  # fmt: skip
@offline_option
@verbosity_options
def tokens(
    inputs: tuple[str, ...],
    output: str | None,
    force: bool,
    skip_existing: bool,
    keep_time: bool,
    batch: Batch,
    kind: str | None,
    shard: int,
    offline: bool,
    quiet: int,
    verbose: int,
) -> None:
    """Write the codes of .ncf files as arrays, to train on.

    INPUT is an .ncf, a directory of them, or '-' for standard input.
    """
    kind = kind or _kind_of(inputs, output)
    console, codecs = Console(verbose - quiet), Codecs("cpu", offline)
    if kind == "parquet":
        if output is None or skip_existing or keep_time or (batch.jobs or 1) > 1 or batch.scheduler:
            raise click.UsageError(
                "Parquet files hold many inputs each: give a directory with -o, or '-' for one on "
                "standard output, and neither -j, --scheduler, --skip-existing nor --keep-time"
            )
        _write_parquet(inputs, as_output(output), force, shard, batch, codecs, console)
        return
    outputs = Outputs(output, force, skip_existing, keep_time)
    run_batch(inputs, NCF, batch, outputs, f".{kind}", _Taking(kind, codecs, outputs), console)


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
    codecs: Codecs
    outputs: Outputs

    def __call__(self, job: Job, console: Console) -> Result:
        from neucodec.interchange.tokens import TokenReader, write_npy, write_npz

        if is_there(job, self.outputs, lambda: self._is_whole(job.target), console):
            return SKIPPED
        unchanged = watch(job.source)
        with opened_codes(job.source, self.codecs, console) as file:
            found = TokenReader(file)
            with open_output(job, self.outputs) as target:
                (write_npy if self.kind == "npy" else write_npz)(found, target)
                unchanged()
            warn_of_layers(job.source, found.layered, console)
            console.report(f"{shown(job.source)}: {_summary(file, found)} to {target_name(job)}")
            return result_of(job, file, size_of(job.target))

    def _is_whole(self, path: str) -> bool:
        """Tell whether there are arrays of that name that can be read to their end."""
        import zipfile

        import numpy as np

        with open_input(path) as file:
            try:
                if self.kind == "npy":
                    return bool(np.load(file, allow_pickle=False).ndim == 3)
                return zipfile.ZipFile(file).testzip() is None
            except (OSError, ValueError, EOFError, zipfile.BadZipFile):
                return False


def _write_parquet(
    inputs: tuple[str, ...],
    output: str,
    force: bool,
    size: int,
    batch: Batch,
    codecs: Codecs,
    console: Console,
) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise click.ClickException(
            "Parquet needs PyArrow: pip install 'neucodec-cli[parquet]'"
        ) from None
    search = find_inputs(inputs, NCF, console, batch.selection)
    jobs = [Job(name, output) for name, _ in search.files]
    refuse_streams(jobs, batch)
    shards: _Shards = _OneStream(output, codecs, console)
    if not is_special(output):
        folder = Path(output)
        if not force and (there := sorted(folder.glob("tokens-*.parquet"))):
            raise click.UsageError(f"{shown(str(there[0]))} exists; -f overwrites such files")
        folder.mkdir(parents=True, exist_ok=True)
        shards = _Shards(output, codecs, console, size)
    with open_report(batch.report) as report:
        fine = run_jobs(
            jobs, search.failures, shards, console, fail_fast=batch.fail_fast, report=report
        )
    shards.write()
    if not fine:
        click.get_current_context().exit(1)


@dataclass
class _Shards:
    """Collects the rows of files, and writes them to files when there are enough."""

    output: str
    """The directory that they go to."""
    codecs: Codecs
    console: Console
    size: int | None = None
    """Rows of a file; None for all in one."""
    rows: list[tuple[str, FileTokens]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    written: int = 0

    def __call__(self, job: Job, console: Console) -> Result:
        from neucodec.interchange.tokens import MAX_CODES_IN_ROW, TokenReader, read_tokens

        unchanged = watch(job.source)
        with opened_codes(job.source, self.codecs, console) as file:
            count = math.prod(TokenReader(file).shape)
            if count > MAX_CODES_IN_ROW:
                raise NeucodecError(
                    f"{count} codes: a row of Parquet holds {MAX_CODES_IN_ROW}, so use --format npz"
                )
            found = read_tokens(file)
            unchanged()
            warn_of_layers(job.source, found.layered, console)
            result = result_of(job, file, None)
        held = sum(tokens.codes.size for _, tokens in self.rows)
        other = self.rows and self.rows[0][1].codes.dtype != found.codes.dtype
        if other or held + count > MAX_CODES_IN_ROW:
            self.begin_another()
        self.rows.append((shown(job.source), found))
        self.sources.append(job.source)
        if len(self.rows) == self.size:
            self.write()
        return result

    @property
    def target(self) -> str:
        """Return where the rows at hand go."""
        return str(Path(self.output) / f"tokens-{self.written:05}.parquet")

    def begin_another(self) -> None:
        """Start a file for codes that do not go into one with those at hand."""
        self.write()

    def write(self) -> None:
        """Write what has been collected, if there is anything."""
        import pyarrow.parquet

        from neucodec.files.outfile import output_file
        from neucodec.interchange.tokens import arrow_table

        if not self.rows:
            return
        with output_file(self.target, overwrite=True, sources=self.sources) as file:
            pyarrow.parquet.write_table(arrow_table(self.rows), file)
        self.console.report(f"{shown_output(self.target)}: {counted(len(self.rows), 'file')}")
        self.rows, self.sources, self.written = [], [], self.written + 1


class _OneStream(_Shards):
    """Collects all rows, and writes them to a pipe."""

    @property
    def target(self) -> str:
        """Return the pipe."""
        return self.output

    def begin_another(self) -> None:
        """Refuse: a pipe takes one file."""
        raise NeucodecError(
            "its codes do not go into one Parquet file with those before it, of another width or "
            "too many: give a directory with -o"
        )


def _summary(file: NcfFile, found: TokenReader) -> str:
    streams, codebooks, frames = found.shape
    return (
        f"{file.header.codec}, {counted(streams, 'stream')}, {counted(codebooks, 'codebook')}, "
        f"{counted(frames, 'frame')}"
    )
