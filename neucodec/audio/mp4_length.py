"""Works out how many samples the first audio track of an MP4 or QuickTime file has to give.

Its coded frames hold more: the encoder's delay before the audio, and what fills up the last frame.
An edit list or iTunes' note (iTunSMPB) says which samples count (ISO/IEC 14496-12, 8.6.6; Apple's
QuickTime File Format Specification, "Audio Priming"). FFmpeg drops what stands before; what stands
behind is dropped here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from neucodec.files.file_section import Section

_MAX_BOXES = 10_000
_MAX_EDITS = 1000
_MAX_NOTE_BYTES = 4096
_UNKNOWN = (0, 0xFFFFFFFF, 0xFFFF_FFFF_FFFF_FFFF)
_ITUNES = re.compile(rb"\0\0\0\0 [0-9A-F]{8} ([0-9A-F]{8}) ([0-9A-F]{8}) ([0-9A-F]{16})")
"""The value of iTunSMPB: delay, padding and length in samples, all in hexadecimal."""


class _Box(NamedTuple):
    kind: bytes
    start: int
    """Place of its content."""
    end: int


@dataclass
class _Track:
    """What the boxes of one track say."""

    handler: bytes = b""
    timescale: int = 0
    """Units of `duration` and of the edits' `media_time` per second."""
    duration: int = 0
    edits: list[tuple[int, int]] = field(default_factory=list)
    """Pairs of a duration, in units of the movie's timescale, and a place in the track."""


def samples_of_mp4(section: Section, sample_rate: int) -> int | None:
    """Return the samples per channel of the first audio track, decoded at `sample_rate` Hz.

    None where the file does not say, as where it comes in fragments, or where it is no MP4.
    """
    try:
        return _samples(section, sample_rate)
    except (struct.error, ZeroDivisionError):  # cut off within a box, or a timescale of 0
        return None


def _samples(section: Section, sample_rate: int) -> int | None:
    movie = next((b for b in _boxes(section, 0, section.size) if b.kind == b"moov"), None)
    if movie is None:
        return None
    movie_scale, note = 0, b""
    tracks = []
    for box in _boxes(section, movie.start, movie.end):
        if box.kind == b"mvhd":
            movie_scale = _scale_and_duration(section, box)[0]
        elif box.kind == b"trak":
            tracks.append(_track(section, box))
        elif box.kind == b"udta":
            note = section.at(box.start, min(box.end - box.start, 1 << 20))
    track = next((track for track in tracks if track.handler == b"soun"), None)
    if track is None or track.duration in _UNKNOWN:
        return None
    total = _edited(track, movie_scale)
    if b"iTunSMPB" in note and (found := _ITUNES.search(note, note.index(b"iTunSMPB"))):
        stated = int(found[3], 16)
        # Counted in samples, which are the track's units unless half of the band is made up.
        if 0 < stated <= total and track.timescale == sample_rate:
            total = stated
    return round(total * sample_rate / track.timescale)


def _edited(track: _Track, movie_scale: int) -> int:
    """Return the length of a track after its edits, in units of its timescale."""
    edits = [(length, start) for length, start in track.edits if start >= 0]
    if not edits:
        return track.duration
    unit = track.timescale / movie_scale
    total = round(sum(length for length, _ in edits) * unit)
    rest = max(0, track.duration - edits[0][1])
    # The movie's timescale is often coarse. An edit that ends with the track, give or take its
    # unit, ends just there.
    if len(edits) == 1 and (not total or abs(total - rest) <= unit + 1):
        return rest
    return min(total, rest) if len(edits) == 1 else total


def _track(section: Section, trak: _Box) -> _Track:
    """Return what a `trak` box says."""
    track = _Track()
    for box in _boxes(section, trak.start, trak.end):
        if box.kind == b"edts":
            for inner in _boxes(section, box.start, box.end):
                track.edits += _edits(section, inner) if inner.kind == b"elst" else []
        elif box.kind == b"mdia":
            for inner in _boxes(section, box.start, box.end):
                if inner.kind == b"hdlr":
                    track.handler = section.at(inner.start + 8, 4)
                elif inner.kind == b"mdhd":
                    track.timescale, track.duration = _scale_and_duration(section, inner)
    return track


def _scale_and_duration(section: Section, box: _Box) -> tuple[int, int]:
    """Return the timescale and the duration of an `mvhd` or `mdhd` box."""
    if section.at(box.start, 1) == b"\1":
        return struct.unpack(">IQ", section.at(box.start + 20, 12))
    return struct.unpack(">II", section.at(box.start + 12, 8))


def _edits(section: Section, box: _Box) -> list[tuple[int, int]]:
    """Return the edits of an `elst` box; an empty edit has a place of -1."""
    version, count = struct.unpack(">B3xI", section.at(box.start, 8))
    form = struct.Struct(">Qq4x" if version == 1 else ">Ii4x")
    count = min(count, _MAX_EDITS)
    return list(form.iter_unpack(section.at(box.start + 8, count * form.size)))


def _boxes(section: Section, start: int, end: int) -> Iterator[_Box]:
    """Give the boxes between two places; the last one may claim to be longer."""
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        size, kind = struct.unpack(">I4s", section.at(start, 8))
        content = start + 8
        if size == 1:
            (size,) = struct.unpack(">Q", section.at(content, 8))
            content += 8
        elif size == 0:
            size = end - start
        if size < content - start:
            return
        yield _Box(kind, content, min(start + size, end))
        start += size
