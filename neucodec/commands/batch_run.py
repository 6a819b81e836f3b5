"""Do what ``encode``, ``decode`` and others share.

That is: going from inputs to jobs, and opening what jobs name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import BinaryIO

import click

from neucodec.errors import NeucodecError
from neucodec.files import paths
from neucodec.files.pipes import as_output
from neucodec.files.urls import is_remote
from neucodec.jobs.input_files import Search, Selection, find_inputs
from neucodec.jobs.input_kinds import Kind
from neucodec.jobs.job import Job
from neucodec.jobs.output_names import names_file, plan_jobs, second_as_output
from neucodec.jobs.report import open_report
from neucodec.jobs.runner import Runner, Work, one_by_one, run_jobs
from neucodec.parallel.thread_counts import available_threads, memory_bytes
from neucodec.terminal.console import Console, counted, shown
from neucodec.terminal.standard_streams import PIPE

MANY = 64
"""Files from which on several are done at once, unless -j says otherwise."""
MOST_PROCESSES, MEMORY_EACH = 4, 2 << 30


@dataclass(frozen=True)
class Outputs:
    """Says where outputs go, and what happens to those that are there."""

    output: str | None
    force: bool
    skip_existing: bool
    keep_time: bool = False
    """Outputs get the modification time of their inputs."""

    @property
    def may_overwrite(self) -> bool:
        """Tell whether an output may replace a file. What is there has been looked at before: whole
        outputs are skipped, the rest made again.
        """
        return self.force or self.skip_existing


@dataclass(frozen=True)
class Batch:
    """Says how a command goes about many files."""

    selection: Selection = field(default_factory=Selection)
    jobs: int | None = None
    """Files at once; None to go by how many there are."""
    fail_fast: bool = False
    strict_inputs: bool = False
    """Whether media files that a directory has and that cannot be read make the run fail."""
    report: str | None = None
    scheduler: str | None = None
    """Address of that of a Dask cluster, if the files are for one."""


def run_batch(
    inputs: Sequence[str],
    kind: Kind,
    batch: Batch,
    outputs: Outputs,
    suffix: str,
    work: Work,
    console: Console,
) -> None:
    """Do ``work`` on all that the inputs stand for; exit 1 where some of it failed."""
    search = find_inputs(inputs, kind, console, batch.selection)
    try:
        jobs = plan_jobs(inputs, search.files, outputs.output, suffix, kind.suffixes)
    except NeucodecError as error:
        raise click.UsageError(str(error)) from None
    refuse_streams(jobs, batch)
    _warn_of_what_is_left_out(search, console)
    from neucodec.files.outfile import sweep

    here = [j.target for j in jobs if not is_remote(j.target) and not paths.is_special(j.target)]
    not_here = (is_remote(job.source) or paths.is_special(job.source) for job in jobs)
    if outputs.keep_time and (len(here) < len(jobs) or any(not_here)):
        raise click.UsageError("--keep-time is for files on this machine, not for URLs and pipes")
    if swept := sweep(here):
        console.detail(f"{counted(swept, 'file')} removed that a run which was killed had begun")
    runner = _runner(batch, len(jobs), outputs, console)
    with open_report(batch.report) as report:
        fine = run_jobs(
            jobs, search.failures, work, console,
            runner=runner, fail_fast=batch.fail_fast, report=report,
            passed_over=search.unreadable.total(),
        )  # fmt: skip
    if not fine or (batch.strict_inputs and search.unreadable):
        click.get_current_context().exit(1)


def with_output(
    inputs: Sequence[str], outputs: Outputs, suffixes: Collection[str]
) -> tuple[Sequence[str], Outputs]:
    """Take the second of two inputs as the output where it is meant so; see `second_as_output`.

    Raises UsageError where it is not there, and no name for an output with one of the suffixes.
    """
    first, output = second_as_output(inputs, outputs.output, suffixes)
    if first is not inputs and output is not None and names_file(first, output):
        suffix = PurePath(output).suffix.lower()
        if suffix and suffix not in suffixes:
            raise click.UsageError(
                f"{shown(output)} is not there, and as an output its name must end in "
                f"{', '.join(suffixes)}"
            )
    return first, replace(outputs, output=output)


def _runner(batch: Batch, count: int, outputs: Outputs, console: Console) -> Runner:
    if batch.scheduler is not None:
        try:
            from neucodec.jobs.cluster import Cluster
        except ImportError:
            raise click.ClickException(
                "--scheduler needs Dask: pip install 'neucodec-cli[cluster]'"
            ) from None

        def refuse(job: Job) -> None:
            if not outputs.skip_existing:
                is_there(job, outputs, lambda: False, console)

        return Cluster(batch.scheduler, refuse)
    processes = processes_for(count) if batch.jobs is None else batch.jobs
    if min(processes, count) < 2:
        return one_by_one
    from neucodec.jobs.pool import Pool

    return Pool(processes)


def processes_for(count: int) -> int:
    """Return how many files to do at once, where nobody has said.

    Processors idle at both ends of a file, which with many files adds up; with few, starting other
    processes costs more.
    """
    if count < MANY:
        return 1
    return max(1, min(available_threads(), MOST_PROCESSES, memory_bytes() // MEMORY_EACH))


def _warn_of_what_is_left_out(search: Search, console: Console) -> None:
    for (name, unreadable), count in sorted(search.unreadable.items()):
        console.warn(
            name,
            f"{counted(count, f'{unreadable} file')} passed over: that takes PyAV (pip install av) "
            "or ffmpeg on the PATH",
        )
    for name, count in sorted(search.links.items()):
        if count:
            links = "link to a directory" if count == 1 else "links to directories"
            console.warn(name, f"{count} {links} not followed; --follow-links does")


def target_name(job: Job) -> str:
    """Return the name of a job's output, to be shown."""
    return shown_output(job.target)


def shown_output(name: str) -> str:
    """Return the name of an output, to be shown."""
    return "standard output" if name == PIPE else shown(name)


def refuse_streams(jobs: Sequence[Job], batch: Batch) -> None:
    """Raise UsageError where a job would read from a terminal or write to one, or two things would
    be written to standard output.
    """
    for job in jobs:
        if job.source == PIPE and sys.stdin is not None and sys.stdin.isatty():
            raise click.UsageError(
                "standard input is a terminal; pipe something in, or name a file"
            )
        if job.target == PIPE and sys.stdout.isatty():
            raise click.UsageError(
                "will not write binary data to a terminal; pipe it on, or give -o FILE"
            )
        if job.target == PIPE and batch.report and as_output(batch.report) == PIPE:
            raise click.UsageError(
                "--report - and the output would both go to standard output; give one of them the "
                "name of a file"
            )


def is_there(
    job: Job, outputs: Outputs, is_whole: Callable[[], bool | str], console: Console
) -> bool:
    """Tell whether the job's output is there and to be left alone.

    ``is_whole`` checks it: what it gives is whether it is, or words on why it is to be made again.
    Raises NeucodecError where it may not be overwritten.
    """
    if not paths.is_file(job.target):
        return False
    check = outputs.skip_existing or (job.is_retry and not outputs.force)
    older = outputs.skip_existing and _is_older(job)
    found = "is older than its source" if older else check and is_whole()
    if found is True:
        console.detail(f"{shown(job.source)}: skipped, {shown(job.target)} is there")
        return True
    if outputs.skip_existing:
        reason = found or "is not whole"
        console.report(f"{shown(job.source)}: {shown(job.target)} {reason}, made again")
    elif not outputs.force:
        raise NeucodecError(
            f"{shown(job.target)} exists; -f overwrites it, --skip-existing passes over it"
        )
    return False


def _is_older(job: Job) -> bool:
    """Tell whether an output was last written before its source was; of files here only."""
    if is_remote(job.source) or paths.is_special(job.source) or is_remote(job.target):
        return False
    try:
        return Path(job.target).stat().st_mtime_ns < Path(job.source).stat().st_mtime_ns
    except OSError:
        return False


@contextmanager
def open_input(source: str) -> Iterator[BinaryIO]:
    """Open the bytes of an input, be it a file, a URL or a pipe."""
    with paths.open_to_read(source) as file:
        yield file


@contextmanager
def open_output(job: Job, outputs: Outputs) -> Iterator[BinaryIO]:
    """Open the output to write; a file appears under its name only when all went well."""
    from neucodec.files.outfile import output_file

    make_folder(job)
    modified = modification_time(job, outputs)
    sources = [job.source]
    with output_file(job.target, outputs.may_overwrite, modified=modified, sources=sources) as file:
        yield file


def modification_time(job: Job, outputs: Outputs) -> int | None:
    """Return the modification time in nanoseconds that the output is to have; None for that of its
    making.
    """
    if not outputs.keep_time:
        return None
    return Path(job.source).stat().st_mtime_ns


def watch(source: str) -> Callable[[], None]:
    """Return a check that a file is still as it is now.

    The check raises NeucodecError where the file is not.
    """
    before = None if source == PIPE else paths.state(source)

    def check() -> None:
        after = None if before is None else paths.state(source)
        if None not in (before, after) and before != after:
            raise NeucodecError(
                "changed while it was being read; try again when nothing writes to it any more"
            )

    return check


def make_folder(job: Job) -> None:
    """Make the directory that a job's output goes to, if the tree of outputs still lacks it."""
    if job.in_tree and not is_remote(job.target):
        Path(job.target).parent.mkdir(parents=True, exist_ok=True)
