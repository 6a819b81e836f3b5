"""The public Python interface, re-exported by the package."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from functools import lru_cache
from os import PathLike
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from .bitrate import parse_bitrate
from .encoder import EncodeOptions
from .encoder import encode as encode_source
from .errors import NeucodecError
from .loudness import gain_to
from .models.codec import Codec
from .models.registry import load
from .reader import NcfFile

Audio = npt.NDArray[np.float32]
DEFAULT_MODEL = "neu-44khz"


_loaded = lru_cache(maxsize=2)(load)


def load_model(name: str = DEFAULT_MODEL, device: str = "auto") -> Codec:
    """A codec by name, loaded once; its ``encode`` and ``decode`` work on tensors of chunks."""
    return _loaded(name, device)


class ArraySource:
    """An array [n] or [n, channels] in the place of an opened sound file."""

    def __init__(
        self, array: npt.ArrayLike, samplerate: int, tags: Mapping[str, str] | None = None
    ) -> None:
        audio = np.asarray(array)
        if audio.ndim == 1:
            audio = audio[:, None]
        if audio.ndim != 2 or not 1 <= audio.shape[1] <= 255:
            raise NeucodecError(
                f"an array of shape {np.shape(array)}: give [samples] or [samples, channels]"
            )
        if not np.issubdtype(audio.dtype, np.floating):
            raise NeucodecError(f"an array of {audio.dtype}: give floats, full scale being 1")
        if not np.isfinite(audio).all():
            raise NeucodecError("an array with NaN or infinity in it: give finite samples")
        self._audio = audio
        self.samplerate = samplerate
        self.tags: Mapping[str, str] = dict(tags or {})
        self.frames: int | None = len(audio)
        self.channels: int = audio.shape[1]

    def blocks(self, blocksize: int = 65536) -> Iterator[Audio]:
        """The array in float32 blocks [n, channels]."""
        for start in range(0, len(self._audio), blocksize):
            yield self._audio[start : start + blocksize].astype(np.float32)


def encode(
    audio: npt.ArrayLike,
    samplerate: int,
    *,
    bitrate: str | float | None = None,
    codebooks: int | None = None,
    model: str | Codec = DEFAULT_MODEL,
    tags: Mapping[str, str] | None = None,
    normalize_loudness: bool = False,
    entropy: str = "auto",
    rate_mode: str | None = None,
) -> bytes:
    """Encode floats [samples] or [samples, channels] at ``samplerate`` Hz into an .ncf.

    ``bitrate`` is of all channels together, in bit/s or as text (``"8kbps"``).
    ``normalize_loudness`` brings the audio to -16 LUFS before encoding, as DAC's own code does,
    and decoding brings it back. ``entropy`` says how codes are squeezed: ``"lm"`` by a model of the
    codec's codes, ``"adaptive"`` by what each second has shown so far, ``"none"``; ``"auto"`` is
    the first of the former two that there is. ``rate_mode`` is what ``bitrate`` means: the
    ``"average"`` of the whole file or, where codes are not squeezed, the ``"nominal"`` one of codes
    as they are.
    """
    codec = load_model(model) if isinstance(model, str) else model
    rate = parse_bitrate(bitrate) if isinstance(bitrate, str) else bitrate
    source, target = ArraySource(audio, samplerate, tags), io.BytesIO()
    gain = gain_to(source) if normalize_loudness else None
    options = EncodeOptions(
        bitrate=rate, codebooks=codebooks, rate_mode=rate_mode, gain_db=gain, entropy=entropy
    )
    encode_source(source, target, codec, options)
    return target.getvalue()


def open(file: str | PathLike[str] | BinaryIO, *, model: str | Codec | None = None) -> NcfFile:
    """Open an .ncf for reading, in the manner of ``soundfile.SoundFile``.

    ``model`` is the checkpoint of one's own that it was made with; else it names its model.
    """
    return NcfFile(file, load_model(model) if isinstance(model, str) else model)


def decode(
    file: bytes | str | PathLike[str] | BinaryIO, *, model: str | Codec | None = None
) -> tuple[Audio, int]:
    """Decode an .ncf, given as bytes, path or file: (audio [samples, channels], Hz)."""
    with open(io.BytesIO(file) if isinstance(file, bytes) else file, model=model) as opened:
        opened._codec = opened._codec or load_model(opened.card.name)
        return opened.read(), opened.samplerate
