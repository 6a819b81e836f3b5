"""The files that the inputs of a command stand for: files, directories and URLs."""

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
from neucodec.files.remote_folders import Listing
from neucodec.files.urls import is_remote
from neucodec.safety.inside import place_inside
from neucodec.terminal.console import Console, explain
from neucodec.terminal.signals import end_if_told
from neucodec.terminal.standard_streams import PIPE

from .input_kinds import Kind


@dataclass(frozen=True)
class Selection:
    """Which files of a directory are taken.

    Patterns are matched with the name of a file or directory, and with its place below the
    directory that was given.
    """

    include: Sequence[str] = ()
    """Patterns of the files to take; all are taken if there are none."""
    exclude: Sequence[str] = ()
    """Patterns of files and directories to leave out."""
    follow_links: bool = False
    """Whether directories that are symbolic links are searched; each directory is searched once."""

    def takes_file(self, place: PurePath) -> bool:
        """Return whether a file is taken, by its place."""
        return not self._left_out(place) and (not self.include or _matches(place, self.include))

    def takes_folder(self, place: PurePath) -> bool:
        """Return whether a directory is searched, by its place."""
        return not self._left_out(place)

    def _left_out(self, place: PurePath) -> bool:
        return place.name.startswith(".") or _matches(place, self.exclude)


ALL = Selection()
"""The selection that takes all files but hidden ones."""


@dataclass
class Search:
    """The outcome of a search: the files that inputs stand for, and what was passed over."""

    files: list[tuple[str, PurePath]] = field(default_factory=list)
    """Each file with its place below the directory that was given; its name if none was."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Inputs that stand for no file, each with the reason."""
    unreadable: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Number of files that cannot be read, by the input and their suffix."""
    special: Counter[str] = field(default_factory=Counter)
    """Number of pipes, devices and sockets that were passed over, by the input."""
    links: Counter[str] = field(default_factory=Counter)
    """Number of links to directories that were not followed, by the input."""


def find_files(inputs: Iterable[str], kind: Kind, selection: Selection = ALL) -> Search:
    """Find the files: those that are given, and those of a kind below directories that are given.

    They come in the order of the inputs, below a directory sorted by name. Below a directory hidden
    files and directories are left out, and so are pipes and devices: opening a named pipe would
    wait until somebody writes to it. A pipe that is given by its own name is taken.
    """
    search = Search()
    for name in map(as_input, inputs):
        if not name:
            search.failures.append(("''", "this is no name; give a file, a directory or '-'"))
        elif is_remote(name) and (reason := _unusable_reason(name)):
            search.failures.append((name, reason))
        elif name == PIPE or not is_folder(name):
            search.files.append((name, file_name(name)))
        else:
            _take_folder(name, kind, selection, search)
    return search


def _unusable_reason(url: str) -> str:
    """Return why a URL cannot be an input; an empty text where it can. No server is asked."""
    try:
        remote.check(url)
    except NeucodecError as error:
        return explain(error, url)
    # Outputs are named after inputs, so an input needs a name that is safe to write.
    if url.endswith("/") or place_inside(urls.file_name(url)):
        return ""
    return "this URL names no file; a directory's ends with '/'"


def _take_folder(name: str, kind: Kind, selection: Selection, search: Search) -> None:
    """Add the files of a kind below a directory to the search."""
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
    """Return the name of the file at a place; ``./-`` where that would mean standard input."""
    path = join(folder, place)
    return path if path != PIPE else f".{os.sep}{path}"


def _walk(folder: str, search: Search, selection: Selection) -> Iterator[PurePath]:
    """Give the places of the selected files below a directory, sorted by name in each."""
    for place, folders, names in (_walk_elsewhere if is_remote(folder) else _walk_here)(
        folder, search, selection
    ):
        end_if_told()
        folders[:] = sorted(f for f in folders if selection.takes_folder(place / f))
        yield from (place / n for n in sorted(names) if selection.takes_file(place / n))


def _walk_elsewhere(folder: str, search: Search, selection: Selection) -> Iterator[Listing]:
    """Walk a directory at a URL. What cannot be listed becomes a failure of the search."""
    try:
        yield from remote_folders.walk(folder)
    except (NeucodecError, OSError) as error:
        search.failures.append((folder, explain(error, folder)))


def _walk_here(folder: str, search: Search, selection: Selection) -> Iterator[Listing]:
    """Walk a directory of this machine; the same as `_walk_elsewhere` for URLs."""

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
    """Return whether a directory was not met before, by a link or otherwise; remember it."""
    status = Path(folder).stat()
    identity = (status.st_dev, status.st_ino)
    if identity in seen:
        return False
    seen.add(identity)
    return True


def _matches(place: PurePath, patterns: Iterable[str]) -> bool:
    """Return whether a name or a place matches one of the patterns."""
    return any(
        fnmatch(place.name, pattern) or fnmatch(place.as_posix(), pattern.rstrip("/"))
        for pattern in patterns
    )


def find_inputs(
    inputs: Sequence[str], kind: Kind, console: Console, selection: Selection = ALL
) -> Search:
    """Find the files, and warn of pipes and devices that were passed over."""
    search = find_files(inputs, kind, selection)
    for name, count in sorted(search.special.items()):
        those = "that is a pipe or device" if count == 1 else "that are pipes or devices"
        console.warn(name, f"{count} passed over {those}; only those given by name are read")
    return search
