"""Small .ncf files for the tests: headers, chunks with codes by a formula, and pipes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import settings

from neucodec.formats import Chunk, Header, NcfError, NcfReader, NcfWriter, ScaleKind, pack_codes

# A busy machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

HEADER = Header(
    codec="neu-44khz",
    fingerprint=bytes.fromhex("0123456789abcdef"),
    sample_rate=44100,
    source_rate=44100,
    channels=1,
    streams=1,
    codebooks=2,
    codebook_size=1024,
    hop=512,
    chunk_frames=4,
    chunk_stride=2048,
    scale_kind=ScaleKind.LOG,
)


def header(**changes: Any) -> Header:
    """A mono header with four frames per chunk, changed as told."""
    fields = {name: getattr(HEADER, name) for name in Header.__dataclass_fields__}
    return Header(**{**fields, **changes})


def codes(streams: int, codebooks: int, frames: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Codes below 1024 by a formula [streams, codebooks, frames]."""
    count = streams * codebooks * frames
    return ((np.arange(count) + seed * 100 + 1) * 389 % 1024).reshape(streams, codebooks, frames)


def chunk(head: Header, index: int, **changes: Any) -> Chunk:
    """A whole chunk, all streams sounding, changed as told; codebooks=0 for silence."""
    fields: dict[str, Any] = {
        "codebooks": head.codebooks,
        "frames": head.chunk_frames,
        **changes,
    }
    if not fields["codebooks"]:
        return Chunk(index=index, **fields)
    if head.scale_kind != ScaleKind.NONE:
        level: Any = 140 if head.scale_kind == ScaleKind.LOG else 0.125
        fields.setdefault("scales", (level,) * head.streams)
    silent = head.scale_kind == ScaleKind.LOG and fields["scales"].count(0)
    packed = pack_codes(
        codes(head.streams - silent, fields["codebooks"], fields["frames"], index), head.code_bits
    )
    fields.setdefault("payload", packed)
    return Chunk(index=index, **fields)


def several(head: Header, count: int, silent: Sequence[int] = ()) -> list[Chunk]:
    """So many whole chunks, those in ``silent`` without sound."""
    return [chunk(head, i, **({"codebooks": 0} if i in silent else {})) for i in range(count)]


def write(
    head: Header, chunks: Sequence[Chunk], frames: int | None = None, fingerprint: bytes = b""
) -> bytes:
    """Bytes of an .ncf, by default of as many samples as fill its chunks."""
    file = io.BytesIO()
    writer = NcfWriter(file, head)
    for each in chunks:
        writer.write(each)
    if frames is None:
        frames = len(chunks) * head.chunk_stride * head.source_rate // head.sample_rate
    assert writer.close(frames, fingerprint) == file.tell()
    return file.getvalue()


def check_not_written(head: Header, message: str, **changes: Any) -> None:
    """Such a chunk is refused with that message, and nothing of it is in the file."""
    file = io.BytesIO()
    writer = NcfWriter(file, head)
    start = file.tell()
    with pytest.raises(NcfError, match=message):
        writer.write(chunk(head, 0, **changes))
    assert file.tell() == start


def spans(data: bytes) -> list[tuple[int, int]]:
    """Where each chunk of an intact file starts and ends."""
    return [(e.offset, e.offset + e.length) for e in NcfReader(io.BytesIO(data)).table()]


class Pipe:
    """Nothing but read(), and no more than ``most`` bytes at a time."""

    def __init__(self, data: bytes, most: int = 2**20) -> None:
        self._file = io.BytesIO(data)
        self._most = most

    def read(self, size: int) -> bytes:
        """Next bytes, fewer than asked for as it pleases."""
        return self._file.read(min(size, self._most))

    @property
    def taken(self) -> int:
        """How many bytes have been read so far."""
        return self._file.tell()
