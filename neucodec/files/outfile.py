"""Output files that appear under their name whole or not at all.

A file is written under a temporary name beside its target (".song.ncf.6e03f9a1.partial") and gets
its name when all went well; on any exception it is removed. A process that is killed leaves the
temporary file behind. A process holds a lock on its temporary file for as long as it lives, so that
a later one can tell which files are abandoned and may be removed.

An output gets the permissions that the umask allows, or those of the file that it replaces. Group
and others get none that they do not have for every file that the output was made from.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from neucodec.errors import NeucodecError
from neucodec.terminal.signals import UNFINISHED

from . import pipes, remote
from .byte_streams import HAS_LOCKS, lock
from .urls import is_remote

_NAME_KEPT = 40
"""Characters of the target's name in the temporary name, so that it stays within NAME_MAX bytes."""
_PARTIAL = re.compile(rf"\.(.{{0,{_NAME_KEPT}}})\.[0-9a-f]{{8}}\.partial", re.DOTALL)
"""The names of temporary files; the group is the start of the target's name."""


@contextmanager
def output_file(
    path: str | os.PathLike[str],
    overwrite: bool = False,
    *,
    modified: int | None = None,
    sources: Iterable[str | os.PathLike[str]] = (),
) -> Iterator[BinaryIO]:
    """Open a file to write and read; it becomes `path` when the context ends without exception.

    An existing file is replaced only with `overwrite`, also if it comes to exist meanwhile.
    `modified` is the modification time that the file is to have, in nanoseconds since 1970.
    `sources` are the names of the files that it is made from: only those who may read them all may
    read it. `-` (standard output), descriptors, named pipes and devices are written directly. A
    file at a URL is replaced as a whole too, but not guarded against others who write it at the
    same time. Raises NeucodecError where `path` cannot be written.
    """
    if isinstance(path, str) and is_remote(path):
        if not overwrite and remote.is_file(path):
            raise _exists(path)
        with remote.open_to_write(path) as elsewhere:
            yield elsewhere
        return
    if pipes.is_special(path):
        with _opened_pipe(path) as pipe:
            yield pipe
        return
    target = _checked_target(path, overwrite)
    mode, kept = _mode(target, sources)
    file, temporary = _create(target, path, mode)
    try:
        with _locked(file):
            with _closing(file):
                yield file
            if kept:  # the umask may have taken some permissions away
                temporary.chmod(mode)
            if modified is not None:
                os.utime(temporary, ns=(modified, modified))
            _commit(temporary, target, path, overwrite)
    except BaseException:
        _remove(temporary)
        raise
    finally:
        UNFINISHED.discard(temporary)


def sweep(targets: Iterable[str | os.PathLike[str]]) -> int:
    """Remove the temporary files that killed processes have left of these outputs; count them.

    Files that another process is writing stay. Where there are no locks nothing is removed.
    """
    if not HAS_LOCKS:
        return 0
    kept: dict[Path, set[str]] = {}
    for target in map(Path, targets):
        target = target.resolve() if target.is_symlink() else target
        kept.setdefault(target.parent, set()).add(target.name[:_NAME_KEPT])
    removed = 0
    for folder, names in kept.items():
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                match = _PARTIAL.fullmatch(entry.name)
                if match and match[1] in names and entry.is_file(follow_symlinks=False):
                    removed += _remove_abandoned(Path(entry.path))
    return removed


def _remove_abandoned(partial: Path) -> bool:
    """Remove a temporary file unless a process holds its lock; return whether it is removed."""
    with suppress(OSError), partial.open("rb") as file:
        lock(file, wait=False)
        partial.unlink()
        return True
    return False


def _checked_target(path: str | os.PathLike[str], overwrite: bool) -> Path:
    """Return the path to write: the one that `path` links to, if it is a link.

    Raises NeucodecError where there is something that may not be overwritten, or no directory.
    """
    target = Path(path)
    try:
        if target.is_symlink():
            target = target.resolve()
        mode = target.stat().st_mode
    except FileNotFoundError:
        if not target.parent.is_dir():
            raise NeucodecError(f"{path}: there is no directory {target.parent}") from None
        return target
    except (OSError, RuntimeError) as error:  # Python before 3.13 raises the latter for loops
        raise NeucodecError(f"{path}: {_reason(error)}") from None
    if stat.S_ISDIR(mode):
        raise NeucodecError(f"{path}: this is a directory, not a file")
    if stat.S_ISREG(mode) and not overwrite:
        raise _exists(path)
    return target


def _mode(target: Path, sources: Iterable[str | os.PathLike[str]]) -> tuple[int, bool]:
    """Return the permissions for the new file, and whether a file at `target` has them now.

    Others than the owner get none that a source does not give them.
    """
    try:
        found: int | None = stat.S_IMODE(target.stat().st_mode) & 0o777
    except OSError:
        found = None
    mode = 0o666 if found is None else found
    for name in sources:
        source = os.fspath(name)
        if not is_remote(source) and not pipes.is_special(source):
            with suppress(OSError):
                mode &= 0o700 | Path(source).stat().st_mode
    return mode, found is not None


@contextmanager
def _opened_pipe(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open something that is written directly. Raises NeucodecError where that fails."""
    with ExitStack() as opening:
        try:
            pipe = opening.enter_context(pipes.open_to_write(os.fspath(path)))
        except OSError as error:
            raise NeucodecError(f"{path}: cannot be written: {_reason(error)}") from None
        yield pipe


def _create(target: Path, path: str | os.PathLike[str], mode: int) -> tuple[BinaryIO, Path]:
    """Make a temporary file beside `target`, locked if there are locks; return it and its name."""
    while True:
        name = target.with_name(f".{target.name[:_NAME_KEPT]}.{secrets.token_hex(4)}.partial")
        file = _open(name, path, mode)
        UNFINISHED.add(name)
        if not HAS_LOCKS:
            return file, name
        with suppress(OSError):  # a file system without locks
            lock(file, wait=True)
        # Before it was locked, another process may have removed it as abandoned.
        if os.fstat(file.fileno()).st_nlink:
            return file, name
        file.close()
        UNFINISHED.discard(name)


@contextmanager
def _locked(file: BinaryIO) -> Iterator[None]:
    """Keep the lock on `file` until the context ends, though the file is closed before."""
    if not HAS_LOCKS:
        yield
        return
    kept = os.dup(file.fileno())
    try:
        yield
    finally:
        os.close(kept)


def _open(name: Path, path: str | os.PathLike[str], mode: int) -> BinaryIO:
    """Make a new file, from the start with no more permissions than it is to have in the end.

    Raises NeucodecError that names `path`, the output for which it is made.
    """

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, mode & 0o666)

    try:
        # Path.open has no opener.
        return cast(BinaryIO, open(name, "x+b", opener=opener))
    except OSError as error:
        raise NeucodecError(f"{path}: cannot be written: {_reason(error)}") from None


@contextmanager
def _closing(file: BinaryIO) -> Iterator[BinaryIO]:
    """Close `file` on the way out; after an exception, errors of closing are ignored."""
    try:
        yield file
    except BaseException:
        with suppress(OSError):
            file.close()
        raise
    file.close()


def _commit(temporary: Path, target: Path, path: str | os.PathLike[str], overwrite: bool) -> None:
    """Give the file its name in one step; without `overwrite` only if the name is free."""
    try:
        if overwrite:
            temporary.replace(target)
        else:
            _rename_to_free_name(temporary, target)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise NeucodecError(f"{path}: cannot be written: {_reason(error)}") from None


def _rename_to_free_name(temporary: Path, target: Path) -> None:
    """Rename a file to a name that is free. Raises FileExistsError where it is taken."""
    if os.name == "nt":
        temporary.rename(target)  # which fails there where the name is taken
        return
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with _locked_folder(target.parent):
            if os.path.lexists(target):
                raise FileExistsError(target) from None
            temporary.replace(target)
    else:
        _remove(temporary)


@contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    """Keep other processes of this program from naming files in a folder at the same time."""
    with ExitStack() as held:
        with suppress(OSError):  # a file system that has no locks either
            directory = os.open(folder, os.O_RDONLY)
            held.callback(os.close, directory)
            lock(directory, wait=True)
        yield


def _exists(path: str | os.PathLike[str]) -> NeucodecError:
    return NeucodecError(f"{path} exists; -f (--force) overwrites it")


def _remove(name: Path) -> None:
    with suppress(OSError):
        name.unlink()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
