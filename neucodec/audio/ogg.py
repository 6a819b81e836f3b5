"""Finds where the streams of an Ogg file begin and end, of which several may follow (RFC 3533).

libsndfile reads only the first link of such a chain, and takes a file that is cut off for complete.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from neucodec.files.file_section import Section

from .speakers import NOTHING_SAID, Layout, xiph_layout

MAGIC = b"OggS"
_HEAD_BYTES = 27
_FIRST, _LAST = 2, 4  # flags of a page: the first, the last of its stream
_SEARCH_BYTES = 1 << 16
_TURNED_BITS = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
_VORBIS, _OPUS = b"\x01vorbis", b"OpusHead"
_DISCRETE = (2, 3, 255)  # Opus's mapping families without speakers, such as ambisonics


@dataclass
class Link:
    """One link of a chain: streams that begin together, at bytes `start` to `end`."""

    start: int
    end: int
    """Place behind the last complete page."""
    layout: Layout
    complete: bool
    """Whether the last page of every stream is there."""


@dataclass(frozen=True)
class _Page:
    start: int
    end: int
    flags: int
    serial: bytes


def links(section: Section) -> list[Link]:
    """Return all links of the chain in `section`, which begins with a page."""
    found: list[Link] = []
    open_streams: set[bytes] = set()
    heads_only = True
    at = 0
    while page := _next_page(section, at):
        first = bool(page.flags & _FIRST)
        if first and (not found or not heads_only):
            if found:
                found[-1].complete = not open_streams
            found.append(Link(page.start, page.end, NOTHING_SAID, True))
            open_streams = set()
        elif not found:  # the middle of a stream: libsndfile decides whether it can be read
            found.append(Link(page.start, page.end, NOTHING_SAID, True))
        if first:
            open_streams.add(page.serial)
            if found[-1].layout == NOTHING_SAID:
                found[-1].layout = _layout(section.at(page.start, 512))
        if page.flags & _LAST:
            open_streams.discard(page.serial)
        heads_only = first
        found[-1].end = at = page.end
    if found:
        found[-1].complete = not open_streams
    return found


def _next_page(section: Section, at: int) -> _Page | None:
    """Return the first intact page at `at` or, where the file is damaged, behind it; or None."""
    while True:
        head = section.at(at, _HEAD_BYTES + 255)
        if len(head) < _HEAD_BYTES:
            return None
        if head[:4] == MAGIC and head[4] == 0:
            table = head[_HEAD_BYTES : _HEAD_BYTES + head[26]]
            end = at + _HEAD_BYTES + head[26] + sum(table)
            fits = len(table) == head[26] and end <= section.size
            if fits and _is_intact(section.at(at, end - at)):
                return _Page(at, end, head[5], head[14:18])
        found = _find(section, at + 1)
        if found is None:
            return None
        at = found


def _is_intact(page: bytes) -> bool:
    """Return whether a page has the right checksum.

    It is a CRC with zlib's polynomial, but with bits in reverse order, and with neither the start
    nor the result inverted.
    """
    turned = (page[:22] + bytes(4) + page[26:]).translate(_TURNED_BITS)
    crc = zlib.crc32(turned, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return page[22:26] == struct.pack(">I", crc).translate(_TURNED_BITS)


def _find(section: Section, at: int) -> int | None:
    """Return where the next page seems to begin; None if nowhere."""
    while data := section.at(at, _SEARCH_BYTES):
        place = data.find(MAGIC)
        if place >= 0:
            return at + place
        if len(data) < _SEARCH_BYTES:
            return None
        at += len(data) - len(MAGIC) + 1
    return None


def _layout(page: bytes) -> Layout:
    """Return the speakers of the stream that begins with a page; none if it is no audio."""
    packet = page[_HEAD_BYTES + page[26] :]
    if packet[:7] == _VORBIS and len(packet) > 11:
        return xiph_layout(packet[11])
    if packet[:8] == _OPUS and len(packet) > 18:
        return Layout(0) if packet[18] in _DISCRETE else xiph_layout(packet[9])
    return NOTHING_SAID
