"""Signals: noted where they come, heeded where it is safe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import pytest
from conftest import PATIENCE

from neucodec.files.outfile import output_file
from neucodec.files.pipes import open_to_read, open_to_write
from neucodec.parallel.batches import in_batches
from neucodec.parallel.ordered_work import in_order
from neucodec.terminal.signals import (
    Ended,
    end_if_told,
    interruptible,
    signals_end_the_run,
    signals_noted,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
TERM = signal.SIGTERM
Open = Callable[[str], AbstractContextManager[BinaryIO]]


@pytest.fixture
def soon() -> Iterator[Callable[[], None]]:
    """Sends SIGTERM again and again, beginning in a moment, to the thread that runs the test: it
    has taken the last one by the time the sender has ended."""
    stop, receiver = threading.Event(), threading.get_ident()

    def send() -> None:
        while not stop.wait(0.05):
            signal.pthread_kill(receiver, TERM)

    before = signal.signal(TERM, lambda *_: None)
    sender = threading.Thread(target=send)
    yield sender.start
    stop.set()
    sender.join()
    signal.signal(TERM, before)


def test_a_signal_is_noted_and_raises_nothing_before_it_is_asked_for() -> None:
    with signals_end_the_run():
        signal.raise_signal(TERM)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Ended) as ended:
            end_if_told()
    assert ended.value.number == TERM


def test_a_call_that_waits_for_somebody_else_is_ended_at_once(soon: Callable[[], None]) -> None:
    with signals_end_the_run(), pytest.raises(Ended):
        soon()
        with interruptible():
            time.sleep(PATIENCE)


def test_a_signal_that_came_before_a_wait_is_not_missed() -> None:
    with signals_end_the_run(), pytest.raises(Ended):
        signal.raise_signal(TERM)
        with interruptible():
            time.sleep(PATIENCE)


def test_what_clears_up_is_not_interrupted_again(tmp_path: Path) -> None:
    cleared = []
    with signals_end_the_run(), pytest.raises(Ended):
        try:
            with interruptible(), interruptible():
                signal.raise_signal(TERM)
        finally:
            for number in (signal.SIGINT, TERM, signal.SIGHUP):
                signal.raise_signal(number)
                cleared.append(number)
    assert len(cleared) == 3


@pytest.mark.parametrize("threads", [1, 2])
def test_waiting_for_threads_at_work_ends(soon: Callable[[], None], threads: int) -> None:
    """They and the queue between are left as they are meant to be: the pool shuts down."""
    assert list(in_order(lambda n: n, range(2), threads)) == [0, 1]  # torch is loaded by now
    with signals_end_the_run(), pytest.raises(Ended):
        soon()
        for _ in in_order(lambda n: time.sleep(0.01), range(10_000_000), threads):
            pass


def test_waiting_for_a_silent_producer_ends(soon: Callable[[], None]) -> None:
    release = threading.Event()

    def silent() -> Iterator[int]:
        release.wait(PATIENCE)
        yield 0

    with signals_end_the_run(), pytest.raises(Ended):
        soon()
        list(in_batches(silent(), 4, 4))
    release.set()


def test_a_pipe_in_which_nothing_comes(tmp_path: Path, soon: Callable[[], None]) -> None:
    ours, theirs = os.pipe()
    with signals_end_the_run(), pytest.raises(Ended), open_to_read(f"/dev/fd/{ours}") as pipe:
        soon()
        pipe.read(1)
    os.close(ours)
    os.close(theirs)


def test_a_pipe_that_nobody_reads(soon: Callable[[], None]) -> None:
    ours, theirs = os.pipe()
    with signals_end_the_run(), pytest.raises(Ended), open_to_write(f"/dev/fd/{theirs}") as pipe:
        soon()
        pipe.write(bytes(1 << 20))
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("opened", [open_to_read, open_to_write])
def test_a_named_pipe_without_another_end(
    tmp_path: Path,
    soon: Callable[[], None],
    opened: Callable[[str], AbstractContextManager[BinaryIO]],
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with signals_end_the_run(), pytest.raises(Ended):
        soon()
        with opened(str(tmp_path / "pipe")):
            raise AssertionError


def test_an_output_in_work_is_removed(tmp_path: Path) -> None:
    with signals_end_the_run(), pytest.raises(Ended), output_file(tmp_path / "a.ncf") as file:
        signal.raise_signal(TERM)
        file.write(b"half")
        end_if_told()
    assert list(tmp_path.iterdir()) == []


def test_training_ends_at_a_place_of_its_own_choosing() -> None:
    with signals_end_the_run():
        with signals_noted() as told:
            assert not told()
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGINT)
            assert told()
        end_if_told()


def test_a_run_that_does_not_come_to_its_end_is_ended_by_a_later_signal(tmp_path: Path) -> None:
    script = """if True:
        import signal, sys
        from neucodec.terminal import signals
        from neucodec.files.outfile import output_file
        signals._PATIENCE = 0.0
        with signals.signals_end_the_run(), output_file(sys.argv[1]) as file:
            file.write(b"half")
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
        raise AssertionError
    """
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.ncf")], capture_output=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (128 + TERM, b"")
    assert list(tmp_path.iterdir()) == []
