"""Ordered, bounded parallel map."""

import threading
import time
from collections.abc import Iterator

import pytest
from conftest import PATIENCE
from producers import Counted, held_back

from neucodec.parallel import thread_counts
from neucodec.parallel.batches import batches
from neucodec.parallel.ordered_work import in_order


@pytest.fixture(params=["threads", "alone"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many to use: two, or one of a process that has been left no more than one."""
    if request.param == "threads":
        return 2
    monkeypatch.setattr(thread_counts, "_limit", 1)
    return 1


def test_results_come_in_order_whatever_finishes_first() -> None:
    def slow_when_even(n: int) -> int:
        time.sleep(0.02 if n % 2 == 0 else 0)
        return n * n

    assert list(in_order(slow_when_even, range(20), threads=3)) == [n * n for n in range(20)]


def test_it_reads_only_a_few_items_ahead(threads: int) -> None:
    items = Counted()
    results = in_order(lambda n: n, items, threads)
    next(results)
    assert items.taken < 10
    results.close()  # type: ignore[attr-defined]


def test_a_result_does_not_wait_for_a_slow_producer() -> None:
    release = threading.Event()
    results = in_order(lambda n: n, held_back(1, release, "the result"), threads=1)
    first = next(results)
    release.set()
    assert [first, *results] == [0, 1]


def test_stopping_early_closes_the_producer(threads: int) -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            closed.set()

    results = in_order(lambda n: n, items(), threads)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert closed.wait(PATIENCE)


def test_an_error_of_the_producer_comes_after_the_results_before_it(threads: int) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    results = in_order(lambda n: n, items(), threads)
    assert next(results) == 1
    with pytest.raises(OSError, match="disk"):
        next(results)


def test_an_error_comes_through(threads: int) -> None:
    def fail(n: int) -> int:
        raise ValueError(f"item {n}")

    with pytest.raises(ValueError, match="item 0"):
        list(in_order(fail, range(100), threads))


def test_a_process_that_is_left_one_thread_starts_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(thread_counts, "_limit", 1)
    names = set(in_order(lambda _: threading.current_thread().name, range(3)))
    assert names == {threading.current_thread().name}


def test_batches_grow_so_that_few_items_are_shared_out_too() -> None:
    sizes = [len(batch) for batch in batches(range(14), 4)]
    assert sizes == [1, 1, 2, 2, 4, 4]
    assert [item for batch in batches(range(9), 3) for item in batch] == list(range(9))
    assert [len(batch) for batch in batches(range(3), 1)] == [1, 1, 1]
