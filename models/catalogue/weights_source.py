"""Define a place from which a checkpoint's file can be fetched."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from urllib.parse import unquote, urlsplit

from neucodec.models.errors import ModelError
from neucodec.safety.inside import place_inside

KNOWN_DIGITS = 8
"""How many hexadecimal digits of a SHA-256 a card gives at least: EnCodec's file names carry 8."""

_REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)?")
_REVISION = re.compile(r"[\w.-]+(/[\w.-]+)*")
_SHA256 = re.compile(rf"([0-9a-f]{{{KNOWN_DIGITS},64}})?")


@dataclass(frozen=True, kw_only=True)
class WeightsSource:
    """One file, either in a repository of the Hugging Face Hub or at a URL.

    On a card it is one of the tables ``[[sources]]``; a card with several has them in order of
    preference, and each holds the same weights. Raises ModelError for fields that do not fit.
    """

    url: str = ""
    """URL of the file, ``https://…``; its last part is the file's name."""
    repository: str = ""
    """Repository on the Hub, as in ``facebook/encodec_24khz``."""
    revision: str = "main"
    """Branch, tag or commit in the repository."""
    file: str = ""
    """Path of the file in the repository."""
    sha256: str = ""
    """SHA-256 of the file, lower-case hexadecimal, or as many of its first digits as are known."""

    def __post_init__(self) -> None:
        """Check that this is one place, and that its last part is safe as a file's name."""
        if bool(self.url) == bool(self.repository):
            raise ModelError("a source has either a url or a repository and a file in it")
        if self.url:
            try:
                parts = urlsplit(self.url)
            except ValueError as error:
                raise ModelError(f"{self.url!r} is no https:// URL: {error}") from None
            if parts.scheme not in ("https", "http") or not parts.hostname:
                raise ModelError(f"{self.url!r} is no https:// URL")
            if self.file:
                raise ModelError(f"{self.url}: a file is named in a repository, not for a url")
        elif not _REPOSITORY.fullmatch(self.repository) or ".." in self.repository:
            raise ModelError(f"{self.repository!r} is no repository, as in owner/name")
        elif not _REVISION.fullmatch(self.revision) or ".." in self.revision:
            raise ModelError(f"{self.revision!r} is no revision of {self.repository}")
        if place_inside(self.path, portable=True) is None or not self.path.isprintable():
            raise ModelError(f"{self.where}: {self.path!r} is no file's name")
        if not _SHA256.fullmatch(self.sha256):
            raise ModelError(
                f"{self.where}: sha256 {self.sha256!r} is not {KNOWN_DIGITS} to 64 of 0-9a-f"
            )

    @property
    def path(self) -> str:
        """Path of the file in its repository; the last part of a URL."""
        return self.file or unquote(urlsplit(self.url).path.rpartition("/")[2])

    @property
    def name(self) -> str:
        """Name of the file, without folders."""
        return self.path.rpartition("/")[2]

    @property
    def where(self) -> str:
        """Link to the file, which can be opened anywhere."""
        if self.url:
            return self.url
        return f"https://huggingface.co/{self.repository}/resolve/{self.revision}/{self.file}"

    @property
    def tag(self) -> str:
        """Eight hexadecimal digits that stand for the place, whatever its content is."""
        return hashlib.sha256(self.where.encode()).hexdigest()[:8]

    @classmethod
    def of(cls, table: object) -> WeightsSource:
        """Read a table of a card. Raises ModelError where it is no source."""
        if not isinstance(table, Mapping):
            raise ModelError("a source is a table, [[sources]]")
        unknown = sorted(set(table) - {f.name for f in fields(cls)})
        if unknown:
            raise ModelError(f"a source has no {', '.join(unknown)}")
        if not all(isinstance(value, str) for value in table.values()):
            raise ModelError("all that a source has is text")
        return cls(**table)
