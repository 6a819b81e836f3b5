"""Find and fetch files of the Hugging Face Hub, in the cache that all programs using it share.

Files in the cache are found by its layout, without the Hub's library, which takes long to import:
``models--OWNER--NAME/snapshots/COMMIT/FILE``, a link to ``blobs/ETAG`` where the system has links,
and ``refs/REVISION`` with the commit of a branch.
"""

from __future__ import annotations

import errno
import http.client
import logging
import os
import re
from contextlib import suppress
from pathlib import Path

from neucodec.models.errors import ModelError, UnavailableError
from neucodec.safety.inside import place_inside

from .cache_dirs import hub_cache
from .download_progress import SILENT, Monitor
from .weights_source import WeightsSource

ENDPOINT = "HF_ENDPOINT"
"""Environment variable that names a mirror to be asked instead of the Hub."""
ATTEMPTS = 5
"""How often to try where the connection is cut, as most versions of the library do, too."""
_CUTS = (http.client.IncompleteRead, ConnectionResetError)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def cached(source: WeightsSource) -> Path | None:
    """Return the path of a source's file in the Hub's cache; None where it is not there."""
    commit = source.revision
    with suppress(OSError, UnicodeDecodeError):
        commit = (_folder(source) / "refs" / commit).read_text(encoding="ascii").strip()
    if place_inside(commit) is None:
        return None
    path = _folder(source) / "snapshots" / commit / source.path
    return path if path.is_file() else None


def published_sha256(path: Path) -> str:
    """Return the SHA-256 that the Hub gave for a file in its cache; "" where it gave none.

    The Hub gives one for large files, and the cache uses it as the file's real name.
    """
    with suppress(OSError):
        name = path.readlink().name
        if _SHA256.fullmatch(name):
            return name
    return ""


def fetch(source: WeightsSource, monitor: Monitor = SILENT) -> tuple[Path, str]:
    """Have the Hub's own library, which locks, resumes and retries, fetch a source's file.

    Return its path, and its SHA-256 as the Hub gives it, "" where it gives none. Raises
    UnavailableError where there is no such file or the Hub cannot be reached, ModelError where
    the cache cannot be written.
    """
    import huggingface_hub
    from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

    # The library would warn in several lines of everything that it retries.
    logging.getLogger(huggingface_hub.__name__).setLevel(logging.ERROR)
    (enable_progress_bars if monitor.shows_progress else disable_progress_bars)()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _downloaded(source)
        except Exception as error:  # from one of several HTTP libraries, as the version has it
            if attempt == ATTEMPTS or not isinstance(_root(error), _CUTS):
                raise _explained(source, error) from None
    raise AssertionError("the last attempt returns or raises")


def remove(path: Path) -> None:
    """Remove a file from the Hub's cache, and its blob unless another snapshot has it, too."""
    blob = path.parent / path.readlink() if path.is_symlink() else None
    path.unlink()
    snapshots = next(parent for parent in path.parents if parent.name == "snapshots")
    if blob is not None and not any(
        other.samefile(blob) for other in snapshots.rglob("*") if other.is_file()
    ):
        blob.unlink(missing_ok=True)


def _downloaded(source: WeightsSource) -> tuple[Path, str]:
    import huggingface_hub as library

    name, revision = (source.repository, source.path), source.revision
    endpoint = os.environ.get(ENDPOINT) or None
    # The download would try for long to reach a Hub that cannot be reached; this does not.
    link = library.hf_hub_url(*name, revision=revision, endpoint=endpoint)
    told = library.get_hf_file_metadata(link).etag or ""
    path = library.hf_hub_download(
        *name, revision=revision, endpoint=endpoint, cache_dir=hub_cache()
    )
    return Path(path), told if _SHA256.fullmatch(told) else ""


def _folder(source: WeightsSource) -> Path:
    return hub_cache() / f"models--{source.repository.replace('/', '--')}"


def _explained(source: WeightsSource, error: Exception) -> ModelError:
    from huggingface_hub import errors

    link = source.where
    if endpoint := os.environ.get(ENDPOINT):
        link = link.replace("https://huggingface.co", endpoint.rstrip("/"))
    if isinstance(error, errors.GatedRepoError):
        reason = "needs its owner's consent: ask for it there, then hf auth login"
    elif isinstance(error, errors.RepositoryNotFoundError):
        reason = "there is no such repository, or it is private"
    elif isinstance(error, errors.RevisionNotFoundError):
        reason = f"the repository has no revision {source.revision}"
    elif isinstance(error, errors.EntryNotFoundError) and not isinstance(
        error, errors.LocalEntryNotFoundError
    ):
        reason = "there is no such file in the repository"
    elif isinstance(error, errors.HfHubHTTPError):
        reason = f"the server answers {error.response.status_code}"
    elif isinstance(error, OSError) and error.errno and _is_of_files(error):
        place = error.filename or hub_cache()
        return ModelError(
            f"{place} cannot be written: {error.strerror or error}; HF_HOME names another folder"
        )
    else:
        reason = _said(_root(error))
    return UnavailableError(f"{link}: {reason}")


def _is_of_files(error: OSError) -> bool:
    # Network failures are OSErrors, too, in some versions.
    return isinstance(error, (PermissionError, NotADirectoryError, FileExistsError)) or (
        error.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EFBIG, errno.EISDIR)
    )


def _root(error: BaseException) -> BaseException:
    """Return the exception that was raised first, of a chain that ends in ``error``."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return error


def _said(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
