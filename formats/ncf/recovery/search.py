"""Search a damaged stretch of a stream for places where something intact starts."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from neucodec.formats.ncf.crc import RunningRegisters
from neucodec.formats.ncf.header import Header
from neucodec.formats.ncf.trailer import TAIL, tails_fit
from neucodec.formats.ncf.window import Window

from .candidates import Places, candidates, lookahead

FIRST_STRETCH = 2**12
LARGEST_STRETCH = 2**18
"""Bytes searched at once: few after little damage, so as not to wait long for a live pipe."""
PEEK_BYTES = 2**13
"""How many bytes behind a chunk are searched for those that follow it."""
PEEK_COUNT = 16
"""How many chunks that follow are looked at."""


class Survey:
    """Offsets in a window at which an intact chunk or trailer starts, as far as searched.

    Every byte is searched and checksummed at most once, whatever it claims to be, and the window
    holds no more than one stretch and what the longest candidate in it spans.
    """

    def __init__(self, window: Window, header: Header) -> None:
        self._window = window
        self._header = header
        self._until = window.offset  # all that starts before here is known
        self._searched = 0
        self._intact: list[int] = []
        self._registers = RunningRegisters(window.offset)

    def verdict(self) -> bool | None:
        """Return whether something intact starts where the window does; None if not searched."""
        offset = self._window.offset
        row = bisect_left(self._intact, offset)
        if row < len(self._intact) and self._intact[row] == offset:
            return True
        return False if offset < self._until else None

    def skip(self) -> None:
        """Move the window past its first byte to where something intact starts, or to the end."""
        window = self._window
        window.drop(1)
        while (verdict := self.verdict()) is not True:
            if verdict is None:
                if not self._extend():
                    return
                continue
            row = bisect_left(self._intact, window.offset)
            target = self._intact[row] if row < len(self._intact) else self._until
            window.drop(target - window.offset)

    def words_behind(self, length: int) -> list[int]:
        """Return the words of the next few intact chunks or trailers, ``length`` bytes further."""
        start = self._window.offset + length
        while self._until < start + PEEK_BYTES and self._extend():
            pass
        row, stop = (bisect_left(self._intact, place) for place in (start, start + PEEK_BYTES))
        words = []
        # What happens to have been searched further on must not count.
        for offset in self._intact[row : min(stop, row + PEEK_COUNT)]:
            at = offset - self._window.offset
            words.append(int.from_bytes(self._window.data[at : at + 2], "little"))
        return words

    def _extend(self) -> bool:
        """Search one more stretch; return False at the end of the stream."""
        window, lookahead_ = self._window, lookahead(self._header)
        base = max(self._until - window.offset, 0)
        # Bytes beyond a stretch are looked at again with the next: no more of them than of it.
        most = max(LARGEST_STRETCH, lookahead_)
        stretch = min(max(self._searched, FIRST_STRETCH), most)
        held = window.fill(base + stretch + lookahead_) - base
        starts = min(stretch, held)
        if starts <= 0:
            return False
        self._until = window.offset + base + starts
        self._searched += starts
        data = np.zeros(starts + lookahead_, np.uint8)
        block = window.data[base : base + len(data)]
        data[: len(block)] = np.frombuffer(block, np.uint8)
        found = candidates(self._header, data, starts)
        intact = self._intact_of(*(column + window.offset + base for column in found))
        # What the window has left behind is no longer asked for.
        del self._intact[: bisect_left(self._intact, window.offset)]
        self._intact += intact.tolist()
        return True

    def _intact_of(self, start: Places, crc: Places, end: Places) -> Places:
        """Return the starts of the candidates whose checksums are right, as stream offsets."""
        window, registers = self._window, self._registers
        held = window.offset + window.fill(int(end.max(initial=window.offset)) - window.offset)
        kept = np.nonzero(end <= held)[0]
        bytes_ = np.frombuffer(window.data, np.uint8)
        try:
            # Heads of trailers cost nothing and claim megabytes. So their tails are checked before
            # anything is computed: each tail can belong to one of them alone.
            tails = kept[end[kept] - crc[kept] == TAIL.size]
            sound = tails_fit(bytes_, crc[tails] - window.offset, end[tails] - start[tails])
            kept = np.setdiff1d(kept, tails[~sound], assume_unique=True)
            start, crc = start[kept], crc[kept]
            if not len(start):
                return start
            stored = bytes_[crc[:, None] - window.offset + np.arange(4)].view("<u4")[:, 0]
        finally:
            del bytes_  # lets the window grow again
        registers.forget(window.offset)
        if registers.until < window.offset:
            registers = self._registers = RunningRegisters(window.offset)
        to_come = slice(registers.until - window.offset, int(crc.max()) - window.offset)
        registers.cover(window.data[to_come])
        intact: Places = start[registers.crcs(start, crc) == stored]
        return intact
