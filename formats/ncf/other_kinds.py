"""Tell what a file is that is no .ncf, by its first bytes, and what to do with it."""

from __future__ import annotations

_ENCODE = "neucodec encode makes an .ncf of it"
_KINDS = (
    (0, b"RIFF", "a WAV file", _ENCODE),
    (0, b"RIFX", "a WAV file", _ENCODE),
    (0, b"RF64", "a WAV file", _ENCODE),
    (0, b"BW64", "a WAV file", _ENCODE),
    (0, b"fLaC", "a FLAC file", _ENCODE),
    (0, b"OggS", "an Ogg file", _ENCODE),
    (0, b"ID3", "an MP3 file", _ENCODE),
    (0, b"\xff\xfb", "an MP3 file", _ENCODE),
    (0, b"\xff\xf3", "an MP3 file", _ENCODE),
    (0, b"FORM", "an AIFF file", _ENCODE),
    (0, b"caff", "a CAF file", _ENCODE),
    (4, b"ftyp", "an MP4 file", _ENCODE),
    (0, b"\x1aE\xdf\xa3", "a Matroska file", _ENCODE),
    (0, b"ECDC", "an .ecdc file", "neucodec convert makes an .ncf of it"),
    (0, b"PK\x03\x04", "a zip file or a checkpoint", ""),
)
"""Places, what stands there, the kind of file, and what to do with one."""

LONGEST = 16
"""The bytes that are looked at."""


def described(start: bytes) -> str:
    """Return what is to follow "not an .ncf file": what it is instead; empty if that is unknown."""
    for at, magic, kind, advice in _KINDS:
        if start[at : at + len(magic)] == magic:
            return f": this is {kind}{'; ' if advice else ''}{advice}"
    return ""
