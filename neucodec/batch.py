"""Many inputs: which files they are, where their outputs go, and going on after a failure."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatch
from pathlib import Path

import click

from .console import Console, shown
from .errors import NeucodecError

PIPE = "-"
"""Standard input as an input, standard output as an output."""


@dataclass(frozen=True)
class Kind:
    """The files that a command reads."""

    name: str
    """In the plural: ``audio files``."""
    suffixes: frozenset[str]
    """Lower case. Directories are searched for them, and outputs drop them from their names."""
    unreadable: frozenset[str] = frozenset()
    """Suffixes of files whose absence from the outputs would surprise."""


@dataclass(frozen=True)
class Job:
    """One input and its output: paths, or ``-``."""

    source: str
    target: str
    in_tree: bool = False
    """The target lies in a directory that was named for outputs and may have to be made."""


@dataclass
class Search:
    """The files that inputs stand for."""

    files: list[tuple[str, Path]] = field(default_factory=list)
    """Each with its place below the directory that was given, or just its name."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Inputs that stand for nothing, and why."""
    unreadable: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many files were passed over, by the input and their unreadable suffix."""


class Outcome(Enum):
    """How a job ended, where it did not fail."""

    DONE = "done"
    SKIPPED = "skipped"


def find_files(inputs: Iterable[str], kind: Kind, exclude: Sequence[str] = ()) -> Search:
    """Files as they are given, directories as the files of the kind below them, in order.

    Hidden files and directories below a given one are left out, and so is what matches a
    pattern of ``exclude``, by its name or by its place below the given directory.
    """
    search = Search()
    for name in inputs:
        if not name:
            search.failures.append(("''", "this is no name; give a file, a directory or '-'"))
            continue
        if name == PIPE or not Path(name).is_dir():
            search.files.append((name, Path(Path(name).name)))
            continue
        before = len(search.files)
        for place in _walk(Path(name), search, exclude):
            suffix = place.suffix.lower()
            if suffix in kind.suffixes:
                search.files.append((str(Path(name) / place), place))
            elif suffix in kind.unreadable:
                search.unreadable[name, suffix] += 1
        if len(search.files) == before:
            search.failures.append((name, f"no {kind.name} in this directory"))
    return search


def _walk(folder: Path, search: Search, exclude: Sequence[str]) -> Iterator[Path]:
    """Places of the files below ``folder``, sorted, links to directories not followed."""

    def failed(error: OSError) -> None:
        search.failures.append((str(error.filename), error.strerror or str(error)))

    for parent, folders, names in os.walk(folder, onerror=failed):
        place = Path(parent).relative_to(folder)
        folders[:] = sorted(f for f in folders if not _left_out(place / f, exclude))
        yield from (place / n for n in sorted(names) if not _left_out(place / n, exclude))


def _left_out(place: Path, exclude: Sequence[str]) -> bool:
    hidden = place.name.startswith(".")
    return hidden or any(
        fnmatch(place.name, pattern) or fnmatch(place.as_posix(), pattern.rstrip("/"))
        for pattern in exclude
    )


def is_folder(output: str) -> bool:
    """Whether an output means a directory: there is one, or the name ends like one."""
    return output != PIPE and (output.endswith(("/", os.sep)) or Path(output).is_dir())


def names_file(inputs: Sequence[str], output: str) -> bool:
    """Whether an output is to be one file: that of one input which is no directory."""
    return len(inputs) == 1 and not Path(inputs[0]).is_dir() and not is_folder(output)


def plan_jobs(
    inputs: Sequence[str],
    files: Sequence[tuple[str, Path]],
    output: str | None,
    suffix: str,
    drop: frozenset[str],
) -> list[Job]:
    """Give every file its output.

    Without ``output`` that is the same name with ``suffix``, beside the input; with a directory,
    the same place below that; a single input may go to any file. An input's suffix is
    replaced if it is one of ``drop``, else kept.

    Raises NeucodecError where two inputs would go to one output, or an output is an input.
    """
    if len(inputs) > 1 and PIPE in inputs:
        raise NeucodecError("'-' (standard input) cannot be mixed with other inputs")
    single = len(inputs) == 1 and not Path(inputs[0]).is_dir()
    if output is not None and not single and (output == PIPE or Path(output).is_file()):
        raise NeucodecError(
            f"-o {shown(output) if output != PIPE else PIPE}: several inputs need a directory "
            "to go to, not one file"
        )
    jobs = []
    for source, place in files:
        renamed = place.with_suffix("") if place.suffix.lower() in drop else place
        renamed = renamed.with_name(renamed.name + suffix)
        if source == PIPE and output is not None and is_folder(output):
            raise NeucodecError("standard input needs the name of an output file, or -o -")
        if source == PIPE:
            jobs.append(Job(source, output or PIPE))
        elif output is None:
            jobs.append(Job(source, str(Path(source).with_name(renamed.name))))
        elif names_file(inputs, output):
            jobs.append(Job(source, output))
        else:
            jobs.append(Job(source, str(Path(output) / renamed), in_tree=True))
    return _checked(jobs)


def _checked(jobs: list[Job]) -> list[Job]:
    """The jobs without those given twice; outputs must not meet each other nor an input."""
    sources = {_identity(job.source): job.source for job in jobs}
    taken: dict[str, Job] = {}
    for job in jobs:
        if job.target == PIPE:
            taken[PIPE] = job
            continue
        target = _identity(job.target)
        if target in sources:
            raise NeucodecError(
                f"{shown(job.target)} is an input and would be overwritten by the output of "
                f"{shown(job.source)}; name another output with -o"
            )
        other = taken.setdefault(target, job)
        if _identity(other.source) != _identity(job.source):
            raise NeucodecError(
                f"{shown(other.source)} and {shown(job.source)} would both be written to "
                f"{shown(job.target)}; give them separately, each with its own -o, or leave one "
                "out with --exclude"
            )
    return list(taken.values())


def _identity(path: str) -> str:
    """The same text for the same file, letter case aside where file systems leave it aside."""
    if path == PIPE:
        return PIPE
    real = os.path.normcase(os.path.realpath(path))
    return real.casefold() if sys.platform == "darwin" else real


def run_jobs(
    jobs: Sequence[Job],
    failures: Sequence[tuple[str, str]],
    work: Callable[[Job], Outcome],
    console: Console,
) -> bool:
    """Do one job after the other, failed ones notwithstanding; whether none failed.

    ``failures`` are inputs that have failed before; with several files the console gets the
    summing-up. ClickException says that no other job would fare better, and ends the run.
    """
    counts = Counter(failed=len(failures))
    for name, reason in failures:
        console.fail(name, reason)
    for number, job in enumerate(jobs, 1):
        console.place = f"{number}/{len(jobs)} " if len(jobs) > 1 else ""
        try:
            outcome = work(job)
        except (BrokenPipeError, click.ClickException):
            raise
        except Exception as error:
            console.fail(job.source, error)
            counts["failed"] += 1
        else:
            counts[outcome.value] += 1
    total = len(jobs) + len(failures)
    if total > 1:
        ended = (f"{counts[k]} {k}" for k in ("done", "skipped", "failed") if counts[k])
        console.report(f"{total} files: {', '.join(ended)}")
    return not counts["failed"]
