"""Jobs in several processes: who does them, and what happens when one of these is killed."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
from batch_works import Copying, Lines
from conftest import MakeJobs

from neucodec.jobs.pool import Pool
from neucodec.jobs.result import Outcome
from neucodec.jobs.runner import run_jobs
from neucodec.terminal.console import Console

posix = pytest.mark.skipif(os.name != "posix", reason="signals of Unix")


def test_every_job_is_done_once_by_one_of_the_processes(
    jobs: MakeJobs, capsys: pytest.CaptureFixture[str]
) -> None:
    made, lines = jobs(*["slow"] * 2, *["text"] * 10), Lines()
    assert run_jobs(made, [], Copying(), Console(), runner=Pool(2), report=lines)
    assert [Path(job.target).read_text() for job in made[-2:]] == ["text", "text"]
    processes = {result.output_bytes for result in lines.results.values()}
    assert len(lines.results) == 12
    assert len(processes) == 2
    assert os.getpid() not in processes
    said = capsys.readouterr().err.splitlines()
    assert sorted(said[:-1]) == sorted(f"{n}.in copied" for n in range(12))
    assert said[-1] == "12 files: 12 done"


def test_a_failure_costs_one_file(jobs: MakeJobs, capsys: pytest.CaptureFixture[str]) -> None:
    made, lines = jobs("text", "fail", "text"), Lines()
    assert not run_jobs(made, [], Copying(), Console(), runner=Pool(2), report=lines)
    failed = lines.results[made[1].source]
    assert (failed.outcome, failed.error) == (Outcome.FAILED, "as asked for")
    said = capsys.readouterr().err.splitlines()
    assert f"neucodec: {made[1].source}: as asked for" in said
    assert said[-1] == "3 files: 2 done, 1 failed"


def test_after_a_failure_nothing_else_is_begun_if_so_wished(
    jobs: MakeJobs, capsys: pytest.CaptureFixture[str]
) -> None:
    made = jobs("fail", "slow", *["text"] * 5)
    assert not run_jobs(made, [], Copying(), Console(), runner=Pool(2), fail_fast=True)
    assert capsys.readouterr().err.splitlines()[-1] == "7 files: 1 done, 1 failed, 5 not begun"
    assert Path(made[1].target).exists()


def test_where_nothing_will_do_the_run_ends(jobs: MakeJobs) -> None:
    with pytest.raises(click.ClickException, match="nothing will do"):
        run_jobs(jobs("no use", "text"), [], Copying(), Console(), runner=Pool(2))


@posix
def test_the_job_of_a_process_that_is_killed_is_tried_again(jobs: MakeJobs) -> None:
    made, lines = jobs("text", "kill once", "write, then kill once", "text"), Lines()
    assert run_jobs(made, [], Copying(), Console(), runner=Pool(2), report=lines)
    assert {r.outcome for r in lines.results.values()} == {Outcome.DONE}
    assert Path(made[1].target).read_text() == "spared"


@posix
def test_a_job_that_kills_every_process_fails_in_the_end(
    jobs: MakeJobs, capsys: pytest.CaptureFixture[str]
) -> None:
    made = jobs("text", "kill", "text")
    assert not run_jobs(made, [], Copying(), Console(), runner=Pool(2))
    said = capsys.readouterr().err.splitlines()
    start = f"neucodec: {made[1].source}: two processes ended over it, the last one with signal 9"
    assert any(line.startswith(start) for line in said)
    assert said[-1] == "3 files: 2 done, 1 failed"


@posix
def test_a_process_that_is_told_to_end_more_than_once_clears_up_in_peace(
    jobs: MakeJobs, capfd: pytest.CaptureFixture[str]
) -> None:
    (job,) = jobs("told to end twice")
    assert run_jobs([job], [], Copying(), Console(), runner=Pool(1))
    assert Path(job.target).read_text() == "cleared up"
    assert "Traceback" not in capfd.readouterr().err
