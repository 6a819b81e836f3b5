"""Compute SHA-256 of files, and keep records of it from their first use."""

from __future__ import annotations

import hashlib
import re
import secrets
from contextlib import suppress
from pathlib import Path

BLOCK = 1 << 20
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)\n?")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, lower-case hexadecimal; OSError if it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def read_record(record: Path) -> str:
    """Return the SHA-256 in a record; "" where there is none.

    A record is a line as ``sha256sum`` writes and checks it.
    """
    with suppress(OSError, UnicodeDecodeError):
        if match := _LINE.fullmatch(record.read_text(encoding="utf-8")):
            return match[1]
    return ""


def write_record(record: Path, name: str, sha256: str) -> None:
    """Record the SHA-256 of the file called ``name``; do nothing where nothing can be written."""
    temporary = record.with_name(f".{record.name}.{secrets.token_hex(4)}")
    with suppress(OSError):
        record.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(f"{sha256}  {name}\n".encode())
            temporary.replace(record)
        finally:
            temporary.unlink(missing_ok=True)
