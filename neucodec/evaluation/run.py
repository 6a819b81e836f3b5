"""Run all trials of an evaluation, in parallel processes, in order, and so that they can be
resumed.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from neucodec.errors import NeucodecError
from neucodec.terminal.signals import Ended, end_if_told, note, result_of

from .trial import Failure, Row, Trial, run_trial

_SIGNALS = [
    getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, n)
]


def run_trials(
    trials: Sequence[Trial], processes: int
) -> Iterator[tuple[Trial, list[Row] | Failure]]:
    """Give each trial with what came of it, in their order, whatever the number of processes."""
    if processes == 1 or len(trials) < 2:
        for trial in trials:
            end_if_told()
            yield trial, run_trial(trial)
        return
    with _pool(min(processes, len(trials))) as pool:
        futures: list[Future[list[Row] | Failure]] = [pool.submit(run_trial, t) for t in trials]
        for trial, future in zip(trials, futures, strict=True):
            yield trial, _found(future)


def _found(future: Future[list[Row] | Failure]) -> list[Row] | Failure:
    """Return what a process has found. Raises NeucodecError where it was ended and this one was
    not.
    """
    try:
        return result_of(future)
    except (BrokenProcessPool, Ended):
        end_if_told()
        raise NeucodecError(
            "a process that measured was ended from outside, perhaps for lack of memory: "
            "fewer at once (-j 1) need less; what is measured is kept"
        ) from None


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    # Forked processes would inherit the locks of torch's threads, but not the threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=_start)
    try:
        yield pool
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()  # which ends it behind what it is measuring
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start() -> None:
    """Prepare a process, which has one clip in hand; more threads would only get in each other's
    way.
    """
    for number in _SIGNALS:
        signal.signal(number, note)
    import torch

    torch.set_num_threads(1)
