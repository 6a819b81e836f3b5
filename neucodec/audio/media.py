"""Audio of files that libsndfile does not know: MP4, Matroska, WMA and whatever else FFmpeg reads.

FFmpeg's libraries come with PyAV, a Python package. Where it is missing, an `ffmpeg` on the PATH
does the same in a process of its own. Only demuxers that read nothing but the file itself are
allowed: those of playlists would open other files and addresses.
"""

from __future__ import annotations

import shutil
from importlib.util import find_spec

from neucodec.errors import NeucodecError
from neucodec.files.file_section import Section

from .media_kinds import kind_of_media
from .source import AudioSource


def can_read_media() -> bool:
    """Return whether there is PyAV or an ffmpeg on the PATH."""
    return find_spec("av") is not None or shutil.which("ffmpeg") is not None


def open_media(section: Section, name: str) -> AudioSource:
    """Open the first audio track of a file, which messages call `name`.

    Raises NeucodecError where there is no audio that FFmpeg reads, and where neither PyAV nor
    ffmpeg is there.
    """
    if find_spec("av") is not None:
        from .pyav_source import PyavSource

        return PyavSource(name, section)
    program = shutil.which("ffmpeg")
    if program is not None:
        from .ffmpeg_source import FfmpegSource

        return FfmpegSource(name, section, program)
    kind = kind_of_media(section)
    raise NeucodecError(
        f"{name}: {kind or 'a format'}{', which' if kind else ' that'} libsndfile does not read; "
        f"install PyAV (pip install av) or put ffmpeg on the PATH, and try again"
    )
