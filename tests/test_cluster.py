"""A real Dask cluster of two processes does the work, also when one of them is killed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from batch_works import Copying, Lines
from conftest import PATIENCE, MakeClip, MakeJobs, Run

from neucodec.jobs.job import Job
from neucodec.jobs.result import Outcome
from neucodec.jobs.runner import run_jobs
from neucodec.terminal.console import Console

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
if sys.platform == "win32":
    pytest.skip("kills with signals of Unix", allow_module_level=True)

from neucodec.jobs.cluster import Cluster  # noqa: E402


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Address of the scheduler of two workers, that start again when they die."""
    dask.config.set(
        {
            # Processes fork from one that has imported Dask, the same in all that matters here.
            "distributed.worker.multiprocessing-method": "forkserver",
            # After so many deaths a job is given up; every one costs the start of a process.
            "distributed.scheduler.allowed-failures": 1,
            # A process that a busy machine is slow to start is no failure.
            "distributed.comm.timeouts.connect": f"{PATIENCE}s",
            "distributed.comm.timeouts.tcp": f"{PATIENCE}s",
            "distributed.scheduler.worker-ttl": f"{PATIENCE}s",
        }
    )
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield cluster.scheduler_address


def nothing(job: Job) -> None:
    pass


def test_both_workers_take_part(
    scheduler: str, jobs: MakeJobs, capsys: pytest.CaptureFixture[str]
) -> None:
    made, lines = jobs(*["slow"] * 4, *["text"] * 20, "fail"), Lines()
    fine = run_jobs(
        made, [], Copying(), Console(), runner=Cluster(scheduler, nothing), report=lines
    )
    assert not fine
    assert {Path(job.target).read_text() for job in made[:-1]} == {"slow", "text"}
    workers = {r.output_bytes for r in lines.results.values() if r.outcome is Outcome.DONE}
    assert len(workers) == 2
    said = capsys.readouterr().err.splitlines()
    assert f"neucodec: {made[-1].source}: as asked for" in said
    assert said[-1] == "25 files: 24 done, 1 failed"


@pytest.mark.parametrize("killer", ["kill once", "write, then kill once"])
def test_what_a_killed_worker_had_is_done_by_another(
    scheduler: str, jobs: MakeJobs, killer: str
) -> None:
    # One at a time: of two, either may be with both workers that die, and be given up.
    made = jobs(*["text"] * 5, killer, *["slow"] * 5)
    lines = Lines()
    assert run_jobs(
        made, [], Copying(), Console(), runner=Cluster(scheduler, nothing), report=lines
    )
    assert {result.outcome for result in lines.results.values()} == {Outcome.DONE}
    assert all(Path(job.target).exists() for job in made)


def test_a_result_that_is_lost_is_made_again(
    scheduler: str, jobs: MakeJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, lost = distributed.Future.result, [True]

    def late(future: distributed.Future, timeout: float | None = None) -> object:
        if lost and timeout is not None:
            lost.clear()
            raise TimeoutError
        return result(future, timeout)

    monkeypatch.setattr(distributed.Future, "result", late)
    made, lines = jobs("text", "slow"), Lines()
    assert run_jobs(
        made, [], Copying(), Console(), runner=Cluster(scheduler, nothing), report=lines
    )
    assert not lost
    assert all(Path(job.target).exists() for job in made)


def test_an_output_that_another_run_has_made_is_not_taken_for_ones_own(
    scheduler: str, jobs: MakeJobs
) -> None:
    made, lines = jobs("made by another"), Lines()
    assert not run_jobs(
        made, [], Copying(), Console(), runner=Cluster(scheduler, nothing), report=lines
    )
    assert lines.results[made[0].source].error == "it exists"


def test_a_job_that_kills_every_worker_fails_in_the_end(
    scheduler: str, jobs: MakeJobs, capsys: pytest.CaptureFixture[str]
) -> None:
    made = jobs("kill", "text")
    assert not run_jobs(made, [], Copying(), Console(), runner=Cluster(scheduler, nothing))
    said = capsys.readouterr().err.splitlines()
    assert f"neucodec: {made[0].source}: 2 workers died over it: out of memory?" in said
    assert said[-1] == "2 files: 1 done, 1 failed"


def test_where_nothing_will_do_the_run_ends(scheduler: str, jobs: MakeJobs) -> None:
    with pytest.raises(click.ClickException, match="nothing will do"):
        run_jobs(jobs("no use"), [], Copying(), Console(), runner=Cluster(scheduler, nothing))


def test_encoding_on_the_cluster_gives_what_encoding_here_gives(
    scheduler: str, run: Run, clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        clip(f"in/{number}.wav", seconds=0.3 + number)
    monkeypatch.chdir(tmp_path)
    assert run("encode", "in", "-o", "here").code == 0
    there = ["encode", "in", "-o", "there", "--scheduler", scheduler]
    ran = run(*there, "--report", "report")
    assert ran.code == 0
    assert ran.err.splitlines()[-1] == "3 files: 3 done"
    for path in Path("here").iterdir():
        assert (Path("there") / path.name).read_bytes() == path.read_bytes()
    assert Path("report").read_text().count('"outcome": "done"') == 3

    ran = run(*there, "-q")
    assert ran.code == 1
    assert ran.err.count("exists; -f overwrites it") == 3
    assert run(*there, "--skip-existing").err.splitlines()[-1] == "3 files: 3 skipped"


def test_where_there_is_no_cluster(
    run: Run, clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neucodec.jobs.cluster._PATIENCE", 0.5)
    ran = run("encode", clip(), "--scheduler", "tcp://127.0.0.1:1")
    assert ran.code == 1
    assert ran.err.startswith("neucodec: no Dask scheduler answers at tcp://127.0.0.1:1 (")
    assert run("encode", clip(), "--scheduler", "tcp://127.0.0.1:1", "-j2").code == 2


def test_a_cluster_without_workers_is_waited_for_and_then_named(
    run: Run, clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neucodec.jobs.cluster._WORKER_PATIENCE", 0.5)
    with distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty:
        ran = run("encode", clip(), "--scheduler", empty.scheduler_address)
    assert ran.code == 1
    waiting, failure = ran.err.splitlines()
    assert waiting == f"{empty.scheduler_address} has no workers yet: waiting for one"
    assert f"{empty.scheduler_address} has no workers; start some with 'dask worker" in failure


@pytest.mark.slow
def test_the_example(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    """A scheduler and two workers by Dask's own commands."""
    for number in range(3):
        clip(f"in/{number}.wav")
    script = Path(__file__).parents[1] / "examples/cluster/run.sh"
    command = [script, tmp_path / "in", tmp_path / "out", "-b", "4kbps"]
    ran = subprocess.run(
        command, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, timeout=PATIENCE
    )
    assert ran.returncode == 0
    assert ran.stderr.decode().splitlines()[-1] == "3 files: 3 done"
    assert run("verify", tmp_path / "out").code == 0
