"""Which files the inputs of a command stand for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePath

from neucodec.errors import NeucodecError
from neucodec.files import remote, remote_folders, urls
from neucodec.files.paths import file_name, is_folder, is_special, join
from neucodec.files.pipes import as_input
from neucodec.files.urls import is_remote
from neucodec.safety.inside import place_inside
from neucodec.terminal.console import Console, explain
from neucodec.terminal.signals import end_if_told
from neucodec.terminal.standard_streams import PIPE

from .input_kinds import Kind


@dataclass(frozen=True)
class Selection:
    """What of a directory is taken. Patterns are matched with a file's or directory's name and
    with its place below the directory that was given."""

    include: Sequence[str] = ()
    """Files match one of these, if there are any."""
    exclude: Sequence[str] = ()
    """Files and directories match none of these."""
    follow_links: bool = False
    """Go into directories that are symbolic links; each directory once."""

    def takes_file(self, place: PurePath) -> bool:
        """Whether a file's name lets it in."""
        return not self._left_out(place) and (not self.include or _matches(place, self.include))

    def takes_folder(self, place: PurePath) -> bool:
        """Whether a directory is searched."""
        return not self._left_out(place)

    def _left_out(self, place: PurePath) -> bool:
        return place.name.startswith(".") or _matches(place, self.exclude)


ALL = Selection()
_Listing = tuple[PurePath, list[str], list[str]]
"""A directory's place below the one that was given, its directories, its files."""


@dataclass
class Search:
    """The files that inputs stand for."""

    files: list[tuple[str, PurePath]] = field(default_factory=list)
    """Each with its place below the directory that was given, or just its name."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Inputs that stand for nothing, and why."""
    unreadable: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many files were passed over, by the input and their unreadable suffix."""
    special: Counter[str] = field(default_factory=Counter)
    """How many pipes, devices and sockets were passed over, by the input."""
    links: Counter[str] = field(default_factory=Counter)
    """How many links to directories were not followed, by the input."""


def find_files(inputs: Iterable[str], kind: Kind, selection: Selection = ALL) -> Search:
    """Files as they are given, directories as the files of the kind below them, in order.

    Hidden files and directories below a given one are left out, and so is what is no file: whoever
    opens a named pipe waits until somebody writes to it. One that is given by its name is taken.
    """
    search = Search()
    for name in map(as_input, inputs):
        if not name:
            search.failures.append(("''", "this is no name; give a file, a directory or '-'"))
        elif is_remote(name) and (reason := _no_use_of(name)):
            search.failures.append((name, reason))
        elif name == PIPE or not is_folder(name):
            search.files.append((name, file_name(name)))
        else:
            _take_folder(name, kind, selection, search)
    return search


def _no_use_of(url: str) -> str:
    """Why a URL cannot be an input; empty where it can, as far as can be told without asking."""
    try:
        remote.check(url)
    except NeucodecError as error:
        return explain(error, url)
    # Outputs are called as inputs are.
    if url.endswith("/") or place_inside(urls.file_name(url)):
        return ""
    return "this URL names no file; a directory's ends with '/'"


def _take_folder(name: str, kind: Kind, selection: Selection, search: Search) -> None:
    before = len(search.files), len(search.failures)
    for place in _walk(name, search, selection):
        suffix = place.suffix.lower()
        if suffix in kind.suffixes and is_special(_below(name, place)):
            search.special[name] += 1
        elif suffix in kind.suffixes:
            search.files.append((_below(name, place), place))
        elif suffix in kind.unreadable:
            search.unreadable[name, suffix] += 1
    if (len(search.files), len(search.failures)) == before:
        search.failures.append((name, f"no {kind.name} in this directory"))


def _below(folder: str, place: PurePath) -> str:
    path = join(folder, place)
    return path if path != PIPE else f".{os.sep}{path}"  # a file that has this name


def _walk(folder: str, search: Search, selection: Selection) -> Iterator[PurePath]:
    """Places of the files below ``folder``, sorted."""
    for place, folders, names in (_walk_elsewhere if is_remote(folder) else _walk_here)(
        folder, search, selection
    ):
        end_if_told()
        folders[:] = sorted(f for f in folders if selection.takes_folder(place / f))
        yield from (place / n for n in sorted(names) if selection.takes_file(place / n))


def _walk_elsewhere(folder: str, search: Search, selection: Selection) -> Iterator[_Listing]:
    try:
        yield from remote_folders.walk(folder)
    except (NeucodecError, OSError) as error:
        search.failures.append((folder, explain(error, folder)))


def _walk_here(folder: str, search: Search, selection: Selection) -> Iterator[_Listing]:
    """As os.walk, with places below the directory."""

    def failed(error: OSError) -> None:
        search.failures.append((str(error.filename), error.strerror or str(error)))

    seen: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(
        folder, onerror=failed, followlinks=selection.follow_links
    ):
        if selection.follow_links and not _is_new(parent, seen):
            folders.clear()
            continue
        yield Path(parent).relative_to(folder), folders, names
        if not selection.follow_links:
            search.links[folder] += sum(1 for f in folders if Path(parent, f).is_symlink())


def _is_new(folder: str, seen: set[tuple[int, int]]) -> bool:
    """Whether a directory was not met before, by a link or otherwise."""
    status = Path(folder).stat()
    identity = (status.st_dev, status.st_ino)
    if identity in seen:
        return False
    seen.add(identity)
    return True


def _matches(place: PurePath, patterns: Iterable[str]) -> bool:
    return any(
        fnmatch(place.name, pattern) or fnmatch(place.as_posix(), pattern.rstrip("/"))
        for pattern in patterns
    )


def find_inputs(
    inputs: Sequence[str], kind: Kind, console: Console, selection: Selection = ALL
) -> Search:
    """What inputs stand for, and a warning of what was passed over because it is no file."""
    search = find_files(inputs, kind, selection)
    for name, count in sorted(search.special.items()):
        those = "that is a pipe or device" if count == 1 else "that are pipes or devices"
        console.warn(name, f"{count} passed over {those}; only those given by name are read")
    return search
