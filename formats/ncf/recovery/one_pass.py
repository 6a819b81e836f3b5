"""Read the bytes after the header in one pass, and find the way again after damage."""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, TypeVar

import numpy as np

from neucodec.formats.errors import NcfError
from neucodec.formats.ncf.chunk import (
    END,
    INDEX_MODULUS,
    MAX_CHUNKS,
    SMALLEST_CHUNK,
    Chunk,
    ChunkHead,
    build_chunk,
    crc_holds,
    parse_chunk,
)
from neucodec.formats.ncf.header import Header
from neucodec.formats.ncf.trailer import (
    ChunkEntry,
    ChunkTable,
    TrailerHead,
    parse_trailer,
    tail_holds,
)
from neucodec.formats.ncf.window import Window

from .search import Survey

UNSEEN_CHUNKS = 60
"""How many chunks may have been lost without leaving a byte."""

_Head = TypeVar("_Head", ChunkHead, TrailerHead)


class Found(NamedTuple):
    """An intact chunk, and where it stood."""

    entry: ChunkEntry
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Silence:
    """Silent chunks one after the other, all of them intact."""

    index: int
    """Index of the first chunk."""
    offset: int
    """Position in the stream of the first chunk."""
    count: int
    """How many chunks there are."""

    def chunks(self, header: Header) -> Iterator[Chunk]:
        """Give the chunks one by one."""
        for index in range(self.index, self.index + self.count):
            yield Chunk(index=index, codebooks=0, frames=header.chunk_frames)


class ChunkStream:
    """Intact chunks of a stream in file order, their indices strictly increasing.

    Silence comes many chunks at a time: each has seven bytes, which are known beforehand.

    ``trailer`` is set where the iteration came upon an intact one, and ``missing`` holds the
    indices below ``expected`` that were skipped.
    """

    def __init__(self, window: Window, header: Header, table: ChunkTable | None) -> None:
        """Take the trailer's ``table`` where it is known beforehand and fits the file."""
        self.trailer: TrailerHead | None = None
        self.expected = 0
        self.missing: list[int] = []
        self._window = window
        self._header = header
        self._table = table
        self._survey = Survey(window, header)
        self._first = window.offset
        self._resumed = window.offset  # where the last intact chunk ended
        self._accepted = 0
        self._accepted_bytes = 0
        self._short = False

    def __iter__(self) -> Iterator[Found | Silence]:
        while self._window.fill(1):
            silence = self._silence_here()
            if silence:
                yield silence
                continue
            found = self._chunk_here()
            if found:
                self._accept(found)
                yield found
                continue
            self.trailer = self._trailer_here()
            if self.trailer:
                return
            self._survey.skip()

    def _accept(self, found: Found) -> None:
        index, length = found.entry.index, found.entry.length
        self.missing.extend(range(self.expected, index))
        self.expected = index + 1
        self._short = found.chunk.frames != self._header.chunk_frames
        self._passed(1, length)

    def _silence_here(self) -> Silence | None:
        """Return the silent chunks at the window's start that are due there, as far as held."""
        data, first = self._window.data, self.expected
        silent, at = _silent_chunks(), first % INDEX_MODULUS * SMALLEST_CHUNK
        if self._short or data[:SMALLEST_CHUNK] != silent[at : at + SMALLEST_CHUNK]:
            return None
        most = min(INDEX_MODULUS, len(data) // SMALLEST_CHUNK, MAX_CHUNKS - first)
        if self._table is not None:
            most = min(most, self._table.run(first, self._window.offset, SMALLEST_CHUNK))
        size = most * SMALLEST_CHUNK
        there = np.frombuffer(bytes(data[:size]), np.uint8)
        other = np.nonzero(there != np.frombuffer(silent[at : at + size], np.uint8))[0]
        count = int(other[0]) // SMALLEST_CHUNK if len(other) else most
        if not count:
            return None
        silence = Silence(first, self._window.offset, count)
        self.expected += count
        self._passed(count, count * SMALLEST_CHUNK)
        return silence

    def _passed(self, chunks: int, length: int) -> None:
        """Move on behind ``chunks`` intact chunks of ``length`` bytes together."""
        self._accepted += chunks
        self._accepted_bytes += length
        self._window.drop(length)
        self._resumed = self._window.offset

    def _chunk_here(self) -> Found | None:
        """Return the intact chunk at the window's start; None where it has no place here."""
        window, verdict = self._window, self._survey.verdict()
        head = self._head_here(parse_chunk) if verdict is not False else None
        if head is None or (not verdict and not crc_holds(window.data, head.length)):
            return None
        index = self._index_of(head)
        if index is None:
            return None
        entry = ChunkEntry(index, window.offset, head.length)
        return Found(entry, build_chunk(head, window.data, index))

    def _trailer_here(self) -> TrailerHead | None:
        """Return the intact trailer at the window's start; None if it does not fit the chunks."""
        window, verdict = self._window, self._survey.verdict()
        head = self._head_here(parse_trailer) if verdict is not False else None
        if head is None or not tail_holds(head, window.data, crc_known=bool(verdict)):
            return None
        if self._table is not None:
            return head if window.offset == self._first + self._table.lengths.sum() else None
        missing = head.count - self.expected
        if missing < 0 or (missing and self._short):
            return None
        # Where chunks that it counts as lost still follow, it strayed in from the end.
        strays = missing and any(d < missing for d in self._distances_behind(head.length))
        return None if strays else head

    def _head_here(self, parse: Callable[[Header, bytearray], _Head | int]) -> _Head | None:
        """Return the head of what starts the window, once all of its bytes are held; else None."""
        window, needed = self._window, 1
        while window.fill(needed) >= needed:
            try:
                head = parse(self._header, window.data)
            except NcfError:
                return None
            if not isinstance(head, int):
                return head if window.fill(head.length) >= head.length else None
            needed = head
        return None

    def _index_of(self, head: ChunkHead) -> int | None:
        """Return the full index of the chunk at the window's start; None if it has no place."""
        ahead = (head.number - self.expected) % INDEX_MODULUS
        index, last, known = self.expected + ahead, MAX_CHUNKS - 1, None
        if self._table is not None:
            last = len(self._table) - 1
            known = self._table.at_offset(self._window.offset)
        if known and known.index >= self.expected and known.index % INDEX_MODULUS == head.number:
            index = known.index
        elif ahead and not self._may_jump(ahead, head.length):
            return None
        if self._short or index > last:
            return None
        short = head.frames != self._header.chunk_frames
        return None if short and self._table is not None and index != last else index

    def _may_jump(self, ahead: int, length: int) -> bool:
        """Return whether the chunk at the window's start may follow a gap of ``ahead`` chunks."""
        # Even silence takes bytes: nothing may claim much more time than its file could hold.
        end = self._window.offset + length - self._first
        if self.expected + ahead >= end // SMALLEST_CHUNK + UNSEEN_CHUNKS:
            return False
        # A jump over more than half of the numbers is rather one back, to a chunk from before,
        # unless about as many bytes were lost as it takes.
        mean = self._accepted_bytes / self._accepted if self._accepted else SMALLEST_CHUNK
        lost = self._window.offset - self._resumed
        if ahead >= INDEX_MODULUS // 2 and 2 * lost < ahead * mean:
            return False
        # It may also have strayed in from elsewhere in the file: go the way on which more follow.
        behind = self._distances_behind(length)
        following = [distance for distance in behind if distance > ahead]
        return 1 + _longest_ascent(following) >= _longest_ascent(behind)

    def _distances_behind(self, length: int) -> list[int]:
        """Return how far ahead the next few chunks behind the window's first bytes are."""
        words = self._survey.words_behind(length)
        return [(word - self.expected) % INDEX_MODULUS for word in words if not word & END]


@cache
def _silent_chunks() -> bytes:
    """Return the silent chunks of all numbers, twice over: any that follow each other adjoin."""
    heads = (struct.pack("<HB", number, 0) for number in range(INDEX_MODULUS))
    return b"".join(head + struct.pack("<I", zlib.crc32(head)) for head in heads) * 2


def _longest_ascent(values: list[int]) -> int:
    """Return the length of the longest strictly increasing subsequence."""
    lowest: list[int] = []  # last values of ascents by length
    for value in values:
        row = bisect_left(lowest, value)
        lowest[row : row + 1] = [value]
    return len(lowest)
