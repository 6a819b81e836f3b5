"""Find the folders where downloads are kept, and what forbids downloads."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = "NEUCODEC_CACHE"
"""Environment variable that names the folder of neucodec's own cache."""
OFFLINE = ("NEUCODEC_OFFLINE", "HF_HUB_OFFLINE")
"""Environment variables that forbid downloads where they are set to 1."""
_TRUE = ("1", "on", "yes", "true")


def cache_dir() -> Path:
    """Return the folder of neucodec's own cache; it need not be there yet."""
    if chosen := os.environ.get(CACHE):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "neucodec"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "neucodec"
    return _xdg_cache() / "neucodec"


def hub_cache() -> Path:
    """Return the folder of the Hugging Face Hub's cache, which other programs share."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if chosen := os.environ.get(name):
            return _expanded(chosen)
    if home := os.environ.get("HF_HOME"):
        return _expanded(home) / "hub"
    return _xdg_cache() / "huggingface" / "hub"


def offline_by() -> str:
    """Return the setting that forbids downloads, as in ``NEUCODEC_OFFLINE=1``; "" if none does."""
    for name in OFFLINE:
        if os.environ.get(name, "").lower() in _TRUE:
            return f"{name}={os.environ[name]}"
    return ""


@contextmanager
def alone(path: Path, wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file ``path``; call ``wait`` first where another process holds it."""
    from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

    def take(lock: BaseFileLock) -> BaseFileLock:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            wait()
            lock.acquire()
        return lock

    try:
        lock = take(FileLock(path))
    except NotImplementedError:  # by the file system
        lock = take(SoftFileLock(path))
    try:
        yield
    finally:
        lock.release()


def _xdg_cache() -> Path:
    # Relative paths are to be ignored, says the specification of the base directories.
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return chosen if chosen.is_absolute() else Path.home() / ".cache"


def _expanded(path: str) -> Path:
    return Path(os.path.expandvars(path)).expanduser()
