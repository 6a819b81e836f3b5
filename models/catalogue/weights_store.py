"""Find, fetch, check, add and remove the weights files of cards."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from neucodec.models.errors import ModelError, UnavailableError

from . import hub
from .cache_dirs import CACHE, cache_dir, offline_by
from .digest import read_record, sha256_of, write_record
from .download_progress import SILENT, Monitor
from .weights_entry import WeightsEntry
from .weights_source import WeightsSource

EMBEDDED = Path(__file__).parents[1] / "weights"
"""Folder of the weights that are part of the package."""


@dataclass(frozen=True)
class WeightsFile:
    """A weights file on this machine."""

    card: WeightsEntry
    """Card of the codec or the entropy model that the file is for."""
    path: Path
    """Where the file is."""
    source: WeightsSource | None = None
    """Place that the file is from; None if it is the package's, or lies beside a user's card."""

    @property
    def record(self) -> Path | None:
        """File that keeps the SHA-256 from first use on; None for files that were not fetched."""
        return None if self.source is None else _record(self.card, self.source)

    @property
    def expected(self) -> str:
        """SHA-256 that the file should have, or the digits known of it; "" on first use."""
        if self.source is None:
            return self.card.sha256
        if len(self.source.sha256) == 64:
            return self.source.sha256
        recorded = read_record(_record(self.card, self.source))
        published = "" if self.in_own_cache else hub.published_sha256(self.path)
        return recorded or published or self.source.sha256

    @property
    def in_own_cache(self) -> bool:
        """Whether the file lies in neucodec's cache or beside a card, not in the Hub's cache."""
        return self.source is None or self.path == _home(self.card, self.source)


def find(card: WeightsEntry) -> WeightsFile | None:
    """Return a card's weights file if it is on this machine, else None; never fetch anything."""
    return next(_found(card), None)


def fetch(card: WeightsEntry, *, offline: str = "", monitor: Monitor = SILENT) -> WeightsFile:
    """Return a card's weights file; download it where it is not on this machine.

    Sources are tried in order. ``offline`` names what forbids downloads, "" if nothing does; the
    environment may forbid them, too. ``monitor`` is told licence and place before. Raises
    ModelError: one line on what is missing, and how to bring it by hand.
    """
    if found := find(card):
        return found
    if not card.sources:
        raise ModelError(_lost(card))
    if forbidden := offline or offline_by():
        raise ModelError(_missing(card, f"{forbidden} forbids to fetch it"))
    failures: list[str] = []
    for source in card.sources:
        begin = f"{failures[-1]}; trying" if failures else f"{card.name} is not here yet: fetching"
        monitor.say(f"{begin} {source.where}{'' if failures else f' ({licences(card)})'}")
        try:
            return _fetched(card, source, monitor)
        except UnavailableError as error:
            failures.append(str(error))
    raise ModelError(_missing(card, f"cannot be fetched ({'; '.join(failures)})"))


def check(found: WeightsFile) -> str:
    """Verify a weights file and return its full SHA-256.

    On first use the SHA-256 is recorded. Raises ModelError where it differs from that of the card,
    of the source, or of the record.
    """
    sha256 = sha256_of(found.path)
    expected = found.expected
    if not sha256.startswith(expected):
        raise ModelError(
            f"{found.path} is damaged or another version: its SHA-256 is {sha256[:16]}…, "
            f"{expected[:16]}… was expected; {_remedy(found)}"
        )
    if found.source is not None and len(expected) < 64:
        write_record(_record(found.card, found.source), found.path.name, sha256)
    return sha256


def add(card: WeightsEntry, file: Path, load: Callable[[Path], object]) -> WeightsFile:
    """Copy a file that a user has brought to where a card's weights are looked for; return that.

    The file is taken for the source whose SHA-256 it has or, where none is known, whose name it
    has. ``load`` is called with it, and raises where it does not hold what the card says. Raises
    ModelError.
    """
    if not card.sources:
        raise ModelError(f"{card.name} is not fetched from anywhere: there is nothing to bring")
    sha256 = sha256_of(file)
    source = _source_of(card, file, sha256)
    load(file)
    home = _home(card, source)
    with _written(home) as temporary:
        shutil.copyfile(file, temporary)
        if sha256_of(temporary) != sha256:
            raise ModelError(f"{file} changed while it was copied")
    write_record(_record(card, source), home.name, sha256)
    return WeightsFile(card, home, source)


def remove(card: WeightsEntry) -> list[Path]:
    """Remove what was downloaded or added of a card, records and partial files, too.

    Return the paths of the weights files. Raises ModelError for weights that were not fetched.
    """
    if not card.sources:
        place = "part of the package" if card.embedded else "your own file"
        raise ModelError(f"the weights of {card.name} are {place}, which is not removed")
    removed = []
    for found in list(_found(card)):
        if found.source is not None:
            (Path.unlink if found.in_own_cache else hub.remove)(found.path)
            removed.append(found.path)
    for source in card.sources:
        with suppress(OSError):
            shutil.rmtree(_home(card, source).parent)
    return removed


def licences(card: WeightsEntry) -> str:
    """Say in a line under which licences a checkpoint is, and which paper it is from."""
    unstated = "not stated"
    weights, code = card.license_weights or unstated, card.license_code or unstated
    return f"weights: {weights}, code: {code}" + (f", {card.paper}" if card.paper else "")


def _found(card: WeightsEntry) -> Iterator[WeightsFile]:
    own = EMBEDDED if card.embedded else card.folder
    if own is not None and card.weights and (own / card.weights).is_file():
        yield WeightsFile(card, own / card.weights)
    for source in card.sources:
        if (home := _home(card, source)).is_file():
            yield WeightsFile(card, home, source)
        elif source.repository and (path := hub.cached(source)):
            yield WeightsFile(card, path, source)


def _fetched(card: WeightsEntry, source: WeightsSource, monitor: Monitor) -> WeightsFile:
    if source.url:
        from .download import download

        home = _home(card, source)
        sha256 = download(source.url, home, source.sha256, monitor)
        found = WeightsFile(card, home, source)
        if len(source.sha256) < 64 and not read_record(_record(card, source)):
            write_record(_record(card, source), home.name, sha256)
        return found
    path, published = hub.fetch(source, monitor)
    sha256 = sha256_of(path)
    for expected in (source.sha256, published):
        if not sha256.startswith(expected):
            hub.remove(path)
            raise ModelError(
                f"{source.where} gave a damaged or another file, which was removed: its SHA-256 "
                f"is {sha256[:16]}…, {expected[:16]}… was expected"
            )
    return WeightsFile(card, path, source)


def _home(card: WeightsEntry, source: WeightsSource) -> Path:
    """Return the path in our own cache, whose folder is of this one source alone."""
    return cache_dir() / f"{card.name}-{source.tag}" / source.name


def _record(card: WeightsEntry, source: WeightsSource) -> Path:
    home = _home(card, source)
    return home.with_name(home.name + ".sha256")


def _source_of(card: WeightsEntry, file: Path, sha256: str) -> WeightsSource:
    for source in card.sources:
        if source.sha256 and sha256.startswith(source.sha256):
            return source
    unknown = [source for source in card.sources if not source.sha256]
    for source in unknown:
        if source.name == file.name:
            return source
    if unknown:
        return unknown[0]
    known = " or ".join(f"{source.sha256[:16]}…" for source in card.sources)
    raise ModelError(
        f"{file} is damaged or not the file of {card.name}: its SHA-256 is {sha256[:16]}…, "
        f"{known} was expected"
    )


@contextmanager
def _written(target: Path) -> Iterator[Path]:
    """Give the path of a temporary file, which takes the name ``target`` once it is written."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(
            f"{target} cannot be written: {error.strerror or error}; {CACHE} names another folder"
        ) from None


def _missing(card: WeightsEntry, why: str) -> str:
    source = card.sources[0]
    return (
        f"{card.name} is not here, and {why}: bring {source.where} by hand, "
        f"then neucodec models add {card.name} --from {source.name}"
    )


def _lost(card: WeightsEntry) -> str:
    if card.embedded:
        return f"the weights of {card.name} ({card.weights}) are not here: reinstall the package"
    if card.folder is not None:
        return (
            f"{card.folder / card.weights} is not there: it is to hold the weights of {card.name}"
        )
    return f"nobody has published weights of {card.name}: train some, and give their path instead"


def _remedy(found: WeightsFile) -> str:
    if found.source is None:
        return (
            "reinstall the package" if found.card.embedded else "correct the card, if it is right"
        )
    return f"neucodec models rm {found.card.name} removes it"
