"""Output files that appear under their name whole or not at all.

A file is written under a temporary name beside its target (".song.ncf.6e03f9a1.partial") and gets
its name when all went well; on any exception it is removed. A process that is killed leaves the
temporary file behind; it holds a lock on it for as long as it lives, so that a later one can tell
what may be swept away.

Who may read an output: whoever the umask lets, or, of one that is replaced, whoever could read that
one; but of group and others nobody who may not read every file that it was made from.
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

_NAME_KEPT = 40  # characters of the target's name in the temporary one, within NAME_MAX in UTF-8
_PARTIAL = re.compile(rf"\.(.{{0,{_NAME_KEPT}}})\.[0-9a-f]{{8}}\.partial", re.DOTALL)


@contextmanager
def output_file(
    path: str | os.PathLike[str],
    force: bool = False,
    *,
    sync: bool = False,
    modified: int | None = None,
    sources: Iterable[str | os.PathLike[str]] = (),
) -> Iterator[BinaryIO]:
    """Open a file to write and read; it becomes `path` when the context ends without exception.

    An existing file is replaced with `force` only, also where it comes to exist meanwhile.
    `sync` waits until the bytes are on the disk. `modified` is the modification time that the
    file is to have, in nanoseconds. `sources` are the names of what it is made from: nobody else
    may read it than may read those. `-` (standard output), descriptors, named pipes and devices are
    written directly. What is at a URL is replaced as a whole too, but not guarded against others
    who write it at the same time. Raises NeucodecError where `path` cannot be written.
    """
    if isinstance(path, str) and is_remote(path):
        if not force and remote.is_file(path):
            raise _exists(path)
        with remote.open_to_write(path) as elsewhere:
            yield elsewhere
        return
    if pipes.is_special(path):
        with _opened_pipe(path) as pipe:
            yield pipe
        return
    target = _checked_target(path, force)
    mode, kept = _mode(target, sources)
    file, temporary = _create(target, path, mode)
    try:
        with _locked(file):
            with _closing(file):
                yield file
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            if kept:  # the umask may have taken some of it away
                temporary.chmod(mode)
            if modified is not None:
                os.utime(temporary, ns=(modified, modified))
            _commit(temporary, target, path, force)
    except BaseException:
        _remove(temporary)
        raise
    finally:
        UNFINISHED.discard(temporary)


@contextmanager
def output_path(path: str | os.PathLike[str], force: bool = False) -> Iterator[Path]:
    """As `output_file`, for libraries that open by name: yields the name to write."""
    target = _checked_target(path, force)
    if pipes.is_special(target):
        yield target
        return
    mode, kept = _mode(target, ())
    file, temporary = _create(target, path, mode)
    try:
        with _locked(file):
            file.close()
            yield temporary
            if kept:
                temporary.chmod(mode)
            _commit(temporary, target, path, force)
    except BaseException:
        _remove(temporary)
        raise
    finally:
        UNFINISHED.discard(temporary)


def sweep(targets: Iterable[str | os.PathLike[str]]) -> int:
    """Remove what processes that were killed have left of these outputs; how many files.

    What another process is writing just now stays. Where there are no locks nothing is removed.
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
    with suppress(OSError), partial.open("rb") as file:
        lock(file, wait=False)
        partial.unlink()
        return True
    return False


def _checked_target(path: str | os.PathLike[str], force: bool) -> Path:
    """Where to write: what `path` links to, if anything."""
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
    if stat.S_ISREG(mode) and not force:
        raise _exists(path)
    return target


def _mode(target: Path, sources: Iterable[str | os.PathLike[str]]) -> tuple[int, bool]:
    """Permissions for what is to be at `target`, and whether they are those of what is there.

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
    with ExitStack() as opening:
        try:
            pipe = opening.enter_context(pipes.open_to_write(os.fspath(path)))
        except OSError as error:
            raise NeucodecError(f"{path}: cannot be written: {_reason(error)}") from None
        yield pipe


def _create(target: Path, path: str | os.PathLike[str], mode: int) -> tuple[BinaryIO, Path]:
    """A new temporary file beside `target`, locked where there are locks."""
    while True:
        name = target.with_name(f".{target.name[:_NAME_KEPT]}.{secrets.token_hex(4)}.partial")
        file = _open(name, path, mode)
        UNFINISHED.add(name)
        if not HAS_LOCKS:
            return file, name
        with suppress(OSError):  # a file system without them
            lock(file, wait=True)
        # Before it was locked it may have been swept away.
        if os.fstat(file.fileno()).st_nlink:
            return file, name
        file.close()
        UNFINISHED.discard(name)


@contextmanager
def _locked(file: BinaryIO) -> Iterator[None]:
    """Keep the lock on `file` beyond its being closed."""
    if not HAS_LOCKS:
        yield
        return
    kept = os.dup(file.fileno())
    try:
        yield
    finally:
        os.close(kept)


def _open(name: Path, path: str | os.PathLike[str], mode: int) -> BinaryIO:
    """A new file, from the start with no more permissions than it may have in the end."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, mode & 0o666)

    try:
        # Path.open has no opener.
        return cast(BinaryIO, open(name, "x+b", opener=opener))
    except OSError as error:
        raise NeucodecError(f"{path}: cannot be written: {_reason(error)}") from None


@contextmanager
def _closing(file: BinaryIO) -> Iterator[BinaryIO]:
    """Close `file`; after an exception without trying to raise another from what is unwritten."""
    try:
        yield file
    except BaseException:
        with suppress(OSError):
            file.close()
        raise
    file.close()


def _commit(temporary: Path, target: Path, path: str | os.PathLike[str], force: bool) -> None:
    """Give the file its name, in one step; without `force` only if nobody has it."""
    try:
        if force:
            temporary.replace(target)
        else:
            _rename_to_free_name(temporary, target)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise NeucodecError(f"{path}: cannot be written: {_reason(error)}") from None


def _rename_to_free_name(temporary: Path, target: Path) -> None:
    if os.name == "nt":
        temporary.rename(target)  # which fails there where the name is taken
        return
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with _in_turn(target.parent):
            if os.path.lexists(target):
                raise FileExistsError(target) from None
            temporary.replace(target)
    else:
        _remove(temporary)


@contextmanager
def _in_turn(folder: Path) -> Iterator[None]:
    """Keep out other processes of ours that give files of this folder their names just now."""
    with ExitStack() as held:
        with suppress(OSError):  # a file system without locks, either
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
