"""Items in batches, read ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from conftest import PATIENCE
from producers import Counted, held_back

from neucodec.parallel.batches import in_batches


def test_batches_are_full_but_for_the_first_and_the_last() -> None:
    sizes = [
        len(batch) for batch in in_batches(range(100), max_size=30, first_size=8, patience=PATIENCE)
    ]
    assert sizes == [8, 30, 30, 30, 2]
    assert [n for batch in in_batches(range(100), 30, 8) for n in batch] == list(range(100))
    assert list(in_batches([], 30, 8)) == []


def test_what_is_there_goes_out_while_the_producer_waits() -> None:
    release = threading.Event()
    batches = in_batches(held_back(3, release, "the batch"), max_size=30, first_size=30)
    seen: list[int] = []
    while len(seen) < 3:
        seen += next(batches)
    release.set()
    assert [*seen, *(n for batch in batches for n in batch)] == [0, 1, 2, 3]


def test_it_reads_only_so_far_ahead() -> None:
    items = Counted()
    batches = in_batches(items, max_size=10, first_size=10)
    next(batches)
    assert items.taken <= 22
    batches.close()  # type: ignore[attr-defined]


def test_stopping_early_closes_the_producer() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            closed.set()

    batches = in_batches(items(), max_size=10, first_size=10)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert closed.wait(PATIENCE)


def test_an_error_of_the_producer_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise OSError("the disk is gone")

    batches = in_batches(items(), max_size=10, first_size=10)
    seen: list[int] = []
    with pytest.raises(OSError, match="disk"):
        while True:
            seen += next(batches)
    assert seen == [1, 2]
