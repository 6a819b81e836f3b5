"""What ``encode`` and ``decode`` share: from inputs to jobs, and opening what they name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import click

from ..batch import PIPE, Job, Kind, Outcome, find_files, plan_jobs, run_jobs
from ..console import Console, counted, shown
from ..errors import NeucodecError

NCF = Kind(".ncf files", frozenset({".ncf"}))


@dataclass(frozen=True)
class Outputs:
    """Where outputs go, and what happens to those that are there."""

    output: str | None
    force: bool
    skip_existing: bool

    @property
    def may_overwrite(self) -> bool:
        """What is there has been looked at before: whole outputs are skipped, the rest redone."""
        return self.force or self.skip_existing


def run_batch(
    inputs: Sequence[str],
    kind: Kind,
    exclude: Sequence[str],
    outputs: Outputs,
    suffix: str,
    work: Callable[[Job], Outcome],
    console: Console,
) -> None:
    """Do ``work`` on all that the inputs stand for; exit 1 where some of it failed."""
    search = find_files(inputs, kind, exclude)
    try:
        jobs = plan_jobs(inputs, search.files, outputs.output, suffix, kind.suffixes)
    except NeucodecError as error:
        raise click.UsageError(str(error)) from None
    _refuse_terminals(jobs)
    for (name, unreadable), count in sorted(search.unreadable.items()):
        console.warn(
            name,
            f"{counted(count, f'{unreadable} file')} passed over: cannot be read here; convert to "
            "wav or flac first",
        )
    if not run_jobs(jobs, search.failures, work, console):
        click.get_current_context().exit(1)


def target_name(job: Job) -> str:
    """A job's output, to be shown."""
    return "standard output" if job.target == PIPE else shown(job.target)


def _refuse_terminals(jobs: Sequence[Job]) -> None:
    for job in jobs:
        if job.source == PIPE and sys.stdin.isatty():
            raise click.UsageError(
                "standard input is a terminal; pipe something in, or name a file"
            )
        if job.target == PIPE and sys.stdout.isatty():
            raise click.UsageError(
                "will not write binary data to a terminal; pipe it on, or give -o FILE"
            )


def is_there(job: Job, outputs: Outputs, is_whole: Callable[[], bool], console: Console) -> bool:
    """Whether the job's output is there and to be left alone.

    ``is_whole`` checks it. Raises NeucodecError where it may not be overwritten.
    """
    if job.target == PIPE or not Path(job.target).is_file():
        return False
    if outputs.skip_existing:
        if is_whole():
            console.detail(f"{shown(job.source)}: skipped, {shown(job.target)} is there")
            return True
        console.detail(f"{shown(job.source)}: {shown(job.target)} is damaged, made again")
    elif not outputs.force:
        raise NeucodecError(
            f"{shown(job.target)} exists; -f overwrites it, --skip-existing passes over it"
        )
    return False


@contextmanager
def open_input(source: str) -> Iterator[BinaryIO]:
    """The bytes of an input."""
    if source == PIPE:
        yield sys.stdin.buffer
        return
    with Path(source).open("rb") as file:
        yield file


@contextmanager
def open_output(job: Job, outputs: Outputs) -> Iterator[BinaryIO]:
    """The output to write; a file appears under its name only when all went well."""
    if job.target == PIPE:
        yield cast(BinaryIO, Unbuffered(sys.stdout.buffer))
        return
    from ..outfile import output_file

    make_folder(job)
    with output_file(job.target, force=outputs.may_overwrite) as file:
        yield file


def make_folder(job: Job) -> None:
    """Make the directory that a job's output goes to, if the tree of outputs still lacks it."""
    if job.in_tree:
        Path(job.target).parent.mkdir(parents=True, exist_ok=True)


class Unbuffered:
    """Standard output from which every write gets out at once, as the reader of a pipe wants."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        """Write all of it."""
        count = self._file.write(data)
        self._file.flush()
        return count

    def flush(self) -> None:
        """Nothing is ever held back."""

    def seekable(self) -> bool:
        """Even where it could: what stands before our output is not ours."""
        return False
