"""Read an .ncf, in one pass or at random."""

from __future__ import annotations

import io
import select
import threading
from collections.abc import Iterator
from typing import Any

from neucodec.formats.errors import NcfError
from neucodec.formats.ncf.recovery.one_pass import ChunkStream, Found, Silence

from .chunk import (
    INDEX_MODULUS,
    SMALLEST_CHUNK,
    Chunk,
    ChunkHead,
    build_chunk,
    crc_holds,
    parse_chunk,
)
from .header_bytes import SIGNATURE, read_header
from .trailer import (
    MAGIC,
    MAX_TRAILER_BYTES,
    SMALLEST_TRAILER,
    ChunkEntry,
    ChunkTable,
    TrailerHead,
    chunk_lengths,
    parse_trailer,
    source_fingerprint,
    tail_holds,
)
from .window import Window

_AHEAD = 2**16
_LOOK = len(SIGNATURE)
_PATIENCE = 0.5
"""Seconds to wait for bytes that follow the trailer in a pipe."""


class NcfReader:
    """An .ncf in a binary file or pipe, from its present position on; the file is not closed.

    Raises NcfError where there is no header that can be read. From there on damage never raises:
    only intact chunks come out, with their right index.

    A file that can seek can be iterated over several times and read at random, a pipe once.
    """

    def __init__(self, file: Any) -> None:
        self.seekable = bool(getattr(file, "seekable", bool)())
        self.chunk_count: int | None = None
        """How many chunks were written, by the trailer, or else by the last chunk found."""
        self.complete = False
        """Whether an intact trailer was found."""
        self.source_fingerprint = b""
        """Fingerprint of the source's samples, once the trailer was found; empty where it has
        none."""
        self.damaged: list[int] = []
        """Indices of damaged or lost chunks, after an iteration, or table() without a trailer."""
        self._file = file
        # One file position serves all: a decoder reads ahead while others look chunks up.
        self._lock = threading.RLock()
        self._trailer: TrailerHead | None = None
        self._from_trailer: ChunkTable | None = None
        self._from_scan: ChunkTable | None = None
        self._end: int | None = None  # of the trailer
        self._rest: bytes | None = None
        start = file.tell() if self.seekable else 0
        window = Window(file, start, seekable=self.seekable, ahead=0 if self.seekable else _AHEAD)
        self.header, self.version = read_header(window)
        self._first = window.offset
        self._pipe = None if self.seekable else window
        if self.seekable:
            self._read_trailer()

    @property
    def frames(self) -> int | None:
        """Source samples per channel: exact from the trailer, else the header's hint, else None.

        They are known at once for a whole file that can seek, for a pipe after the iteration.
        """
        return self._trailer.frames if self._trailer else self.header.frames

    def __iter__(self) -> Iterator[Chunk]:
        """Give intact chunks in file order, their indices strictly increasing."""
        for run in self._stream():
            if isinstance(run, Silence):
                yield from run.chunks(self.header)
            else:
                yield run.chunk

    def runs(self) -> Iterator[tuple[Chunk | None, int]]:
        """Give the same, silence many chunks at a time: a chunk and 1, or None and how many."""
        for run in self._stream():
            yield (None, run.count) if isinstance(run, Silence) else (run.chunk, 1)

    def locate(self) -> None:
        """Find where chunks stand and how many there are.

        The trailer tells, or else the whole file is searched. Raises io.UnsupportedOperation for a
        pipe.
        """
        self._located()

    def table(self) -> list[ChunkEntry]:
        """Return where each chunk stands, see `locate`.

        A search finds intact chunks alone, so that entries may be fewer than chunk_count.
        """
        return self._located().entries()

    def _located(self) -> ChunkTable:
        self._require_seekable()
        return self._scan() if self._from_trailer is None else self._from_trailer

    def read_chunk(self, index: int) -> Chunk | None:
        """Return a chunk by its index, None where it is damaged or missing.

        That chunk alone is read, unless it is not where the trailer says: then the whole file is
        searched, once. Several threads may call this. Raises io.UnsupportedOperation for a pipe.
        """
        self._require_seekable()
        with self._lock:
            if self._from_trailer is not None:
                entry = self._from_trailer.entry(index)
                if entry is None:
                    return None
                chunk = self._read_entry(entry)
                if chunk is not None:
                    return chunk
            # The table may be right about the file's length and wrong about what stands where.
            entry = self._scan().entry(index)
            return None if entry is None else self._read_entry(entry)

    def follows(self) -> bytes:
        """Return the first few bytes behind the trailer; b"" where the file ends, as it should.

        They are known once the trailer is: after an iteration or table(). They are no part of the
        .ncf and are not read, so a program that decodes it should say that they are there. A pipe
        whose writer neither goes on nor closes it has none.
        """
        if not self.complete or self._end is None:
            return b""
        if self.seekable:
            return bytes(self._read_at(self._end, _LOOK)[:_LOOK])
        if self._rest is None:
            self._rest = _read_if_there(self._file)
        return self._rest

    def _require_seekable(self) -> None:
        if not self.seekable:
            raise io.UnsupportedOperation("this .ncf comes through a pipe: read it in one pass")

    def _read_trailer(self) -> None:
        """Use the trailer at the very end of the file, if it is intact."""
        size = self._file.seek(0, io.SEEK_END)
        tail = self._read_at(max(size - 8, self._first), 8)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != MAGIC or not SMALLEST_TRAILER <= length <= MAX_TRAILER_BYTES:
            return
        start = size - length
        if start < self._first:
            return
        data = self._read_at(start, length)
        try:
            trailer = parse_trailer(self.header, data)
            if isinstance(trailer, int) or trailer.length != length:
                return
            if not tail_holds(trailer, data):
                return
            table = ChunkTable.of_lengths(chunk_lengths(trailer, data), self._first)
        except NcfError:
            return
        # One that does not fit may belong to another file, appended to this one.
        if self._first + table.lengths.sum() == start:
            self._take(trailer, data)
            self._end = size
            self._from_trailer = table

    def _take(self, trailer: TrailerHead, data: bytes | bytearray) -> None:
        self._trailer, self.chunk_count, self.complete = trailer, trailer.count, True
        self.source_fingerprint = source_fingerprint(trailer, data)

    def _stream(self) -> Iterator[Found | Silence]:
        if self.seekable:
            window = Window(self._file, self._first, seekable=True, ahead=_AHEAD)
        elif self._pipe is None:
            raise io.UnsupportedOperation("this .ncf comes through a pipe: it can be read once")
        else:
            window, self._pipe = self._pipe, None
        stream = ChunkStream(window, self.header, self._from_trailer)
        yield from stream
        if stream.trailer:
            self._take(stream.trailer, window.data[: stream.trailer.length])
            self._end = window.offset + stream.trailer.length
            if not self.seekable:
                held = bytes(window.data[stream.trailer.length :][:_LOOK])
                self._rest = held or None
        if not self.complete:
            self.chunk_count = stream.expected
        self.damaged = stream.missing + list(range(stream.expected, self.chunk_count or 0))

    def _scan(self) -> ChunkTable:
        if self._from_scan is None:
            self._from_scan = ChunkTable.of_runs(
                (run.index, run.offset, SMALLEST_CHUNK, run.count)
                if isinstance(run, Silence)
                else (run.entry.index, run.entry.offset, run.entry.length, 1)
                for run in self._stream()
            )
        return self._from_scan

    def _read_entry(self, entry: ChunkEntry) -> Chunk | None:
        data = self._read_at(entry.offset, entry.length)
        if len(data) < entry.length or not crc_holds(data, entry.length):
            return None
        try:
            head = parse_chunk(self.header, data)
        except NcfError:
            return None
        if not isinstance(head, ChunkHead) or head.length != entry.length:
            return None
        short = head.frames != self.header.chunk_frames
        if head.number != entry.index % INDEX_MODULUS or (
            short and entry.index + 1 != self.chunk_count
        ):
            return None
        return build_chunk(head, data, entry.index)

    def _read_at(self, offset: int, length: int) -> bytearray:
        window = Window(self._file, offset, seekable=True)
        window.fill(length)
        return window.data


def _read_if_there(pipe: Any) -> bytes:
    """Return the next few bytes of a pipe, b"" if it has ended or nothing comes for a while."""
    try:
        number = pipe.fileno()
    except (AttributeError, OSError, ValueError):  # something in memory
        return pipe.read(_LOOK) or b""
    try:
        ready, _, _ = select.select([number], [], [], _PATIENCE)
    except (OSError, ValueError):  # nothing that this system can wait for
        return b""
    return (pipe.read(_LOOK) or b"") if ready else b""
