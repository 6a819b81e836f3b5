"""Output files that appear under their name whole or not at all.

A file is written under a temporary name beside its target (".song.ncf.x3f9a1.partial") and
renamed when all went well; on any exception it is removed.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from .errors import NeucodecError

_NAME_KEPT = 40  # characters of the target's name in the temporary one, within NAME_MAX in UTF-8


@contextmanager
def output_file(
    path: str | os.PathLike[str], force: bool = False, *, sync: bool = False
) -> Iterator[BinaryIO]:
    """Open a file to write and read; it becomes `path` when the context ends without exception.

    An existing file is replaced with `force` only, also where it comes to exist meanwhile.
    `sync` waits until the bytes are on the disk. Devices and named pipes are written directly.
    Raises NeucodecError where `path` cannot be written.
    """
    target = _checked_target(path, force)
    if _is_special(target):
        with _closing(_open(target, "wb", path)) as file:
            yield file
        return
    temporary = _temporary_name(target)
    try:
        with _closing(_open(temporary, "x+b", path)) as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        _commit(temporary, target, path, force)
    except BaseException:
        _remove(temporary)
        raise


@contextmanager
def output_path(path: str | os.PathLike[str], force: bool = False) -> Iterator[Path]:
    """As `output_file`, for libraries that open by name: yields the name to write."""
    target = _checked_target(path, force)
    if _is_special(target):
        yield target
        return
    temporary = _temporary_name(target)
    try:
        _open(temporary, "xb", path).close()
        yield temporary
        _commit(temporary, target, path, force)
    except BaseException:
        _remove(temporary)
        raise


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


def _is_special(target: Path) -> bool:
    return target.exists() and not target.is_file()


def _temporary_name(target: Path) -> Path:
    return target.with_name(f".{target.name[:_NAME_KEPT]}.{secrets.token_hex(4)}.partial")


def _open(name: Path, mode: str, path: str | os.PathLike[str]) -> BinaryIO:
    try:
        return cast(BinaryIO, name.open(mode))
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
    """Give the file its name.

    Without `force` the name is first taken by creating it, which fails where it is taken by
    anyone else, and works on file systems without links.
    """
    if not force:
        try:
            target.open("xb").close()
        except FileExistsError:
            raise _exists(path) from None
    try:
        temporary.replace(target)
    except OSError as error:
        if not force:
            _remove(target)
        raise NeucodecError(f"{path}: cannot be written: {_reason(error)}") from None


def _exists(path: str | os.PathLike[str]) -> NeucodecError:
    return NeucodecError(f"{path} exists; -f (--force) overwrites it")


def _remove(name: Path) -> None:
    with suppress(OSError):
        name.unlink()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
