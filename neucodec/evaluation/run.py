"""All trials of an evaluation, in parallel processes, in order, and resumable."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from ..errors import NeucodecError
from .trial import Failure, Row, Trial, run_trial


def run_trials(
    trials: Sequence[Trial], processes: int
) -> Iterator[tuple[Trial, list[Row] | Failure]]:
    """Each trial with what came of it, in their order, whatever the number of processes."""
    if processes == 1 or len(trials) < 2:
        for trial in trials:
            yield trial, run_trial(trial)
        return
    with _pool(min(processes, len(trials))) as pool:
        futures: list[Future[list[Row] | Failure]] = [pool.submit(run_trial, t) for t in trials]
        for trial, future in zip(trials, futures, strict=True):
            try:
                yield trial, future.result()
            except BrokenProcessPool:
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
    finally:
        pool.shutdown(cancel_futures=True)


def _start() -> None:
    """Each process has one clip in hand; more threads would only get in each other's way."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    import torch

    torch.set_num_threads(1)
