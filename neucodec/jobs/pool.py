"""Jobs in several processes at once.

Every process has a pipe of its own to this one, and one job at a time. If one is killed (where
memory runs out, say), only the job that it was doing is lost, and that job is tried once more.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import cast

import click

from neucodec.files.outfile import sweep
from neucodec.parallel.thread_counts import available_threads, limit_threads
from neucodec.terminal.console import Console, Relay
from neucodec.terminal.signals import Ended, interruptible, note

from .job import Job
from .result import Outcome, Result
from .runner import Work, attempt

_PATIENCE = 10.0
"""Seconds within which processes have to end after they were told to."""
_SPAWN = multiprocessing.get_context("spawn")
"""How processes are started. Forked ones would hold locks of threads that they do not have."""
_TERMINATING = [getattr(signal, n) for n in ("SIGTERM", "SIGHUP") if hasattr(signal, n)]


@dataclass(frozen=True)
class _Abort:
    """The message of a process that the run is to end, since no other job would fare better."""

    reason: str


class Pool:
    """The runner that shares jobs out among processes."""

    def __init__(self, processes: int) -> None:
        self._processes = processes

    def __call__(
        self, jobs: Iterable[Job], work: Work, console: Console, total: int
    ) -> Iterator[tuple[Job, Result]]:
        """Do the jobs in several processes at once, and give their results as they come.

        Raises ClickException where no other job would fare better, as where a model is missing.
        """
        count = max(1, min(self._processes, total))
        recipe = pickle.dumps((work, console.verbosity, max(1, available_threads() // count)))
        waiting, idle, busy = iter(jobs), list[_Member](), dict[Connection, _Member]()
        try:
            with console.files(total) as progress:
                while True:
                    while len(busy) < count and (job := next(waiting, None)):
                        member = idle.pop() if idle else _Member(recipe)
                        busy[member.connection] = member
                        member.give(job)
                    if not busy:
                        return
                    with interruptible():
                        ready = cast("list[Connection]", wait(list(busy)))
                    for connection in ready:
                        member = busy[connection]
                        message = member.receive()
                        if isinstance(message, str):
                            console.say(message)
                        elif isinstance(message, float):
                            progress.audio(message)
                        elif isinstance(message, _Abort):
                            raise click.ClickException(message.reason)
                        elif message is None and not member.job.is_retry:
                            del busy[connection]
                            successor = _Member(recipe)
                            busy[successor.connection] = successor
                            successor.give(replace(member.job, is_retry=True))
                        else:
                            del busy[connection]
                            if message is None:
                                message = _lost(member, console)
                            else:
                                idle.append(member)
                            progress.file()
                            yield replace(member.job, is_retry=False), message
        finally:
            _end(idle, list(busy.values()))


class _Member:
    """One process of the pool, and the job that it was given."""

    job: Job

    def __init__(self, recipe: bytes) -> None:
        self.connection, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=_serve, args=(theirs, recipe), daemon=True)
        with _interrupts_held_back():  # the new process inherits it: Ctrl-C is for this one
            self.process.start()
        theirs.close()

    def give(self, job: Job) -> None:
        """Give the process a job."""
        self.job = job
        with suppress(OSError):  # if the process has ended, receive() says so
            self.connection.send(job)

    def receive(self) -> str | float | Result | _Abort | None:
        """Wait for a message: a line for the console, seconds of audio done, a result, or the end.

        Returns None where the process has ended without a result.
        """
        try:
            return cast("str | float | Result | _Abort", self.connection.recv())
        except (EOFError, OSError):
            self.process.join()
            return None


def _lost(member: _Member, console: Console) -> Result:
    """Report a job that two processes have died over; return its result."""
    code = member.process.exitcode
    reason = (
        f"two processes ended over it, the last one with {_ending(code)}: "
        "out of memory? fewer files at once (-j) need less"
    )
    console.fail(member.job.source, reason)
    return Result(Outcome.FAILED, error=reason)


def _ending(code: int | None) -> str:
    """Name the way in which a process ended, by its exit code."""
    if code is not None and code < 0:
        return f"signal {-code}"
    return f"status {code}"


def _end(idle: list[_Member], busy: list[_Member]) -> None:
    """End the processes, and remove what they have not written to its end."""
    for member in idle:
        member.connection.close()  # an idle process takes that for the end
    for member in busy:
        member.process.terminate()
    for member in [*idle, *busy]:
        member.process.join(_PATIENCE)
        if member.process.is_alive():
            member.process.kill()
            member.process.join()
            sweep([member.job.target])


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Block SIGINT in this thread meanwhile, and in processes that are started meanwhile."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, recipe: bytes) -> None:
    """Do jobs in a process of the pool, until there are no more or it is told to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in _TERMINATING:
        signal.signal(number, note)
    # The first process may go at any time, and with it the other end of the pipe.
    with suppress(Ended, EOFError, OSError):
        _do_jobs(connection, recipe)


def _do_jobs(connection: Connection, recipe: bytes) -> None:
    """Do the jobs that come, and send back lines, seconds of audio done, and results.

    ``recipe`` is the pickled work, verbosity and number of threads. Ends by EOFError.
    """
    work, verbosity, threads = pickle.loads(recipe)
    limit_threads(threads)

    def send(message: object) -> None:
        with interruptible():
            connection.send(message)

    console = Relay(verbosity, send)
    while True:
        with interruptible():
            job = connection.recv()
        try:
            result: Result | _Abort = attempt(job, work, console)
        except click.ClickException as error:
            result = _Abort(error.format_message())
        except BrokenPipeError as error:
            console.fail(job.source, error)
            result = Result(Outcome.FAILED, error="its reader has gone")
        send(result)
