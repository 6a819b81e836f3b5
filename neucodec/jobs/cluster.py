"""Jobs on the machines of a Dask cluster.

Its workers have this package, and see the files under the same names as this machine does: a shared
file system, or URLs. Dask does again what a worker that dies had begun or not yet handed over. The
scheduler keeps in mind which jobs of a run have been begun, so that an output that is there is
taken for that of a worker which died only where there may have been one.
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
"""Seconds within which a scheduler answers."""
_WORKER_PATIENCE = 300.0
"""Seconds within which it has its first worker: machines take a while to start."""
_LOST_SECONDS = 60.0
"""So long a result that is ready may take to arrive. One that takes longer was lost with its
worker, and Dask has missed that."""
_LOOK_SECONDS = 0.02
"""How often it is looked whether a job has ended."""
_AHEAD = 2
"""Jobs that every thread of a worker has before it, so that none waits for this machine."""


@dataclass(frozen=True)
class _Answer:
    """What a worker hands over."""

    result: Result
    lines: tuple[str, ...] = ()
    no_use: str | None = None
    """Why no other job would fare better."""


class Cluster:
    """The runner that gives jobs to the workers of a Dask scheduler."""

    def __init__(self, address: str, refuse: Callable[[Job], None]) -> None:
        """``refuse`` raises where a job cannot be begun because its output is there. That is looked
        at here, since a worker may meet what a dead one has made for this very run."""
        self._address, self._refuse = address, refuse

    def __call__(
        self, jobs: Iterable[Job], work: Work, console: Console, total: int
    ) -> Iterator[tuple[Job, Result]]:
        """Do the jobs; results as they come. Raises ClickException where there is no cluster."""
        recipe, waiting = pickle.dumps((work, console.verbosity)), iter(jobs)
        run, begun = secrets.token_hex(8), 0
        under_way: dict[Future, tuple[Job, str]] = {}
        with _connected(self._address, console) as client, console.files(total) as progress:
            ended = distributed.as_completed(loop=client.loop)

            def begin(job: Job, mark: str) -> None:
                # Each is a task of its own, also where one like it was done before.
                future = client.submit(_do, recipe, _as_seen_from_afar(job), mark, pure=False)
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
                if answer.no_use is not None:
                    raise click.ClickException(answer.no_use)
                for line in answer.lines:
                    console.say(line)
                progress.audio(answer.result.audio_seconds or 0.0)
                progress.file()
                yield job, answer.result


def _connected(address: str, console: Console) -> Client:
    """A client of the scheduler, which has a worker at least."""
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


def _as_seen_from_afar(job: Job) -> Job:
    """The job with names that do not depend on the directory one is in."""
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
    """What a worker handed over, or what is to be said where none could; None for a lost result."""
    try:
        answer: _Answer = future.result(_LOST_SECONDS)
    except distributed.KilledWorker as error:
        return _failed(job, f"{error.allowed_failures + 1} workers died over it: out of memory?")
    except (ImportError, AttributeError, pickle.UnpicklingError) as error:
        reason = f"the workers lack this version of neucodec: {error}"
        return _Answer(Result(Outcome.FAILED), no_use=reason)
    except Exception as error:
        late = isinstance(error, (TimeoutError, asyncio.TimeoutError))
        if late and future.status != "error":
            return None
        if future.status in ("cancelled", "lost"):
            return _Answer(Result(Outcome.FAILED), no_use="the scheduler has gone")
        return _failed(job, f"{type(error).__name__} on a worker: {error}")
    return answer


def _failed(job: Job, reason: str) -> _Answer:
    lines: list[str] = []
    Relay(REPORTS, lambda line: lines.append(str(line))).fail(job.source, reason)
    return _Answer(Result(Outcome.FAILED, error=reason), tuple(lines))


_lock = Lock()
_held: tuple[bytes, Work, int] | None = None
"""What this worker was last asked to do, with the models that it has loaded for that."""


def _do(recipe: bytes, job: Job, mark: str) -> _Answer:
    """Do one job, on a worker. As many are done at once as the worker has threads.

    ``mark`` is what the scheduler knows the job by once a worker has begun it.
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
        return _Answer(result, tuple(lines), no_use=error.format_message())
    return _Answer(result, tuple(lines))


def _unpacked(recipe: bytes) -> tuple[Work, int]:
    global _held
    with _lock:
        if _held is None or _held[0] != recipe:
            limit_threads(1)
            _held = (recipe, *pickle.loads(recipe))
        return _held[1:]
