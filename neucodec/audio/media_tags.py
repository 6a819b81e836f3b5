"""Turns what FFmpeg calls metadata into Vorbis comments."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = {
    "ALBUM_ARTIST": "ALBUMARTIST",
    "TRACK": "TRACKNUMBER",
    "DISC": "DISCNUMBER",
    "YEAR": "DATE",
    "LYRICIST": "LYRICIST",
    "TDAT": "DATE",
}
"""Names of FFmpeg's, and of Vorbis comments for the same."""
_TOTALS = {"TRACKNUMBER": "TRACKTOTAL", "DISCNUMBER": "DISCTOTAL"}
_NOT_OF_THE_SOUND = frozenset([
    "BPS", "COMPATIBLE_BRANDS", "CREATION_TIME", "DURATION", "ENCODED_BY_TOOL", "ENCODER",
    "HANDLER_NAME", "ITUNSMPB", "ITUNNORM", "LANGUAGE", "MAJOR_BRAND", "MINOR_VERSION",
    "NUMBER_OF_BYTES", "NUMBER_OF_FRAMES", "SOFTWARE", "TIMECODE", "VENDOR_ID", "WMFSDKVERSION",
    "WMFSDKNEEDED", "ISVBR", "DEVICECONFORMANCETEMPLATE", "CODING_HISTORY", "TIME_REFERENCE",
])  # fmt: skip
"""Names of what belongs to the file it was in, which an .ncf is not."""
_MAX_TEXT = 1 << 16


def vorbis_tags(*metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a file as Vorbis comments, of several mappings the first that has each.

    "3/12" as the number of a track becomes TRACKNUMBER=3 and TRACKTOTAL=12.
    """
    tags: dict[str, str] = {}
    for each in metadata:
        for key, value in each.items():
            name, text = key.upper(), value.strip("\0 \n")
            name = _NAMES.get(name, name)
            if not is_usable(name, text) or len(text) > _MAX_TEXT:
                continue
            first, slash, total = text.partition("/")
            if name in _TOTALS and slash and first.strip().isdecimal():
                tags.setdefault(_TOTALS[name], total.strip())
                text = first.strip()
            tags.setdefault(name, text)
    return tags


def is_usable(name: str, text: str) -> bool:
    """Return whether a tag is one that an .ncf can hold, and is about the sound."""
    fits = name.isascii() and name.isprintable() and "=" not in name and "~" not in name
    about_the_file = name in _NOT_OF_THE_SOUND or name.startswith("_STATISTICS")
    return bool(name and text) and fits and not about_the_file


def parse_ffmetadata(text: str) -> dict[str, str]:
    """Return the entries of all sections but chapters of a file of FFmpeg's kind "ffmetadata".

    See FFmpeg's documentation of formats, "Metadata": lines KEY=VALUE, in which a backslash takes
    the next character, be it the end of the line, for what it is.
    """
    found: dict[str, str] = {}
    in_chapter = False
    for line in _logical_lines(text):
        if line.startswith("["):
            in_chapter = line.startswith("[CHAPTER]")
        elif not in_chapter and not line.startswith((";", "#")):
            key, equals, value = _split(line)
            if equals:
                found.setdefault(key, value)
    return found


def _logical_lines(text: str) -> list[str]:
    """Return lines, those that end in an escaped end of line joined with the next."""
    lines: list[str] = []
    going_on = False
    for line in text.split("\n"):
        if going_on:
            lines[-1] += "\n" + line
        else:
            lines.append(line)
        escapes = len(line) - len(line.rstrip("\\"))
        going_on = escapes % 2 == 1
    return lines


def _split(line: str) -> tuple[str, bool, str]:
    """Split a line at the first "=" that is not escaped; return both parts without escapes."""
    parts: list[str] = []
    current, escaped = "", False
    for c in line:
        if escaped or c not in "\\=":
            current, escaped = current + c, False
        elif c == "\\":
            escaped = True
        elif parts:
            current += c
        else:
            parts.append(current)
            current = ""
    return (parts[0], True, current) if parts else (current, False, "")
