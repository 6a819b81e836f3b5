"""Writes all tags into files that libsndfile or we have written, by mutagen."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, BinaryIO

from neucodec.formats import values_of

from . import tag_names
from .libsndfile import TAGS
from .wav_header import INFO_TAGS

_WITHOUT = {"wav": frozenset(INFO_TAGS.values()), "raw": frozenset[str]()}
"""Names that each container takes without mutagen; others than these take those of libsndfile."""
_ID3_FRAMES = {name: frame for frame, name in tag_names.ID3.items()}


def left_behind(container: str, tags: Mapping[str, str]) -> list[str]:
    """Return the names of tags that a container takes only with mutagen, which is not there.

    Raw takes none, with it or without it.
    """
    if container != "raw" and find_spec("mutagen") is not None:
        return []
    return sorted(tags.keys() - _WITHOUT.get(container, TAGS.keys()))


def write_tags(file: BinaryIO, container: str, tags: Mapping[str, str]) -> None:
    """Write all tags into a complete file, open to read and write, if mutagen is there.

    Where there is nothing that the file has not got already, it is left as it is.
    """
    plain = _WITHOUT.get(container, TAGS.keys())
    needed = tags.keys() - plain or any(len(values_of(text)) > 1 for text in tags.values())
    if container == "raw" or not needed or find_spec("mutagen") is None:
        return
    file.flush()
    file.seek(0)
    if container in ("wav", "mp3"):
        _write_id3(file, container, tags)
    else:
        _write_comments(file, container, tags)


def _write_comments(file: BinaryIO, container: str, tags: Mapping[str, str]) -> None:
    """Write Vorbis comments, and into FLAC pictures as blocks of their own."""
    from mutagen.flac import FLAC
    from mutagen.oggopus import OggOpus
    from mutagen.oggvorbis import OggVorbis

    opened = {"flac": FLAC, "opus": OggOpus, "ogg": OggVorbis}[container](file)
    if opened.tags is None:
        opened.add_tags()
    opened.tags.clear()
    for name, text in tags.items():
        if container == "flac" and name == tag_names.PICTURE:
            for picture in _pictures(text):
                opened.add_picture(picture)
        else:
            opened.tags[name] = list(values_of(text))
    file.seek(0)
    opened.save(file)


def _write_id3(file: BinaryIO, container: str, tags: Mapping[str, str]) -> None:
    """Write ID3v2.4, before an MP3 or as a chunk of a WAV."""
    from mutagen import id3
    from mutagen.mp3 import MP3
    from mutagen.wave import WAVE

    opened: Any = (WAVE if container == "wav" else MP3)(file)
    if opened.tags is None:
        opened.add_tags()
    opened.tags.clear()
    for name, text in tags.items():
        values = list(values_of(text))
        if name == tag_names.PICTURE:
            for picture in _pictures(text):
                opened.tags.add(id3.APIC(3, picture.mime, picture.type, picture.desc, picture.data))
        elif name in ("COMMENT", "LYRICS"):
            frame = id3.COMM if name == "COMMENT" else id3.USLT
            whole = values if name == "COMMENT" else "\n".join(values)
            opened.tags.add(frame(encoding=3, lang="und", desc="", text=whole))
        elif name in ("TRACKTOTAL", "DISCTOTAL"):
            continue  # stands behind the number
        elif frame_name := _ID3_FRAMES.get(name):
            total = tags.get(f"{name.removesuffix('NUMBER')}TOTAL")
            values = [f"{values[0]}/{total}"] if name.endswith("NUMBER") and total else values
            opened.tags.add(getattr(id3, frame_name)(encoding=3, text=values))
        else:
            opened.tags.add(id3.TXXX(encoding=3, desc=name, text=values))
    file.seek(0)
    opened.save(file)


def _pictures(text: str) -> list[Any]:
    """Return the pictures of a METADATA_BLOCK_PICTURE; those that are damaged are left out."""
    from mutagen.flac import Picture, error

    found = []
    for value in values_of(text):
        with suppress(error, binascii.Error, ValueError):
            found.append(Picture(base64.b64decode(value, validate=True)))
    return found
