"""Jobs on the machines of a Dask cluster.

Its workers have this package installed, and see files under the same names as this machine does:
on a shared file system, or by URLs. When a worker dies, Dask gives the jobs that it had begun, or
whose results it had not yet handed over, to others. The scheduler keeps which jobs of a run have
been begun: only for those may an output that exists be the work of a worker that died.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING

import click
import distributed

from neucodec.errors import NeucodecError
from neucodec.files.paths import is_special
from neucodec.files.urls import is_remote
from neucodec.parallel.thread_counts import limit_threads
from neucodec.terminal.console import REPORTS, Console, Relay, explain, shown
from neucodec.terminal.signals import end_if_told, interruptible
from neucodec.terminal.standard_streams import PIPE

from .job import Job
from .result import Outcome, Result
from .runner import Work, attempt

if TYPE_CHECKING:
    from distributed import Client, Future

_PATIENCE = 60.0
"""Seconds within which a scheduler has to answer."""
_WORKER_PATIENCE = 300.0
"""Seconds within which a scheduler has to have a worker: machines take a while to start."""
_LOST_SECONDS = 60.0
"""Seconds that a result which is ready may take to arrive. One that takes longer was lost with its
worker, and Dask has not noticed."""
_LOOK_SECONDS = 0.02
"""Seconds between two looks at whether a job has ended."""
_AHEAD = 2
"""Jobs that each thread of a worker is given ahead, so that it need not wait for this machine."""


@dataclass(frozen=True)
class _Answer:
    """The outcome of a job, as a worker hands it over."""

    result: Result
    lines: tuple[str, ...] = ()
    """Lines for the console of the machine that gave the job."""
    abort_reason: str | None = None
    """Why the run is to end: no other job would fare better. None where it goes on."""


class Cluster:
    """The runner that gives jobs to the workers of a Dask scheduler."""

    def __init__(self, address: str, refuse: Callable[[Job], None]) -> None:
        """Run jobs at the scheduler's address.

        ``refuse`` raises NeucodecError where a job may not be begun because its output exists. This
        machine asks it, not the workers: a worker may find what one that died made in this run.
        """
        self._address, self._refuse = address, refuse

    def __call__(
        self, jobs: Iterable[Job], work: Work, console: Console, total: int
    ) -> Iterator[tuple[Job, Result]]:
        """Do the jobs and give their results as they come, in any order.

        Raises ClickException where there is no cluster, or no job can be done.
        """
        recipe, waiting = pickle.dumps((work, console.verbosity)), iter(jobs)
        run, begun = secrets.token_hex(8), 0
        under_way: dict[Future, tuple[Job, str]] = {}
        with _connected(self._address, console) as client, console.files(total) as progress:
            ended = distributed.as_completed(loop=client.loop)

            def begin(job: Job, mark: str) -> None:
                # Not pure: a job like one that was done before is to be done, too.
                future = client.submit(_do, recipe, _with_absolute_names(job), mark, pure=False)
                under_way[future] = job, mark
                ended.add(future)

            more = True
            while more or under_way:
                room = max(1, _AHEAD * sum(client.nthreads().values()))
                while more and len(under_way) < room:
                    job = next(waiting, None)
                    if job is None:
                        more = False
                        break
                    try:
                        self._refuse(job)
                    except NeucodecError as error:
                        console.fail(job.source, error)
                        yield job, Result(Outcome.FAILED, error=explain(error, job.source))
                        continue
                    begin(job, f"neucodec-{run}-{begun}")
                    begun += 1
                if not under_way:
                    continue
                while not ended.has_ready():
                    end_if_told()
                    time.sleep(_LOOK_SECONDS)
                future = next(ended)
                job, mark = under_way.pop(future)
                answer = _answer(future, job)
                if answer is None:
                    future.cancel()
                    begin(job, mark)
                    continue
                distributed.Event(mark, client).clear()
                if answer.abort_reason is not None:
                    raise click.ClickException(answer.abort_reason)
                for line in answer.lines:
                    console.say(line)
                progress.audio(answer.result.audio_seconds or 0.0)
                progress.file()
                yield job, answer.result


def _connected(address: str, console: Console) -> Client:
    """Return a client of the scheduler once it has a worker. Raises ClickException."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        with interruptible():
            client = distributed.Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise click.ClickException(
            f"no Dask scheduler answers at {address} ({error}); start one with 'dask scheduler'"
        ) from None
    if not client.nthreads():
        console.report(f"{address} has no workers yet: waiting for one")
    try:
        with interruptible():
            client.wait_for_workers(1, timeout=_WORKER_PATIENCE)
    except (TimeoutError, asyncio.TimeoutError):
        client.close()
        raise click.ClickException(
            f"the scheduler at {address} has no workers; start some with 'dask worker {address}'"
        ) from None
    return client


def _with_absolute_names(job: Job) -> Job:
    """Return the job with names that do not depend on the current directory.

    Raises ClickException for pipes and devices, which no other machine can reach.
    """
    for name in (job.source, job.target):
        if is_special(name):
            raise click.ClickException(
                f"{shown(name) if name != PIPE else repr(PIPE)} is a pipe of this machine, which "
                "no other can reach"
            )
    source, target = (
        name if is_remote(name) else os.path.abspath(name)  # noqa: PTH100 - keeps odd names
        for name in (job.source, job.target)
    )
    return replace(job, source=source, target=target)


def _answer(future: Future, job: Job) -> _Answer | None:
    """Return what a worker handed over, or why none could; None where the result is lost."""
    try:
        answer: _Answer = future.result(_LOST_SECONDS)
    except distributed.KilledWorker as error:
        return _failed(job, f"{error.allowed_failures + 1} workers died over it: out of memory?")
    except (ImportError, AttributeError, pickle.UnpicklingError) as error:
        reason = f"the workers lack this version of neucodec: {error}"
        return _Answer(Result(Outcome.FAILED), abort_reason=reason)
    except Exception as error:
        late = isinstance(error, (TimeoutError, asyncio.TimeoutError))
        if late and future.status != "error":
            return None
        if future.status in ("cancelled", "lost"):
            return _Answer(Result(Outcome.FAILED), abort_reason="the scheduler has gone")
        return _failed(job, f"{type(error).__name__} on a worker: {error}")
    return answer


def _failed(job: Job, reason: str) -> _Answer:
    """Return the answer that a worker would give if the job had failed there."""
    lines: list[str] = []
    Relay(REPORTS, lambda line: lines.append(str(line))).fail(job.source, reason)
    return _Answer(Result(Outcome.FAILED, error=reason), tuple(lines))


_lock = Lock()
_held: tuple[bytes, Work, int] | None = None
"""The work that this worker process was last given, pickled and unpickled, and its verbosity. It is
kept between jobs with the models that it has loaded."""


def _do(recipe: bytes, job: Job, mark: str) -> _Answer:
    """Do one job, on a worker; each of its threads does one at a time.

    ``recipe`` is the pickled work and verbosity. ``mark`` is the name of the event by which the
    scheduler keeps that a worker has begun the job.
    """
    begun = distributed.Event(mark)
    job = replace(job, is_retry=begun.is_set())
    begun.set()
    lines: list[str] = []

    def keep(message: str | float) -> None:
        if isinstance(message, str):
            lines.append(message)

    work, verbosity = _unpacked(recipe)
    try:
        result = attempt(job, work, Relay(verbosity, keep))
    except click.ClickException as error:
        result = Result(Outcome.FAILED)
        return _Answer(result, tuple(lines), abort_reason=error.format_message())
    return _Answer(result, tuple(lines))


def _unpacked(recipe: bytes) -> tuple[Work, int]:
    """Return the work and the verbosity of a recipe, the same objects as for the job before."""
    global _held
    with _lock:
        if _held is None or _held[0] != recipe:
            limit_threads(1)
            _held = (recipe, *pickle.loads(recipe))
        return _held[1:]
