"""Fingerprints: of a source's samples, and of the codes of a file."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import numpy as np

from neucodec.formats import Chunk, Header, NcfReader

from .entropy import Codes, EntropyModel
from .payloads import decode_payloads

if TYPE_CHECKING:
    from neucodec.audio.samples import Audio
    from neucodec.audio.source import Source

_TOGETHER = 64
"""Chunks whose payloads are decoded at once."""


class SourceFingerprint:
    """Takes the samples of a source, in order, and gives the 16 bytes that NCF.md specifies."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._hash = hashlib.sha256(struct.pack("<II", sample_rate, channels))

    def add(self, block: Audio) -> None:
        """Take the next samples, float32 [n, channels]."""
        self._hash.update((block + np.float32(0)).astype("<f4").tobytes())

    def digest(self) -> bytes:
        """Return the fingerprint of the samples so far."""
        return self._hash.digest()[:16]


def fingerprint_of(source: Source) -> tuple[bytes, int]:
    """Read a source to its end; return its fingerprint and its samples per channel."""
    fingerprint, samples = SourceFingerprint(source.sample_rate, source.channels), 0
    for block in source.blocks():
        fingerprint.add(block)
        samples += len(block)
    return fingerprint.digest(), samples


class CodesDigest:
    """Takes chunks and their codes, in order, and gives a SHA-256 of all that decoding uses."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, chunk: Chunk, codes: Codes | None) -> None:
        """Take a chunk, and its codes [streams, codebooks, frames], None where it has none."""
        head = (chunk.index, chunk.codebooks, chunk.frames, chunk.mid_side, tuple(chunk.scales))
        self._hash.update(repr(head).encode())
        self._hash.update(chunk.layer)
        if codes is not None and chunk.codebooks:
            self._hash.update(np.ascontiguousarray(codes, "<i4").tobytes())

    def digest(self) -> bytes:
        """Return the digest of what was taken so far."""
        return self._hash.digest()


def codes_digest_of(reader: NcfReader, model: EntropyModel | None) -> bytes | None:
    """Read a file to its end; return the digest of its codes, None where it is not whole."""
    found, batch = CodesDigest(), list[Chunk]()
    for chunk in reader:
        batch.append(chunk)
        if len(batch) == _TOGETHER:
            _add(found, batch, reader.header, model)
            batch = []
    _add(found, batch, reader.header, model)
    return found.digest() if reader.complete and not reader.damaged else None


def _add(
    found: CodesDigest, chunks: list[Chunk], header: Header, model: EntropyModel | None
) -> None:
    coded = [chunk for chunk in chunks if chunk.codebooks]
    codes = dict(zip((c.index for c in coded), decode_payloads(coded, header, model), strict=True))
    for chunk in chunks:
        found.add(chunk, codes.get(chunk.index))
