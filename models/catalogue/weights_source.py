"""Where a checkpoint's file can be had."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from urllib.parse import unquote, urlsplit

from neucodec.models.errors import ModelError
from neucodec.safety.inside import place_inside

KNOWN_DIGITS = 8
"""Fewest hexadecimal digits of a SHA-256 that a card may give: EnCodec's file names carry 8."""

_REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)?")
_REVISION = re.compile(r"[\w.-]+(/[\w.-]+)*")
_SHA256 = re.compile(rf"([0-9a-f]{{{KNOWN_DIGITS},64}})?")


@dataclass(frozen=True, kw_only=True)
class WeightsSource:
    """One file, either in a repository of the Hugging Face Hub or at a URL.

    On a card it is one of the tables ``[[sources]]``; a card with several has them in order of
    preference, and each is as good as the others. Raises ModelError for what cannot be.
    """

    url: str = ""
    """``https://…``; its last part is the file's name."""
    repository: str = ""
    """On the Hub, as in ``facebook/encodec_24khz``."""
    revision: str = "main"
    """Branch, tag or commit in it."""
    file: str = ""
    """Path in it."""
    sha256: str = ""
    """SHA-256 of the file, lower-case hexadecimal, or as many of its first digits as are known."""

    def __post_init__(self) -> None:
        """Check that this is one place, and one safe to be made a file name of."""
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
        """Of the file in its repository; of a URL only the last part."""
        return self.file or unquote(urlsplit(self.url).path.rpartition("/")[2])

    @property
    def name(self) -> str:
        """Of the file, without folders."""
        return self.path.rpartition("/")[2]

    @property
    def where(self) -> str:
        """The place, as a link that can be opened anywhere."""
        if self.url:
            return self.url
        return f"https://huggingface.co/{self.repository}/resolve/{self.revision}/{self.file}"

    @property
    def tag(self) -> str:
        """Eight digits that stand for the place, whatever is known of the content."""
        return hashlib.sha256(self.where.encode()).hexdigest()[:8]

    @classmethod
    def of(cls, table: object) -> WeightsSource:
        """From a card's table."""
        if not isinstance(table, Mapping):
            raise ModelError("a source is a table, [[sources]]")
        unknown = sorted(set(table) - {f.name for f in fields(cls)})
        if unknown:
            raise ModelError(f"a source has no {', '.join(unknown)}")
        if not all(isinstance(value, str) for value in table.values()):
            raise ModelError("all that a source has is text")
        return cls(**table)
