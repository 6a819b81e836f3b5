"""Write and read the trailer: totals of a file and the lengths of its chunks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neucodec.formats.entropy.varint import (
    MAX_VARINT_BYTES,
    encode_varint,
    read_varint,
    read_varints,
    unzigzag,
    zigzag,
)
from neucodec.formats.errors import NcfError

from .budget import MAX_CHUNK_BYTES
from .chunk import END, INDEX_MODULUS, MAX_CHUNKS, SMALLEST_CHUNK
from .header import Header

MAGIC = b"NCFE"
TAIL = struct.Struct("<II4s")  # CRC, length of the whole trailer, magic
SMALLEST_TRAILER = 2 + 1 + 2 + TAIL.size
SOURCE_FINGERPRINT_BYTES = 16
_SOURCE_FINGERPRINT = 2
"""The id of the field behind the table that has it."""
# Four bytes per chunk hold any difference of lengths; the rest is room for later minors.
MAX_BODY_BYTES = 4 * MAX_CHUNKS + 2**20
MAX_TRAILER_BYTES = 2 + MAX_VARINT_BYTES + MAX_BODY_BYTES + TAIL.size


@dataclass(frozen=True, slots=True)
class ChunkEntry:
    """Place of a chunk in a file."""

    index: int
    """Number of the chunk, from 0."""
    offset: int
    """Position in the file object of the chunk's first byte."""
    length: int
    """Length of the whole chunk in bytes."""


@dataclass(frozen=True, slots=True)
class TrailerHead:
    """Totals of a trailer, and where its parts stand."""

    count: int
    """How many chunks the file has."""
    frames: int
    """Source samples per channel."""
    table_at: int
    """Place in the trailer at which the table of chunk lengths begins."""
    crc_at: int
    """Place in the trailer at which the CRC stands."""

    @property
    def length(self) -> int:
        """Length of the whole trailer in bytes."""
        return self.crc_at + TAIL.size


class TrailerBuilder:
    """Collects what the trailer needs, about two bytes per chunk."""

    def __init__(self) -> None:
        self.count = 0
        self._last = 0
        self._steps = bytearray()

    def add(self, length: int) -> None:
        """Note the length in bytes of the next chunk."""
        self._steps += encode_varint(zigzag(length - self._last))
        self._last = length
        self.count += 1

    def encode(self, frames: int, source_fingerprint: bytes = b"") -> bytes:
        """Return the trailer's bytes, for ``frames`` source samples per channel.

        ``source_fingerprint`` is of those samples, 16 bytes; none where it is empty.
        """
        body = encode_varint(self.count) + encode_varint(frames) + self._steps
        if source_fingerprint:
            body += encode_varint(_SOURCE_FINGERPRINT) + encode_varint(len(source_fingerprint))
            body += source_fingerprint
        word = struct.pack("<H", END | self.count % INDEX_MODULUS)
        data = word + encode_varint(len(body)) + body
        return data + TAIL.pack(zlib.crc32(data), len(data) + TAIL.size, MAGIC)


def frames_fit(header: Header, count: int, frames: int) -> bool:
    """Return whether ``frames`` source samples can take exactly ``count`` chunks.

    Two samples of either rate are allowed for the rounding of a resampler.
    """
    if not count or not frames:
        return count == frames
    stride = header.chunk_stride * header.source_rate
    slack = 2 * (header.source_rate + header.sample_rate)
    # Samples that would begin one more chunk may lie within the overlap of a short one.
    most = count * stride + header.overlap * header.source_rate + slack
    return (count - 1) * stride - slack < frames * header.sample_rate <= most


def parse_trailer(header: Header, data: bytes | bytearray) -> TrailerHead | int:
    """Read the trailer at the start of ``data``, or say how many bytes are needed first.

    Raises NcfError where it contradicts itself or the header. `tail_holds` tells of damage.
    """
    if len(data) < SMALLEST_TRAILER:
        return SMALLEST_TRAILER
    (word,) = struct.unpack_from("<H", data)
    if word & ~(INDEX_MODULUS - 1) != END:
        raise NcfError("not a trailer")
    # Ten bytes at most, and the smallest trailer has more after its word.
    length, at = read_varint(data, 2)
    if not 2 <= length <= MAX_BODY_BYTES:
        raise NcfError(f"trailer with a body of {length} bytes")
    crc_at = at + length
    if len(data) < crc_at + TAIL.size:
        return crc_at + TAIL.size
    numbers = data[at : min(crc_at, at + 2 * MAX_VARINT_BYTES)]
    try:
        count, used = read_varint(numbers, 0)
        frames, used = read_varint(numbers, used)
    except EOFError:
        raise NcfError(f"trailer with a body of {length} bytes that ends in a number") from None
    at += used
    if count > min(MAX_CHUNKS, crc_at - at) or word % INDEX_MODULUS != count % INDEX_MODULUS:
        raise NcfError(f"trailer with a body of {length} bytes claims {count} chunks")
    if not frames_fit(header, count, frames):
        raise NcfError(f"{frames} samples do not fit {count} chunks")
    return TrailerHead(count, frames, at, crc_at)


def source_fingerprint(head: TrailerHead, data: bytes | bytearray) -> bytes:
    """Return the fingerprint of the source's samples, 16 bytes; b"" where the trailer has none."""
    rest = bytes(data[head.table_at : head.crc_at])
    ends = np.nonzero(np.frombuffer(rest, np.uint8) < 0x80)[0]
    if len(ends) < head.count:
        return b""
    at = int(ends[head.count - 1]) + 1 if head.count else 0
    try:
        while at < len(rest):
            number, at = read_varint(rest, at)
            length, at = read_varint(rest, at)
            if number == _SOURCE_FINGERPRINT and length == SOURCE_FINGERPRINT_BYTES:
                value = rest[at : at + length]
                return value if len(value) == length else b""
            at += length
    except (EOFError, NcfError):  # what is no field is passed over
        pass
    return b""


def tail_holds(head: TrailerHead, data: bytes | bytearray, *, crc_known: bool = False) -> bool:
    """Return whether a trailer's length, magic and CRC are right; skip a CRC that is known."""
    crc, length, magic = TAIL.unpack_from(data, head.crc_at)
    if magic != MAGIC or length != head.length:
        return False
    return crc_known or crc == zlib.crc32(data[: head.crc_at])


def tails_fit(
    data: npt.NDArray[np.uint8], at: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Return whether the tails of trailers at places ``at`` have the magic and these lengths."""
    tail = data[at[:, None] + np.arange(TAIL.size)]
    fits: npt.NDArray[np.bool_] = (tail[:, 8:] == np.frombuffer(MAGIC, np.uint8)).all(axis=1)
    fits &= np.ascontiguousarray(tail[:, 4:8]).view("<u4")[:, 0] == lengths
    return fits


def chunk_lengths(head: TrailerHead, data: bytes | bytearray) -> npt.NDArray[np.int64]:
    """Return the bytes of every chunk [count]; NcfError where the table is malformed."""
    table = np.frombuffer(bytes(data[head.table_at : head.crc_at]), np.uint8)
    starts = np.concatenate([[0], np.nonzero(table < 0x80)[0] + 1])[: head.count]
    # What runs past the end is no varint.
    padded = np.concatenate([table, np.full(MAX_VARINT_BYTES, 0x80, np.uint8)])
    values, _, valid = read_varints(padded, starts.astype(np.int64))
    steps = unzigzag(values)
    if len(starts) < head.count or not valid.all() or np.any(np.abs(steps) > MAX_CHUNK_BYTES):
        raise NcfError("the chunk table is malformed")
    lengths = np.cumsum(steps)
    if np.any(lengths < SMALLEST_CHUNK):
        raise NcfError("the chunk table is malformed")
    return lengths


class ChunkTable:
    """Index, offset and length of chunks, in file order."""

    def __init__(
        self,
        indices: npt.NDArray[np.int64],
        offsets: npt.NDArray[np.int64],
        lengths: npt.NDArray[np.int64],
    ) -> None:
        self.indices, self.offsets, self.lengths = indices, offsets, lengths

    def __len__(self) -> int:
        return len(self.indices)

    @classmethod
    def of_lengths(cls, lengths: npt.NDArray[np.int64], first: int) -> ChunkTable:
        """Make the table of chunks that follow each other from offset ``first`` on."""
        ends = first + np.cumsum(lengths)
        return cls(np.arange(len(lengths), dtype=np.int64), ends - lengths, lengths)

    @classmethod
    def of_runs(cls, runs: Iterable[tuple[int, int, int, int]]) -> ChunkTable:
        """Make the table of runs of chunks of one length.

        A run is (index of its first chunk, offset of that, length of each chunk, number of chunks).
        """
        index, offset, length, count = np.array(list(runs), np.int64).reshape(-1, 4).T
        ends = np.cumsum(count)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - count, count)
        index, offset, length = (np.repeat(part, count) for part in (index, offset, length))
        return cls(index + within, offset + within * length, length)

    def run(self, index: int, offset: int, length: int) -> int:
        """Return how many chunks in a row, from ``index`` on, are ``length`` bytes long.

        It is 0 where the chunk ``index`` does not stand at ``offset``.
        """
        if index >= len(self.offsets) or self.offsets[index] != offset:
            return 0
        here = self.lengths[index : index + INDEX_MODULUS]
        other = np.nonzero(here != length)[0]
        return int(other[0]) if len(other) else len(here)

    def entries(self) -> list[ChunkEntry]:
        """Return the whole table as a list."""
        columns = (self.indices.tolist(), self.offsets.tolist(), self.lengths.tolist())
        return [ChunkEntry(*row) for row in zip(*columns, strict=True)]

    def entry(self, index: int) -> ChunkEntry | None:
        """Return where a chunk stands, None if it is not in the table."""
        return self._find(self.indices, index)

    def at_offset(self, offset: int) -> ChunkEntry | None:
        """Return the chunk that starts at ``offset``, None if none does."""
        return self._find(self.offsets, offset)

    def _find(self, column: npt.NDArray[np.int64], value: int) -> ChunkEntry | None:
        row = int(np.searchsorted(column, value))
        if row == len(column) or column[row] != value:
            return None
        return ChunkEntry(int(self.indices[row]), int(self.offsets[row]), int(self.lengths[row]))
