"""The command as a process of its own, without the seconds that an interpreter takes to start."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
from multiprocessing import forkserver, resource_tracker
from typing import Any, NoReturn

import torch  # noqa: F401 - what a process takes longest to import

from neucodec.__main__ import main


class Forked(subprocess.Popen[bytes]):
    """``neucodec`` with arguments, in a fork of this process: everything is imported already.

    For tests that need a process to send signals to, or pipes between processes. What is about a
    new interpreter (what it imports, how it starts) needs one.
    """

    def __init__(self, arguments: list[Any], **options: Any) -> None:
        super().__init__([str(argument) for argument in arguments], **options)

    def _execute_child(self, *values: Any) -> None:
        """Fork where `subprocess.Popen` would start a program."""
        names = list(inspect.signature(subprocess.Popen._execute_child).parameters)[1:]  # type: ignore[attr-defined]
        given = dict(zip(names, values, strict=True))
        pipes = [given[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        self.pid = os.fork()
        if self.pid == 0:
            _become(given, pipes)
        self._child_created = True
        self._close_pipe_fds(  # type: ignore[attr-defined]
            *(given[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread",
                                       "errwrite"))
        )  # fmt: skip


def _become(given: dict[str, Any], pipes: list[int]) -> NoReturn:
    """Be the new process: its streams, session, directory and environment, then the command."""
    code = 70
    try:
        if given["start_new_session"]:
            os.setsid()
        if given["preexec_fn"] is not None:
            given["preexec_fn"]()
        for number, pipe in enumerate(pipes):
            if pipe != -1:
                os.dup2(pipe, number)
        os.closerange(3, 1024)
        # What watches over this process' pools is not the new one's to talk to.
        resource_tracker._resource_tracker = resource_tracker.ResourceTracker()
        forkserver._forkserver = forkserver.ForkServer()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if given["cwd"] is not None:
            os.chdir(given["cwd"])
        if given["env"] is not None:
            os.environ.clear()
            os.environ.update(given["env"])
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
        sys.argv = ["neucodec", *given["args"]]
        code = main()
        sys.stdout.flush()
    finally:
        os._exit(code)


def run(arguments: list[Any], **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end, as `subprocess.run` with ``capture_output`` does."""
    data = options.pop("input", None)
    if data is not None:
        options["stdin"] = subprocess.PIPE
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    with Forked(arguments, **options) as process:
        out, err = process.communicate(data)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)
