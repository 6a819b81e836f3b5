"""Reads from headers of AIFF, CAF, AU, SPHERE and FLAC files what libsndfile does not pass on.

That is the speakers of the channels, texts in old encodings, and whether all of the audio that a
header announces is there. Where a writer to a pipe has left no size, libsndfile is shown the real
one in its place. AIFF is as in Apple's "Audio Interchange File Format AIFF-C" (1991), CAF as in
Apple's Core Audio Format Specification, FLAC as in RFC 9639.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from neucodec.files.file_section import Section

from .speakers import NOTHING_SAID, Layout, core_audio_layout
from .wav_header import decode_text

_AIFF_TEXTS = {b"NAME": "TITLE", b"AUTH": "ARTIST", b"(c) ": "COPYRIGHT", b"ANNO": "COMMENT"}
_MAX_TEXT_BYTES = 1 << 16
_MAX_LAYOUT_BYTES = 12 + 20 * 255
_MAX_CHUNKS = 10_000
_UNKNOWN_SIZES = (0, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
_VORBIS_COMMENT, _LAST_BLOCK = 4, 0x80
_FLAC_HEADS = (b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22")  # with STREAMINFO, 34 bytes
_READ_AHEAD = 1 << 17
_MASK_TAG = b"WAVEFORMATEXTENSIBLE_CHANNEL_MASK="


@dataclass
class Survey:
    """The findings about one file."""

    layout: Layout = NOTHING_SAID
    tags: dict[str, str] = field(default_factory=dict)
    patches: dict[int, bytes] = field(default_factory=dict)
    """Places in the file, and the bytes that libsndfile is to read there instead."""
    losses: list[str] = field(default_factory=list)
    """Lines about audio that is missing or left out."""


def survey(section: Section) -> Survey:
    """Look at the header of a file; in a damaged file or one of another format nothing is found."""
    head = section.at(0, 12)
    try:
        if head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
            return _survey_aiff(section)
        if head[:4] == b"caff":
            return _survey_caf(section)
        if head[:4] in (b".snd", b"dns."):
            return _survey_au(section)
        if head[:4] == b"fLaC":
            return Survey(_flac_layout(section))
        if head[:7] == b"NIST_1A":
            return _survey_sphere(section)
    except struct.error:
        pass
    return Survey()


def behind_flac(section: Section) -> str:
    """Say what is left out behind a FLAC that has been read to its end; empty if nothing is.

    A FLAC does not say how many bytes it has, so another one is looked for from shortly before the
    place where the decoder, which reads ahead, stands.
    """
    start = max(4, section.tell() - _READ_AHEAD)
    section.seek(start)
    before = b""
    while data := section.read(_READ_AHEAD):
        joined = before + data
        for head in _FLAC_HEADS:
            if (place := joined.find(head)) >= 0:
                size = section.size - (section.tell() - len(joined) + place)
                return f"another FLAC of {size} bytes follows the first one and is left out"
        before = joined[-8:]
    return ""


def announced(announced_bytes: int, there: int) -> str:
    """Say that a file is cut off: how many bytes of audio are announced, and how many are there."""
    return f"cut off: its header announces {announced_bytes} bytes of audio, {there} are there"


def _survey_aiff(section: Section) -> Survey:
    """Look at AIFF and AIFF-C."""
    found, channels, layout = Survey(), 0, b""
    (form_bytes,) = struct.unpack(">I", section.at(4, 4))
    sized = form_bytes not in _UNKNOWN_SIZES
    end = min(section.size, form_bytes + 8) if sized else section.size
    for at, name, size in _chunks(section, 12, end, ">4sI"):
        if name == b"COMM":
            channels = struct.unpack(">H", section.at(at, 2))[0]
        elif name == b"CHAN":
            layout = section.at(at, min(size, _MAX_LAYOUT_BYTES))
        elif name in _AIFF_TEXTS and size <= _MAX_TEXT_BYTES:
            text = decode_text(section.at(at, size).split(b"\0")[0]).strip()
            if text:
                found.tags[_AIFF_TEXTS[name]] = text
        elif name == b"SSND":
            there = section.size - at
            if size > there or (size in _UNKNOWN_SIZES and not _is_chunk(section, at, ">I")):
                if size not in _UNKNOWN_SIZES:
                    found.losses.append(announced(size - 8, max(0, there - 8)))
                found.patches[at - 4] = struct.pack(">I", min(there, 0xFFFF_FFFF))
                found.patches[4] = struct.pack(">I", min(section.size - 8, 0xFFFF_FFFF))
                break
    if channels and layout:
        found.layout = core_audio_layout(layout, channels)
    if sized and form_bytes + 8 + form_bytes % 2 < section.size and not found.patches:
        _check_end(section, form_bytes + 8 + form_bytes % 2, found)
    return found


def _survey_caf(section: Section) -> Survey:
    """Look at Core Audio Format."""
    found, channels, layout = Survey(), 0, b""
    for at, name, size in _chunks(section, 8, section.size, ">4sq"):
        if name == b"desc":
            channels = struct.unpack(">I", section.at(at + 24, 4))[0]
        elif name == b"chan":
            layout = section.at(at, min(max(0, size), _MAX_LAYOUT_BYTES))
        elif name == b"data":
            there = section.size - at
            unknown = size < 0 or (size == 0 and not _is_chunk(section, at, ">q"))
            if unknown or size > there:
                if not unknown:
                    found.losses.append(announced(size - 4, max(0, there - 4)))
                found.patches[at - 8] = struct.pack(">q", there)
                break
    if channels and layout:
        found.layout = core_audio_layout(layout, channels)
    return found


def _survey_au(section: Section) -> Survey:
    """Look at Sun's and NeXT's AU, in either byte order."""
    found = Survey()
    order = ">" if section.at(0, 4) == b".snd" else "<"
    start, size = struct.unpack(order + "II", section.at(4, 8))
    there = section.size - start
    if size == 0 and there > 0:
        found.patches[8] = b"\xff\xff\xff\xff"  # the format's value for a size that is not known
    elif size not in _UNKNOWN_SIZES and size > there:
        found.losses.append(announced(size, max(0, there)))
    elif size not in _UNKNOWN_SIZES:
        _check_end(section, start + size, found)
    return found


def _survey_sphere(section: Section) -> Survey:
    """Look at NIST SPHERE; only of PCM does the length tell whether all is there."""
    found = Survey()
    text = section.at(0, 1024).decode("latin-1")
    fields = dict(re.findall(r"^(\w+) -\w+ (\S+)\s*$", text, re.MULTILINE))
    try:
        start = int(text.split("\n")[1])
        names = ("sample_count", "channel_count", "sample_n_bytes")
        size = math.prod(int(fields[name]) for name in names)
    except (IndexError, KeyError, ValueError):
        return found
    there = max(0, section.size - start)
    if fields.get("sample_coding", "pcm") in ("pcm", "ulaw", "alaw", "mu-law") and size > there:
        found.losses.append(announced(size, there))
    return found


def _chunks(section: Section, at: int, end: int, form: str) -> Iterator[tuple[int, bytes, int]]:
    """Give the place of each chunk's content, its name and its size.

    `form` is the head of a chunk for `struct`. Chunks of AIFF are padded to even sizes.
    """
    head = struct.calcsize(form)
    for _ in range(_MAX_CHUNKS):
        data = section.at(at, head)
        if len(data) < head or at >= end:
            return
        name, size = struct.unpack(form, data)
        yield at + head, name, size
        if size < 0:
            return
        at += head + size + (size % 2 if form == ">4sI" else 0)


def _is_chunk(section: Section, at: int, form: str) -> bool:
    """Return whether a chunk stands at `at`, or the end; then the chunk before is really empty."""
    count = 4 + struct.calcsize(form)
    data = section.at(at, count)
    if len(data) < count:
        return not data
    size = struct.unpack(form, data[4:])[0]
    return all(0x20 <= c < 0x7F for c in data[:4]) and 0 <= size <= section.size - at - count


def _check_end(section: Section, at: int, found: Survey) -> None:
    """Add a loss for bytes that follow the end, unless they are zeros."""
    if section.at(at, 1 << 16).strip(b"\0"):
        found.losses.append(f"{section.size - at} bytes behind its end are left out")


def _flac_layout(section: Section) -> Layout:
    """Return the speakers by the comment that FLAC has for masks other than its fixed orders."""
    at = 4
    for _ in range(_MAX_CHUNKS):
        head = section.at(at, 4)
        if len(head) < 4:
            break
        size = int.from_bytes(head[1:], "big")
        if head[0] & 0x7F == _VORBIS_COMMENT:
            data = section.at(at + 4, size)
            place = data.upper().find(_MASK_TAG)
            if place >= 4:
                length = int.from_bytes(data[place - 4 : place], "little")
                text = data[place + len(_MASK_TAG) : place + length]
                try:
                    return Layout(int(text, 0))
                except ValueError:
                    break
        if head[0] & _LAST_BLOCK:
            break
        at += 4 + size
    return NOTHING_SAID
