"""Check what callers from Python give.

It is taken as they have it in hand, or refused in one line.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from operator import index
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from neucodec.audio.samples import LOUDEST, Audio

from .errors import GivenTypeError, GivenValueError, NeucodecError, file_error

Content = bytes | bytearray | memoryview
Given = Content | str | PathLike[Any] | BinaryIO
"""An .ncf: itself in bytes, its name, or opened."""
_TYPES = ("float32", "float64", "int16", "int32")
_FILE = "give bytes, a path, or a file opened in binary mode"


def whole_number(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return an integer of Python or NumPy that lies within bounds. Raises GivenTypeError,
    GivenValueError.
    """
    try:
        number = index(value)  # type: ignore[arg-type]
    except TypeError:
        raise GivenTypeError(f"{name} is {_shown(value)}: give a whole number") from None
    if number < low or (high is not None and number > high):
        bounds = f"{low} or more" if high is None else f"{low} to {high}"
        raise GivenValueError(f"{name} is {number}: give {bounds}")
    return number


def number(name: str, value: object) -> float:
    """Return a finite number above 0. Raises GivenTypeError, GivenValueError."""
    if isinstance(value, (str, bytes)):
        raise GivenTypeError(f"{name} is {_shown(value)}: give a number")
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise GivenTypeError(f"{name} is {_shown(value)}: give a number") from None
    if not (math.isfinite(found) and found > 0):
        raise GivenValueError(f"{name} is {found:g}: give a number above 0")
    return found


def path_of(value: str | PathLike[Any]) -> str:
    """Return a path as text, of whichever kind it is."""
    return os.fsdecode(os.fspath(value))


def is_path(value: object) -> bool:
    """Tell whether something is a path rather than what a file holds."""
    return isinstance(value, (str, PathLike))


def is_sound_file(value: object) -> bool:
    """Tell whether something is a sound file, by its name, in bytes or opened, rather than an
    array."""
    if isinstance(value, memoryview):
        return value.format == "B" and value.ndim == 1
    return isinstance(value, (str, PathLike, bytes, bytearray)) or callable(
        getattr(value, "read", None)
    )


def content_of(value: Any) -> Any:
    """Return what bytes hold as a file of its own, and an open file as it is."""
    return io.BytesIO(value) if isinstance(value, Content) else value


def file_to_write(file: Any) -> BinaryIO:
    """Return a file that is open to write. Raises GivenTypeError for anything else."""
    if isinstance(file, io.TextIOBase) or not callable(getattr(file, "write", None)):
        raise GivenTypeError(
            f"an output given as {_shown(file)}: give a path, or a file opened in binary mode"
        )
    return cast(BinaryIO, file)


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Turn what the system says of a file into a GivenFileError that names it.

    BrokenPipeError passes through: a reader that has had enough is no failure.
    """
    try:
        yield
    except (NeucodecError, BrokenPipeError):
        raise
    except OSError as error:
        raise file_error(name, error) from error


@contextmanager
def opened_to_read(file: Given, *, seekable: bool = False) -> Iterator[BinaryIO]:
    """Open an .ncf given in any way; what is given open stays open.

    With ``seekable`` a pipe is read into memory. Raises GivenFileError where it cannot be opened,
    GivenTypeError for what is none.
    """
    if is_path(file):
        with opened_by_name(path_of(file)) as there:  # type: ignore[arg-type]
            yield _seekable(there) if seekable else there
        return
    there = opened(file)  # type: ignore[arg-type]
    yield _seekable(there) if seekable else there


def opened_by_name(name: str) -> BinaryIO:
    """Open a file to read. Raises GivenFileError."""
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise file_error(name, error) from None


def _seekable(file: BinaryIO) -> BinaryIO:
    can = getattr(file, "seekable", None)
    return file if can is not None and can() else io.BytesIO(file.read())


def opened(file: Content | BinaryIO) -> BinaryIO:
    """Return bytes as a file, or the file that was given.

    Raises GivenTypeError for anything else.
    """
    try:
        return io.BytesIO(memoryview(file))  # type: ignore[arg-type]
    except TypeError:  # nothing that is there in memory
        pass
    if isinstance(file, io.TextIOBase):
        raise GivenTypeError(f"a file opened as text: {_FILE}")
    if not callable(getattr(file, "read", None)):
        raise GivenTypeError(f"an .ncf given as {_shown(file)}: {_FILE}")
    return cast(BinaryIO, file)


def samples_of(array: npt.ArrayLike) -> npt.NDArray[np.floating[Any]]:
    """Return audio as an array of floats [samples, channels], none beyond `samples.LOUDEST`.

    Integers of 16 and 32 bits become floats with full scale 1.

    Raises GivenTypeError and GivenValueError.
    """
    try:
        audio = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise GivenTypeError(f"audio given as {_kind(array)}: no array ({reason})") from None
    if audio.ndim == 1:
        audio = audio[:, None]
    if audio.ndim != 2 or not 1 <= audio.shape[1] <= 255:
        raise GivenValueError(
            f"an array of shape {np.shape(audio)}: give [samples] or [samples, channels], "
            "1 to 255 channels"
        )
    if audio.dtype.kind == "i" and audio.dtype.itemsize in (2, 4):
        audio = audio / np.float64(2 ** (8 * audio.dtype.itemsize - 1))
    if not np.issubdtype(audio.dtype, np.floating):
        raise GivenTypeError(
            f"an array of {audio.dtype}: give floats, full scale being 1, or int16"
        )
    if not np.isfinite(audio).all():
        raise GivenValueError("an array with NaN or infinity in it: give finite samples")
    if audio.size and (most := float(np.abs(audio).max())) > LOUDEST:
        raise GivenValueError(
            f"samples up to {most:g}: give floats, full scale being 1 and {LOUDEST:g} the most"
        )
    return audio


def as_type(audio: Audio, dtype: str) -> npt.NDArray[Any]:
    """Return float32 samples as another of the types that soundfile has; integers clip.

    Raises GivenValueError for other types.
    """
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = ""
    if name not in _TYPES:
        raise GivenValueError(f"dtype {_shown(dtype)}: give {', '.join(_TYPES)}")
    if name == "float32":
        return audio
    if name == "float64":
        return audio.astype(np.float64)
    bits = 8 * np.dtype(name).itemsize - 1
    scaled = np.rint(audio.astype(np.float64) * 2.0**bits)
    limited = np.clip(scaled, -(2.0**bits), 2.0**bits - 1)
    return np.asarray(limited, np.dtype(name))


def tags_of(tags: Mapping[str, object] | None) -> dict[str, str]:
    """Return Vorbis comments as text; numbers become text. Raises GivenTypeError."""
    if tags is None:
        return {}
    if not isinstance(tags, Mapping):
        raise GivenTypeError(f"tags given as {_kind(tags)}: give a dict of names and texts")
    found = {}
    for name, value in tags.items():
        if not isinstance(name, str) or not isinstance(value, (str, int, float, np.number)):
            raise GivenTypeError(
                f"tag {_shown(name)} is {_shown(value)}: give names and texts, or numbers"
            )
        found[name] = str(value)
    return found


def _kind(value: object) -> str:
    return type(value).__name__


def _shown(value: object) -> str:
    """Return a value as it stands in a message, short and in one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:60]}... ({_kind(value)})"
