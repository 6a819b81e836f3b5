"""Names for the outputs of many jobs."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import count
from pathlib import PurePath

from neucodec.errors import NeucodecError
from neucodec.files import paths
from neucodec.files.pipes import as_output, has_no_name
from neucodec.files.urls import is_remote
from neucodec.terminal.console import shown
from neucodec.terminal.standard_streams import PIPE

from .job import Job


def is_folder(output: str) -> bool:
    """Return whether an output is a directory: it exists as one, or its name ends with a slash."""
    return as_output(output) != PIPE and (output.endswith(("/", os.sep)) or paths.is_folder(output))


def names_file(inputs: Sequence[str], output: str) -> bool:
    """Return whether an output names one file: there is one input, and neither is a directory."""
    return len(inputs) == 1 and not paths.is_folder(inputs[0]) and not is_folder(output)


def second_as_output(
    inputs: Sequence[str], output: str | None, suffixes: Collection[str]
) -> tuple[Sequence[str], str | None]:
    """Return inputs and output as meant by one who writes the output behind the input.

    That is so with two names and no ``output``, where the second is ``-``, ends in one of the
    suffixes of outputs, or is not there while the first is.
    """
    if output is not None or len(inputs) != 2:
        return inputs, output
    first, second = inputs
    named = second == PIPE or PurePath(second).suffix.lower() in suffixes
    if not named and not is_remote(second):
        first_is_there = is_remote(first) or first == PIPE or os.path.lexists(first)
        named = bool(second) and first_is_there and not os.path.lexists(second)
    return ((first,), second) if named else (inputs, output)


def free_name(name: str) -> str:
    """Return a name like ``name`` that no file has: song-decoded.wav, song-decoded-2.wav, ..."""
    path = PurePath(name)
    endings = ("-decoded" if number == 1 else f"-decoded-{number}" for number in count(1))
    names = (paths.sibling(name, f"{path.stem}{ending}{path.suffix}") for ending in endings)
    return next(other for other in names if not os.path.lexists(other))


def plan_jobs(
    inputs: Sequence[str],
    files: Sequence[tuple[str, PurePath]],
    output: str | None,
    suffix: str,
    drop: frozenset[str],
) -> list[Job]:
    """Return a job for every file, with the name of its output.

    ``files`` are pairs of a file and its place below the directory that was given. Without
    ``output`` a file's output stands beside it; with a directory it has the same place below that;
    with one input that is a file, ``output`` is the output's own name. An output has its input's
    name with ``suffix`` at the end; the input's own suffix goes if it is one of ``drop``.

    Raises NeucodecError where two inputs would go to one output, or an output is an input.
    """
    if output is not None:
        output = as_output(output)
    if len(inputs) > 1 and (nameless := [name for name, _ in files if has_no_name(name)]):
        what = "'-'" if nameless[0] == PIPE else shown(nameless[0])
        raise NeucodecError(
            f"{what} ({_kind_of(nameless[0])}) cannot be mixed with other inputs: it has no name "
            "to call an output after"
        )
    single = len(inputs) == 1 and not paths.is_folder(inputs[0])
    if output is not None and not single and (paths.is_special(output) or paths.is_file(output)):
        raise NeucodecError(
            f"-o {shown(output) if output != PIPE else PIPE}: several inputs need a directory "
            "to go to, not one file"
        )
    to_file = output is not None and names_file(inputs, output)
    jobs = []
    for source, place in files:
        renamed = place.with_suffix("") if place.suffix.lower() in drop else place
        renamed = renamed.with_name(renamed.name + suffix)
        if has_no_name(source) and output is not None and is_folder(output):
            raise NeucodecError(f"{_kind_of(source)} needs the name of an output file, or -o -")
        if has_no_name(source):
            jobs.append(Job(source, output or PIPE))
        elif output is None:
            jobs.append(Job(source, paths.sibling(source, renamed.name)))
        elif to_file:
            jobs.append(Job(source, output))
        else:
            jobs.append(Job(source, paths.join(output, renamed), in_tree=True))
    return _checked(jobs)


def _kind_of(source: str) -> str:
    """Say for a message what an input without a name is."""
    return "standard input" if source == PIPE else "a pipe without a name of its own"


def _checked(jobs: list[Job]) -> list[Job]:
    """Return the jobs without those that were given twice.

    Raises NeucodecError where two outputs are the same file, or an output is an input.
    """
    identity = lru_cache(None)(_identity)
    sources = {identity(job.source): job.source for job in jobs}
    taken: dict[str, Job] = {}
    for job in jobs:
        if job.target == PIPE:
            taken[PIPE] = job
            continue
        target = identity(job.target)
        if target in sources:
            raise NeucodecError(
                f"{shown(job.target)} is an input and would be overwritten by the output of "
                f"{shown(job.source)}; name another output with -o"
            )
        other = taken.setdefault(target, job)
        if identity(other.source) != identity(job.source):
            raise NeucodecError(
                f"{shown(other.source)} and {shown(job.source)} would both be written to "
                f"{shown(job.target)}; give them separately, each with its own -o, or leave one "
                "out with --exclude"
            )
    return list(taken.values())


def _identity(name: str) -> str:
    """Return a text that is the same for the same file.

    The case of letters does not count on macOS, whose file systems ignore it.
    """
    found = name if name == PIPE else paths.identity(name)
    return found.casefold() if sys.platform == "darwin" else found
