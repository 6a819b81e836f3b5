"""What the processes and cluster workers of the tests do instead of coding audio."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path

import click

from neucodec.jobs.job import Job
from neucodec.jobs.result import DONE, SKIPPED, Result
from neucodec.terminal.console import Console
from neucodec.terminal.signals import end_if_told


class Lines:
    """A report that keeps its lines."""

    def __init__(self) -> None:
        self.results: dict[str, Result] = {}

    def write(self, source: str, target: str | None, result: Result) -> None:
        assert source not in self.results
        self.results[source] = result


@dataclass
class Copying:
    """Copies files. The content of an input may ask for something worse."""

    def __call__(self, job: Job, console: Console) -> Result:
        if job.is_retry and Path(job.target).exists():
            return SKIPPED
        text = Path(job.source).read_text()
        match text:
            case "fail":
                raise OSError("as asked for")
            case "no use":
                raise click.ClickException("nothing will do")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "kill once":
                Path(job.source).write_text("spared")
                os.kill(os.getpid(), signal.SIGKILL)
            case "write, then kill once":
                Path(job.source).write_text("spared")
                Path(job.target).write_text(text)
                os.kill(os.getpid(), signal.SIGKILL)
            case "told to end twice":
                try:
                    os.kill(os.getpid(), signal.SIGTERM)
                    end_if_told()
                finally:
                    os.kill(os.getpid(), signal.SIGTERM)
                    Path(job.target).write_text("cleared up")
            case "made by another":
                Path(job.target).write_text("another's")
                if job.is_retry:
                    return SKIPPED
                raise OSError("it exists")
            case "slow":
                time.sleep(0.5)
        console.report(f"{Path(job.source).name} copied")
        Path(job.target).write_text(text)
        return replace(DONE, input_bytes=len(text), output_bytes=os.getpid())
