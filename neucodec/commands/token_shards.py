"""Write the codes of many files into few: shards of Parquet, or tars as WebDataset reads them."""

from __future__ import annotations

import io
import json
import re
import tarfile
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, BinaryIO

import click
import numpy as np

from neucodec.errors import NeucodecError, quoted
from neucodec.files.pipes import as_output, is_special
from neucodec.jobs.input_files import find_inputs
from neucodec.jobs.input_kinds import NCF
from neucodec.jobs.job import Job
from neucodec.jobs.report import open_report
from neucodec.jobs.result import Result
from neucodec.jobs.runner import run_jobs
from neucodec.terminal.console import Console, counted, shown

from .batch_run import Batch, refuse_streams, shown_output
from .token_choices import TokenTaker
from .token_files import result_of

if TYPE_CHECKING:
    from neucodec.interchange.file_tokens import FileTokens

SUFFIXES = {"parquet": ".parquet", "webdataset": ".tar"}


@dataclass(frozen=True)
class ShardSize:
    """Says when a shard is full."""

    shard: int
    """The number of files that fill it."""
    shard_size: int | None
    """The number of bytes that its arrays may take in memory; None for no such bound."""


def parse_size(text: str) -> int:
    """Turn ``500MB``, ``2GB``, ``64 KiB`` or a number into bytes. Raises NeucodecError."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([KMGT]?)(i?)B?", text.strip(), re.IGNORECASE)
    step = 1024 if match and match[3] else 1000
    size = float(match[1]) * step ** " KMGT".index(match[2].upper() or " ") if match else 0.0
    if size < 1:
        raise NeucodecError(f"{quoted(text)} is no size: write it as 500MB, 2GB or in bytes")
    return int(size)


def write_shards(
    inputs: tuple[str, ...],
    output: str,
    kind: str,
    size: ShardSize,
    batch: Batch,
    taker: TokenTaker,
    console: Console,
    *,
    force: bool,
) -> None:
    """Write the codes of all inputs to a directory or a pipe; exit 1 where some could not be had.

    Raises UsageError where there are shards already, ClickException where PyArrow is missing.
    """
    if kind == "parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise click.ClickException(
                "Parquet needs PyArrow: pip install 'neucodec-cli[parquet]'"
            ) from None
    output = as_output(output)
    search = find_inputs(inputs, NCF, console, batch.selection)
    jobs = [Job(name, output) for name, _ in search.files]
    places = dict(search.files)
    refuse_streams(jobs, batch)
    shards = Shards(output, kind, taker, console, places)
    if not is_special(output):
        folder, suffix = Path(output), SUFFIXES[kind]
        if not force and (there := sorted(folder.glob(f"tokens-*{suffix}"))):
            raise click.UsageError(f"{shown(str(there[0]))} exists; -f overwrites such files")
        folder.mkdir(parents=True, exist_ok=True)
        shards.size = size
    with open_report(batch.report) as report:
        fine = run_jobs(
            jobs, search.failures, shards, console, fail_fast=batch.fail_fast, report=report
        )
    shards.write()
    if not fine:
        click.get_current_context().exit(1)


@dataclass
class Shards:
    """Collects the rows of files, and writes them to files when there are enough."""

    output: str
    """The directory or the pipe that they go to."""
    kind: str
    taker: TokenTaker
    console: Console
    places: dict[str, PurePath]
    """The place of each input below the directory that was given."""
    size: ShardSize | None = None
    """When a file is full; None for all in one, which a pipe takes."""
    rows: list[tuple[str, FileTokens]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    written: int = 0

    def __call__(self, job: Job, console: Console) -> Result:
        """Take the codes of a file, and write those that fill a shard; see `jobs.runner.Work`."""
        file, found = self.taker.row(job, console)
        self._make_room(found)
        self.rows.append((self._name(job.source), found))
        self.sources.append(job.source)
        if self.size and len(self.rows) == self.size.shard:
            self.write()
        return result_of(job, file, None)

    def _name(self, source: str) -> str:
        if self.kind == "parquet":
            return shown(source)
        return key_of(self.places[source], {name for name, _ in self.rows})

    def _make_room(self, found: FileTokens) -> None:
        """Begin another file for codes that do not go into one with those at hand."""
        from neucodec.interchange.tokens import MAX_CODES_IN_ROW

        if not self.rows:
            return
        rows = [tokens for _, tokens in self.rows]
        other = self.kind == "parquet" and rows[0].codes.dtype != found.codes.dtype
        codes = found.codes.size + sum(tokens.codes.size for tokens in rows)
        full = other or codes > MAX_CODES_IN_ROW
        if full and self.size is None:
            raise NeucodecError(
                "its codes do not go into one file with those before it, of another width or too "
                "many: give a directory with -o"
            )
        held = sum(map(_bytes_of, [found, *rows]))
        if full or (self.size and self.size.shard_size is not None and held > self.size.shard_size):
            self.write()

    def write(self) -> None:
        """Write what has been collected, if there is anything."""
        from neucodec.files.outfile import output_file

        if not self.rows:
            return
        target = self.output
        if self.size is not None:
            target = str(Path(target) / f"tokens-{self.written:05}{SUFFIXES[self.kind]}")
        with output_file(target, overwrite=True, sources=self.sources) as file:
            (_write_parquet if self.kind == "parquet" else write_tar)(self.rows, file)
        self.console.report(f"{shown_output(target)}: {counted(len(self.rows), 'file')}")
        self.rows, self.sources, self.written = [], [], self.written + 1


def key_of(place: PurePath, taken: set[str]) -> str:
    """Return the key of a file in a tar: its place without suffix and dots, which WebDataset takes
    for suffixes; with a number where another has that key.
    """
    name = re.sub(r"\.", "_", place.with_suffix("").name) or "tokens"
    base = (place.parent / name).as_posix()
    key, number = base, 1
    while key in taken:
        number += 1
        key = f"{base}-{number}"
    return key


def write_tar(rows: list[tuple[str, FileTokens]], file: BinaryIO) -> None:
    """Write samples as WebDataset has them: KEY.codes.npy, KEY.scales.npy and KEY.json, the codes
    as `write_npy` has them. The same codes give the same bytes.
    """
    from neucodec.interchange.token_arrays import write_npy

    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for key, tokens in rows:
            codes, scales = io.BytesIO(), io.BytesIO()
            write_npy(tokens, codes)
            np.save(scales, tokens.scales, allow_pickle=False)
            arrays = ("scales", "mid_side", "layered")
            facts = {k: v for k, v in tokens.fields().items() if k not in arrays}
            facts |= {k: tokens.fields()[k].astype(int).tolist() for k in arrays[1:]}
            for suffix, data in (
                ("codes.npy", codes.getvalue()),
                ("scales.npy", scales.getvalue()),
                ("json", json.dumps(facts).encode()),
            ):
                entry = tarfile.TarInfo(f"{key}.{suffix}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))


def _write_parquet(rows: list[tuple[str, FileTokens]], file: BinaryIO) -> None:
    import pyarrow.parquet

    from neucodec.interchange.token_tables import arrow_table

    pyarrow.parquet.write_table(arrow_table(rows), file)


def _bytes_of(tokens: FileTokens) -> int:
    return tokens.codes.nbytes + tokens.scales.nbytes
