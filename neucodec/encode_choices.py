"""What callers from Python may choose of encoding, and arrays as sources of audio."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import index
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from neucodec.audio.samples import Audio
from neucodec.coding.bitrate import parse_bitrate
from neucodec.coding.options import EncodeOptions

from .arguments import number, samples_of, tags_of, whole_number
from .errors import GivenValueError

Progress = Callable[[float, float | None], object]
"""A function that is told how far the work is: seconds of audio done, and seconds of all of it,
None where that is not known."""


class EncodeChoices(TypedDict, total=False):
    """Says what `encode` may be told beside the audio, as keywords."""

    bitrate: str | float | None
    """Bitrate of all channels together, in bit/s or as text (``"8kbps"``)."""
    codebooks: int | None
    """Number of codebooks, instead of a bitrate."""
    entropy: str
    """How codes are squeezed: ``"lm"`` by a model of the codec's codes, ``"adaptive"`` by what each
    second has shown so far, ``"none"``; ``"auto"``, which it is unless given, the first of the
    former two that there is."""
    rate_mode: str | None
    """What ``bitrate`` means: the ``"average"`` of the whole file or, where codes are not squeezed,
    the ``"nominal"`` one of codes as they are."""
    layer: bool
    """Whether seconds that are tones or clicks above all may have some of their MDCT coefficients
    beside their codes, or instead of them; without it codes are all that there is."""


class ArraySource:
    """Dresses an array [n] or [n, channels] as an opened sound file."""

    def __init__(
        self, array: npt.ArrayLike, samplerate: int, tags: Mapping[str, object] | None = None
    ) -> None:
        audio = samples_of(array)
        self._audio = audio
        self.sample_rate = sample_rate_of(samplerate)
        self.tags: Mapping[str, str] = tags_of(tags)
        self.samples: int | None = len(audio)
        self.channels: int = audio.shape[1]
        self.channel_mask: int | None = None

    def blocks(self, blocksize: int = 65536) -> Iterator[Audio]:
        """Give the array in float32 blocks [n, channels]."""
        for start in range(0, len(self._audio), blocksize):
            yield self._audio[start : start + blocksize].astype(np.float32)


def sample_rate_of(value: object) -> int:
    """Return a sample rate in whole Hz. Raises GivenValueError."""
    try:
        rate = index(value)  # type: ignore[arg-type]  # of NumPy's integers, too
    except TypeError:
        rate = 0
    if rate < 1:
        raise GivenValueError(f"a sample rate of {value!r}: give whole Hz above 0")
    return rate


def options_of(choices: Mapping[str, Any], name: str, **fixed: Any) -> EncodeOptions:
    """Return the options of `EncodeChoices`, checked; ``name`` is the function that was called.

    Raises TypeError for unknown keywords, and NeucodecError for values that cannot be.
    """
    given: dict[str, Any] = dict(choices)
    if unknown := sorted(given.keys() - EncodeChoices.__annotations__.keys()):
        raise TypeError(f"{name}() got an unexpected keyword argument {unknown[0]!r}")
    if isinstance(given.get("bitrate"), str):
        given["bitrate"] = parse_bitrate(str(given["bitrate"]))
    if given.get("bitrate") is not None:
        given["bitrate"] = number("bitrate", given["bitrate"])
    if given.get("codebooks") is not None:
        given["codebooks"] = whole_number("codebooks", given["codebooks"], 1)
    return EncodeOptions(**given, **fixed)


def counting(progress: Progress | None, total: float | None) -> Callable[[float], None] | None:
    """Return what is called with the seconds done since its last call, for a caller's function."""
    if progress is None:
        return None
    told = progress
    done = 0.0

    def advance(seconds: float) -> None:
        nonlocal done
        done += seconds
        told(done if total is None else min(done, total), total)

    return advance
