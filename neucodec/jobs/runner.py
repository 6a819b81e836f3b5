"""Run many jobs: go on after failures, count outcomes, report them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Protocol

import click

from neucodec.terminal.console import Console, counted, explain
from neucodec.terminal.progress import FilesProgress
from neucodec.terminal.signals import end_if_told

from .job import Job
from .report import NO_REPORT, ReportWriter
from .result import Outcome, Result


class Work(Protocol):
    """Does one job after the other.

    Other processes get it pickled, and workers of a cluster call it from several threads.
    """

    def __call__(self, job: Job, console: Console) -> Result:
        """Do one job and return its result.

        An exception fails this job alone. BrokenPipeError and ClickException end the run: they say
        that no other job would fare better.
        """
        ...


class Runner(Protocol):
    """A way to run jobs: one after the other, in processes, or on a cluster."""

    def __call__(
        self, jobs: Iterable[Job], work: Work, console: Console, total: int
    ) -> Iterator[tuple[Job, Result]]:
        """Do the jobs, which are taken one by one as there is room; give results as they come.

        `total` is the number of jobs, for the progress bar.
        """
        ...


def attempt(job: Job, work: Work, console: Console) -> Result:
    """Do one job and return its result; a failure is told on the console and is a result, too."""
    began = time.perf_counter()
    try:
        result = work(job, console)
    except (BrokenPipeError, click.ClickException):
        raise
    except Exception as error:
        end_if_told()
        console.fail(job.source, error)
        result = Result(Outcome.FAILED, error=explain(error, job.source))
    if job.is_retry and result.outcome is Outcome.SKIPPED:
        result = replace(result, outcome=Outcome.DONE)
    return replace(result, seconds=time.perf_counter() - began)


def one_by_one(
    jobs: Iterable[Job], work: Work, console: Console, total: int
) -> Iterator[tuple[Job, Result]]:
    """Run one job after the other in this process; a `Runner`."""
    with ExitStack() as shown:
        files = shown.enter_context(console.files(total)) if total > 1 else FilesProgress()
        for number, job in enumerate(jobs, 1):
            end_if_told()
            console.place = f"{number}/{total} " if total > 1 else ""
            result = attempt(job, work, console)
            files.file()
            yield job, result


def run_jobs(
    jobs: Sequence[Job],
    failures: Sequence[tuple[str, str]],
    work: Work,
    console: Console,
    *,
    runner: Runner = one_by_one,
    fail_fast: bool = False,
    report: ReportWriter = NO_REPORT,
    passed_over: int = 0,
) -> bool:
    """Run all jobs, going on after failures; return whether none failed.

    ``failures`` are inputs that could not become jobs, and why. With several files the console gets
    a line that counts the outcomes, and the files that were ``passed_over`` in directories. With
    ``fail_fast`` no job is begun after the first failure.
    """
    counts = Counter(failed=len(failures))
    for name, reason in failures:
        console.fail(name, reason)
        report.write(name, None, Result(Outcome.FAILED, error=reason))

    def wanted() -> Iterator[Job]:
        for job in jobs:
            if fail_fast and counts["failed"]:
                return
            yield job

    for job, result in runner(wanted(), work, console, len(jobs)):
        counts[result.outcome.value] += 1
        report.write(job.source, job.target, result)
    total = len(jobs) + len(failures)
    not_begun = total - counts.total()
    if total > 1 or passed_over:
        ended = [f"{counts[k.value]} {k.value}" for k in Outcome if counts[k.value]]
        ended += [f"{not_begun} not begun"] if not_begun else []
        ended += [f"{passed_over} passed over"] if passed_over else []
        console.report(f"{counted(total + passed_over, 'file')}: {', '.join(ended)}")
    return not counts["failed"]
