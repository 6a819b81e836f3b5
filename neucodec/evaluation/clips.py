"""Find and read the recordings that codecs are measured on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from neucodec.audio.input import open_audio
from neucodec.audio.media import can_read_media
from neucodec.audio.samples import Audio
from neucodec.errors import NeucodecError
from neucodec.files.paths import is_special, open_to_seek
from neucodec.interchange.peers import kind_of
from neucodec.jobs.input_files import find_inputs
from neucodec.jobs.input_kinds import audio_kind
from neucodec.terminal.console import Console

from .metrics import SHORTEST


@dataclass(frozen=True)
class Clip:
    """Describes one file below the folder of references."""

    path: str
    place: str
    """Below that folder, with / between its parts."""
    speech: bool
    """Whether the measures made for speech are taken of it, too."""
    seconds: float
    """As its header says; 0 where that is unknown or cannot be read."""

    @property
    def kind(self) -> str:
        """Return the outermost folder that the file lies in; empty for none."""
        first, slash, _ = self.place.partition("/")
        return first if slash else ""


def find_clips(
    folder: str, speech: Sequence[str], every: int = 1, console: Console | None = None
) -> list[Clip]:
    """Return all audio files below ``folder``, or every n-th of them, sorted.

    Those whose place matches one of the patterns in ``speech`` count as speech. ``console`` is told
    what is passed over. Raises NeucodecError where there are none.
    """
    if not Path(folder).is_dir():
        raise NeucodecError(f"{folder} is no directory; give one with the recordings in it")
    kind = audio_kind(media=can_read_media())
    search = find_inputs([folder], kind, console or Console())
    if search.failures:
        name, reason = search.failures[0]
        raise NeucodecError(f"{name}: {reason}")
    places = [(path, place.as_posix()) for path, place in search.files[::every]]
    return [
        Clip(path, place, any(fnmatch(place, pattern) for pattern in speech), _seconds(path))
        for path, place in places
    ]


def _seconds(path: str) -> float:
    try:
        with open_audio(path) as file:
            return (file.samples or 0) / file.sample_rate
    except (NeucodecError, OSError, soundfile.SoundFileError):
        return 0.0


Decode = Callable[[BinaryIO], "tuple[Audio, int]"]
"""Decodes an open .ncf to its audio [n, channels] and its rate in Hz."""


def read_clip(
    path: str | Path, decode: Decode | None = None, *, mono: bool = False, silent: bool = False
) -> tuple[Audio, int]:
    """Read all of a file [n, channels] and its rate in Hz; ``decode`` is for those that are .ncf.

    Raises NeucodecError for one that nothing can be measured on: under a second, or nothing but
    zeros (unless ``silent``).
    """
    audio, sample_rate, _ = measured_clip(path, decode, mono=mono, silent=silent)
    return audio, sample_rate


def measured_clip(
    path: str | Path, decode: Decode | None = None, *, mono: bool = False, silent: bool = False
) -> tuple[Audio, int, int]:
    """Read a clip as `read_clip` does, and also return how many bytes the file has, or came
    through the pipe.
    """
    audio, sample_rate, size = _read(str(path), decode)
    if len(audio) < SHORTEST * sample_rate:
        raise NeucodecError(
            f"{path}: {len(audio) / sample_rate:.2f} s is too short: {SHORTEST:g} s and more can "
            "be measured"
        )
    if not silent and not audio.any():
        raise NeucodecError(f"{path}: digital silence, of which nothing can be measured")
    if mono:
        audio = audio.mean(axis=1, keepdims=True)
    return audio, sample_rate, size


def _read(name: str, decode: Decode | None) -> tuple[Audio, int, int]:
    """Read all of a file or a pipe, whose first bytes tell whether it is to be decoded."""
    with open_to_seek(name) as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(0)
        head = opened.read(8)
        opened.seek(0)
        if decode is not None and kind_of(head) is not None:
            return *decode(opened), size
        # By its name libsndfile knows more than by its bytes alone.
        with open_audio(opened if is_special(name) else name) as file:
            blocks = list(file.blocks())
            audio = np.concatenate([np.zeros((0, file.channels), np.float32), *blocks])
            return audio, file.sample_rate, size
