"""Finds where MPEG audio files (MP3) begin and end, of which several may follow each other.

libsndfile stops where the Xing, Info or VBRI frame of the first file says that it ends.
"""

from __future__ import annotations

from dataclasses import dataclass

from neucodec.files.file_section import Section

from .wav_header import decode_text

_KBPS_1 = {  # of MPEG-1, by layer
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_KBPS_2 = {  # of MPEG-2 and 2.5
    1: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44100, 48000, 32000)  # Hz of MPEG-1; MPEG-2 halves them, MPEG-2.5 quarters them
_ID3V1_BYTES, _ID3V2_BYTES, _APE_BYTES = 128, 10, 32
_MAX_TAGS = 16
_LEEWAY = 4096  # bytes by which the length in a Xing frame may be wrong
_SEARCH_BYTES = 1 << 16
_MIN_FRAMES = 4  # that a file without a Xing or VBRI frame has to have


@dataclass(frozen=True)
class Part:
    """The place of one MPEG audio file: bytes from `start` to `end`."""

    start: int
    end: int
    states_length: bool
    """Whether its first frame says how many frames there are."""


def skip_id3(section: Section, at: int = 0) -> int:
    """Return the place behind all ID3v2 tags that stand at `at`."""
    for _ in range(_MAX_TAGS):
        head = section.at(at, _ID3V2_BYTES)
        if len(head) < _ID3V2_BYTES or head[:3] != b"ID3" or max(head[6:10]) > 127:
            break
        size = (head[6] << 21) + (head[7] << 14) + (head[8] << 7) + head[9]  # 7 bits each
        at += _ID3V2_BYTES + size + (_ID3V2_BYTES if head[5] & 16 else 0)
    return at


def old_tags(section: Section) -> dict[str, str]:
    """Return the texts of an ID3v1 tag at the end that are not ASCII.

    libsndfile would take them for UTF-8.
    """
    data = section.at(max(0, section.size - _ID3V1_BYTES), _ID3V1_BYTES)
    if data[:3] != b"TAG":
        return {}
    texts = {
        "TITLE": data[3:33],
        "ARTIST": data[33:63],
        "ALBUM": data[63:93],
        "COMMENT": data[97:125],
    }
    found = {name: text.split(b"\0")[0].rstrip() for name, text in texts.items()}
    return {name: decode_text(text) for name, text in found.items() if not text.isascii()}


def frame_bytes(head: bytes) -> int:
    """Return the bytes of the frame that begins with the four bytes of `head`; 0 if none does."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)  # 3: MPEG-1, 2: MPEG-2, 0: 2.5
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return 0
    kbps = (_KBPS_1 if version == 3 else _KBPS_2)[layer][bitrate - 1]
    hertz = _RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12_000 * kbps // hertz + padding) * 4
    halved = layer == 3 and version != 3
    return (72_000 if halved else 144_000) * kbps // hertz + padding


def is_frame(section: Section, at: int) -> bool:
    """Return whether a frame stands at `at`, and behind it another frame, a tag or the end."""
    size = frame_bytes(section.at(at, 4))
    return bool(size) and (at + size >= section.size or _continues(section, at + size))


def _continues(section: Section, at: int) -> bool:
    """Return whether a frame or a tag stands at `at`."""
    head = section.at(at, 4)
    return bool(frame_bytes(head)) or head[:3] in (b"TAG", b"ID3", b"APE", b"LYR")


def find_frame(section: Section, at: int, within: int = _SEARCH_BYTES) -> int | None:
    """Return the first place of a frame from `at` on, at most `within` bytes away; None if none."""
    data = section.at(at, within + 4)
    place = data.find(b"\xff")
    while 0 <= place <= within:
        if frame_bytes(data[place : place + 4]) and is_frame(section, at + place):
            return at + place
        place = data.find(b"\xff", place + 1)
    return None


def parts(section: Section) -> list[Part]:
    """Return the places of the files in `section`, which begins with an ID3v2 tag or a frame."""
    found: list[Part] = []
    start: int | None = 0
    while start is not None:
        first = skip_id3(section, start)
        states, end = _stated_end(section, first)
        following = None if end is None else _following(section, end)
        stop = section.size if following is None else following
        found.append(Part(start, stop, states))
        start = following
    return found


def _stated_end(section: Section, first: int) -> tuple[bool, int | None]:
    """Return whether the frame at `first` states a number of frames, and the end of the last one.

    The end is None where it does not follow from what the frame states.
    """
    size = frame_bytes(section.at(first, 4))
    frame = section.at(first, size)
    for name in (b"Xing", b"Info"):
        place = frame.find(name)
        if place >= 0:
            flags, *fields = (
                int.from_bytes(frame[place + k : place + k + 4], "big") for k in (4, 8, 12)
            )
            if not flags & 1:
                return False, None
            if flags & 2:
                return True, first + max(size, fields[1])
            return True, _walk(section, first, fields[0] + 1)
    place = frame.find(b"VBRI")
    if place >= 0:
        return True, first + max(size, int.from_bytes(frame[place + 10 : place + 14], "big"))
    return False, None


def _walk(section: Section, at: int, frames: int) -> int | None:
    """Return the place behind `frames` frames from `at` on; None where there are fewer."""
    for _ in range(frames):
        size = frame_bytes(section.at(at, 4))
        if not size:
            return None
        at += size
    return at


def _following(section: Section, end: int) -> int | None:
    """Return where another file begins behind one that ends about `end`, and its tags; or None."""
    at = end
    for _ in range(_MAX_TAGS):
        head = section.at(at, _APE_BYTES)
        if head[:3] == b"TAG":
            at += _ID3V1_BYTES
        elif head[:8] == b"APETAGEX" and len(head) == _APE_BYTES:
            size = int.from_bytes(head[12:16], "little")
            at += _APE_BYTES + size if head[23] & 0x20 else _APE_BYTES
        elif head[:11] == b"LYRICSBEGIN":
            text = section.at(at, _SEARCH_BYTES)
            place = text.find(b"LYRICS200")
            if place < 0:
                return None
            at += place + 9
        else:
            break
    if section.at(at, 3) == b"ID3" and frame_bytes(section.at(skip_id3(section, at), 4)):
        return at
    found = find_frame(section, at, _LEEWAY)
    return None if found is None or _ends_soon(section, found) else found


def _ends_soon(section: Section, at: int) -> bool:
    """Return whether only the last frames of a file begin at `at`, not a file of its own.

    Some writers leave a file's first frame out of the length that it states.
    """
    states, _ = _stated_end(section, at)
    return not states and _walk(section, at, _MIN_FRAMES) is None
