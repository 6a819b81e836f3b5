"""Reads all tags of a file by mutagen, as Vorbis comments: several values, covers and chapters."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from neucodec.files.file_section import Section
from neucodec.formats import TagText

from . import tag_names
from .media_tags import is_usable

MAX_COVER_BYTES = 1 << 18
"""The largest picture that is kept: the tags of an .ncf have at most 1 MiB together."""
_MAX_TEXT = 1 << 16
_MAX_ALL = 3 << 18
_MAX_VALUES = 1000
_NUMBERS = ("TRACKNUMBER", "DISCNUMBER")


def read_tags(section: Section) -> tuple[dict[str, str], list[str]]:
    """Return the tags of a file, and lines about what is left out; nothing without mutagen.

    Several values of a name are a `TagText`.
    """
    if find_spec("mutagen") is None:
        return {}, []
    import mutagen

    section.seek(0)
    try:
        file = mutagen.File(section.as_file())
        found = [] if file is None or file.tags is None else _values(file)
    except Exception:  # it raises whatever comes up in damaged tags, beside its own errors
        return {}, []
    values: dict[str, list[str]] = {}
    left, doubts = _MAX_ALL, list[str]()
    for name, text in found[:_MAX_VALUES]:
        is_picture = name == tag_names.PICTURE
        if is_picture and len(text) * 3 // 4 > MAX_COVER_BYTES:
            kib = len(text) * 3 // 4 >> 10
            doubts.append(f"a picture of {kib} KiB is left out: at most {MAX_COVER_BYTES >> 10}")
        elif is_usable(name, text) and (is_picture or len(text) < _MAX_TEXT):
            fits = len(text) <= left
            if fits and text not in values.setdefault(name, []):
                values[name].append(text)
                left -= len(text)
            elif not fits:
                doubts.append(f"{name} is left out: an .ncf has room for {_MAX_ALL >> 10} KiB")
    return {name: TagText.of(texts) for name, texts in values.items() if texts}, doubts


def merged(ours: Mapping[str, str], all_tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags with what `read_tags` has found beside them: other names, further values, and
    numbers of tracks that were split from their totals.
    """
    better = {
        name: text
        for name, text in all_tags.items()
        if name not in ours or isinstance(text, TagText) or name in _NUMBERS
    }
    return {**ours, **better}


def _values(file: Any) -> list[tuple[str, str]]:
    """Return names and values of a file that mutagen has opened, in order."""
    from mutagen.id3 import ID3
    from mutagen.mp4 import MP4Tags

    if isinstance(file.tags, ID3):
        return _of_id3(file.tags)
    if isinstance(file.tags, MP4Tags):
        return _of_mp4(file)
    found = [_named(key, value) for key, value in _pairs(file.tags)]
    found = [pair for pair in found if pair is not None]
    for picture in getattr(file, "pictures", ()):
        found.append((tag_names.PICTURE, base64.b64encode(picture.write()).decode()))
    return [pair for pair in found if pair]


def _pairs(tags: Any) -> list[tuple[str, Any]]:
    """Return keys and values, a pair for each value of a key."""
    pairs: list[tuple[str, Any]] = []
    for key in tags.keys():  # noqa: SIM118 - lists of pairs have keys, too
        value = tags[key]
        values = value if isinstance(value, (list, tuple)) else _ape_values(value)
        pairs += [(key, each) for each in values]
    return pairs


def _ape_values(value: Any) -> Sequence[Any]:
    """Return the texts of an APE item; none of one that is no text."""
    text = getattr(value, "value", "")
    return text.split("\0") if isinstance(text, str) else ()


def _named(key: str, value: Any) -> tuple[str, str] | None:
    """Return the Vorbis comment name of a key, and a value as text; None for what is no text."""
    value = getattr(value, "value", value)
    if not isinstance(value, (str, int, bool)):
        return None
    name = key.upper()
    return tag_names.OTHERS.get(name, name), str(value)


def _of_id3(tags: Any) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for frame in tags.values():
        kind = frame.FrameID
        if name := tag_names.ID3.get(kind):
            texts = frame.genres if kind == "TCON" else map(str, frame.text)
            found += [(name, text) for text in texts]
        elif kind == "TXXX":
            name = tag_names.OTHERS.get(frame.desc.upper(), frame.desc.upper())
            found += [(name, str(text)) for text in frame.text]
        elif kind in ("COMM", "USLT"):
            if not frame.desc.startswith("iTun"):
                texts = frame.text if isinstance(frame.text, list) else [frame.text]
                name = "COMMENT" if kind == "COMM" else "LYRICS"
                found += [(name, str(text)) for text in texts]
        elif kind == "APIC":
            found.append(_picture(frame.data, frame.mime, int(frame.type), frame.desc))
    chapters = sorted((f.start_time / 1000, _title(f)) for f in tags.getall("CHAP"))
    return _split_totals(found) + _chapters(chapters)


def _title(chapter: Any) -> str:
    """Return the title of an ID3 chapter; empty where it has none."""
    titles = chapter.sub_frames.getall("TIT2")
    return str(titles[0].text[0]) if titles and titles[0].text else ""


def _of_mp4(file: Any) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in file.tags.items():
        if name := tag_names.MP4.get(key):
            found += [(name, str(text)) for text in value]
        elif key in ("trkn", "disk") and value:
            number = {"trkn": "TRACKNUMBER", "disk": "DISCNUMBER"}[key]
            found.append((number, "/".join(str(n) for n in value[0] if n)))
        elif key.startswith("----:"):
            name = key.rpartition(":")[2].upper()
            found += [(name, bytes(text).decode("utf-8", "replace")) for text in value]
        elif key == "covr":
            for cover in value:
                mime = "image/png" if cover.imageformat == cover.FORMAT_PNG else "image/jpeg"
                found.append(_picture(bytes(cover), mime, 3, ""))
    chapters = [(c.start, c.title) for c in getattr(file, "chapters", None) or ()]
    return _split_totals(found) + _chapters(chapters)


def _split_totals(found: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pairs with 3/12 as the number of a track or disc split into two."""
    split: list[tuple[str, str]] = []
    for name, text in found:
        number, slash, total = text.partition("/")
        if name in _NUMBERS and slash:
            split.append((f"{name.removesuffix('NUMBER')}TOTAL", total.strip()))
            text = number.strip()
        split.append((name, text))
    return split


def _chapters(chapters: Sequence[tuple[float, str]]) -> list[tuple[str, str]]:
    """Return chapters, (start in seconds, title) each, as Vorbis comments name them."""
    found: list[tuple[str, str]] = []
    for number, (start, title) in enumerate(chapters[:999]):
        minutes, seconds = divmod(start, 60)
        time = f"{int(minutes) // 60:02}:{int(minutes) % 60:02}:{seconds:06.3f}"
        found += [(f"CHAPTER{number:03}", time), (f"CHAPTER{number:03}NAME", title)]
    return found


def _picture(data: bytes, mime: str, kind: int, text: str) -> tuple[str, str]:
    """Return a picture as the Vorbis comment of it."""
    from mutagen.flac import Picture

    picture = Picture()
    picture.data, picture.mime, picture.type, picture.desc = data, mime, kind, text
    return tag_names.PICTURE, base64.b64encode(picture.write()).decode()
