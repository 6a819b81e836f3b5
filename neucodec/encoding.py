"""Encode arrays and sound files from Python: to bytes, and to files."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, BinaryIO, cast, overload

import numpy.typing as npt

from neucodec.audio.loudness import gain_to
from neucodec.coding.default_model import AUTO
from neucodec.coding.encoder import EncodeReport
from neucodec.coding.encoder import encode as encode_source
from neucodec.files.outfile import output_file

from .arguments import (
    Content,
    content_of,
    file_to_write,
    is_path,
    is_sound_file,
    named_errors,
    path_of,
    tags_of,
)
from .encode_choices import ArraySource, EncodeChoices, Progress, counting, options_of
from .loading import ModelGiven, codec_for_bitrate

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from neucodec.audio.source import Source

Target = str | PathLike[Any] | BinaryIO
"""Where a file goes: a path, or a file that is open to write."""


class WriteChoices(EncodeChoices, total=False):
    """Says what `encode` and `write` may be told as keywords, beside what `EncodeChoices` has."""

    model: ModelGiven
    """The model by its name, the path of a checkpoint, or as `load_model` gave it; ``"auto"``,
    which it is unless given: the one that suits the bitrate, as for ``neucodec encode``."""
    tags: Mapping[str, object] | None
    """Vorbis comments; those of a sound file unless given."""
    normalize_loudness: bool
    """Whether to bring the audio to -16 LUFS before encoding, as DAC's own code does, and to have
    decoding bring it back."""
    progress: Progress | None
    """A function that is called with the seconds of audio done and the seconds of all of it."""


@overload
def encode(
    audio: str | PathLike[Any] | Content | BinaryIO, samplerate: Target, **how: Unpack[WriteChoices]
) -> EncodeReport: ...
@overload
def encode(
    audio: npt.ArrayLike | PathLike[Any] | Content | BinaryIO,
    samplerate: int | None = None,
    **how: Unpack[WriteChoices],
) -> bytes: ...
def encode(audio: Any, samplerate: Any = None, **how: Unpack[WriteChoices]) -> bytes | EncodeReport:
    """Encode floats or int16 [samples] or [samples, channels] at ``samplerate`` Hz into an .ncf.

    A sound file, given as a path, bytes or an open file, is encoded, too: to the path or the file
    that stands in the place of ``samplerate``, which gives a report with ``kbps`` and more, or
    without one to bytes. Its tags are kept. What the choices are, all with defaults, `WriteChoices`
    and `EncodeChoices` say: ``model``, ``bitrate``, ``codebooks``, ``tags``,
    ``normalize_loudness``, ``progress``, ``entropy``, ``rate_mode`` and ``layer``.

    Raises NeucodecError for what cannot be encoded.

    >>> import numpy as np
    >>> tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
    >>> data = encode(tone, 48000, bitrate="4kbps", tags={"TITLE": "A"})
    >>> data[:4]
    b'\x89NCF'
    """
    in_memory = io.BytesIO()
    if not is_sound_file(audio):
        _encode(ArraySource(audio, samplerate, how.get("tags")), in_memory, how, "encode")
        return in_memory.getvalue()
    if samplerate is None:
        _encode_file(audio, in_memory, how)
        return in_memory.getvalue()
    if is_path(samplerate):
        sources = [path_of(audio)] if is_path(audio) else []
        name = path_of(samplerate)
        with named_errors(name), output_file(name, overwrite=True, sources=sources) as file:
            return _encode_file(audio, file, how)
    return _encode_file(audio, file_to_write(samplerate), how)


def write(
    file: Target, data: npt.ArrayLike, samplerate: int, **how: Unpack[WriteChoices]
) -> EncodeReport:
    """Encode ``data``, [samples] or [samples, channels] at ``samplerate`` Hz, into a file.

    As ``soundfile.write``: a file of that name is replaced. The choices are those of `encode`.
    Raises NeucodecError.
    """
    source = ArraySource(data, samplerate, how.get("tags"))
    if is_path(file):
        name = path_of(file)  # type: ignore[arg-type]
        with named_errors(name), output_file(name, overwrite=True) as target:
            return _encode(source, target, how, "write")
    return _encode(source, file_to_write(file), how, "write")


def _encode_file(audio: Any, target: BinaryIO, how: WriteChoices) -> EncodeReport:
    """Encode a sound file, and warn of what is wrong with it."""
    from neucodec.audio.input import open_audio

    def source() -> Any:
        return path_of(audio) if is_path(audio) else content_of(audio)

    gain: float | None = None
    if how.get("normalize_loudness"):
        given = source()
        with open_audio(given) as measured:
            gain = gain_to(measured)
        if not is_path(audio) and given is audio:
            given.seek(0)
    with open_audio(source()) as opened:
        if how.get("tags") is None:
            how = cast(WriteChoices, {**how, "tags": opened.tags})
        report = _encode(opened, target, how, "encode", gain)
        for doubt in opened.doubts:
            warnings.warn(f"{opened.name}: {doubt}", UserWarning, stacklevel=3)
    return report


def _encode(
    source: Source, target: BinaryIO, how: WriteChoices, name: str, gain: float | None = None
) -> EncodeReport:
    """Encode a source as the choices of ``name``, the function that was called, say."""
    given: dict[str, Any] = dict(how)
    model, tags = given.pop("model", AUTO), given.pop("tags", None)
    progress, loud = given.pop("progress", None), given.pop("normalize_loudness", False)
    options = options_of(given, name)
    codec = codec_for_bitrate(model, options.bitrate, source.channels)
    if loud and isinstance(source, ArraySource):
        gain = gain_to(source)
    options = options_of(given, name, gain_db=gain, tags=None if tags is None else tags_of(tags))
    total = None if source.samples is None else source.samples / source.sample_rate
    return encode_source(source, target, codec, options, counting(progress, total))
