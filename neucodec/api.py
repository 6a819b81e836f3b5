"""Give the public Python interface, which the package re-exports."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypedDict, overload

import numpy as np
import numpy.typing as npt

from neucodec.audio.samples import Audio
from neucodec.coding.decoder import Decoder
from neucodec.coding.default_model import AUTO
from neucodec.coding.entropy_models import SHARED, EntropyModels
from neucodec.coding.file_codec import card_for
from neucodec.coding.options import DecodeOptions
from neucodec.formats import NcfReader
from neucodec.interchange.peers import as_ncf
from neucodec.models import Card, Codec

from .arguments import Given, is_path, opened_to_read, path_of, whole_number
from .damage import warn_of_damage
from .encode_choices import ArraySource, Progress, counting
from .encoding import Target, encode, write
from .errors import GivenTypeError, GivenValueError
from .file import NcfFile
from .loading import ModelGiven, load_model, own_codec
from .ncf_info import NcfInfo, info_of
from .writer import NcfWriter

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["ArraySource", "decode", "encode", "info", "load_model", "open", "read", "write"]


@overload
def open(
    file: Given,
    mode: Literal["r"] = "r",
    *,
    model: ModelGiven | None = None,
    strict: bool = False,
) -> NcfFile: ...
@overload
def open(
    file: Target,
    mode: Literal["w"],
    samplerate: int,
    channels: int,
    *,
    model: ModelGiven | None = None,
    **how: Any,
) -> NcfWriter: ...
def open(
    file: Any,
    mode: str = "r",
    samplerate: int | None = None,
    channels: int | None = None,
    *,
    model: ModelGiven | None = None,
    strict: bool = False,
    **how: Any,
) -> NcfFile | NcfWriter:
    """Open an .ncf, given as bytes, path or open file, in the manner of ``soundfile.SoundFile``.

    ``model`` is the checkpoint of one's own that it was made with; else it names its model. What is
    damaged is silent, and reading it warns with `NcfDamageWarning`; with ``strict`` it raises.

    With the mode "w" a file is written: give ``samplerate`` and ``channels``, and what `NcfWriter`
    takes. Raises NeucodecError for what is no .ncf or cannot be opened.

    >>> import io
    >>> data = encode(0.1 * np.sin(0.1 * np.arange(24000)), 8000)
    >>> with open(io.BytesIO(data)) as file:
    ...     file.samplerate, file.channels, file.frames
    ...     position = file.seek(16000)
    ...     file.read(800).shape
    ...     file.codes(0).shape  # [streams, codebooks, frames]
    (8000, 1, 24000)
    (800, 1)
    (1, 6, 86)
    """
    if mode == "w":
        if samplerate is None or channels is None:
            raise GivenTypeError("to write, give samplerate and channels")
        return NcfWriter(file, samplerate, channels, model=AUTO if model is None else model, **how)
    if mode != "r":
        raise GivenValueError(f"mode {mode!r}: give 'r' or 'w'")
    if how:
        raise TypeError(f"open() got an unexpected keyword argument {sorted(how)[0]!r}")
    return NcfFile(file, own_codec(model), strict=strict)


def info(file: Given) -> NcfInfo:
    """Say what an .ncf, given as bytes, path or open file, says of itself, without decoding it.

    Files of checkpoints of one's own are taken, too. Raises NeucodecError.

    >>> info(encode(0.1 * np.sin(0.1 * np.arange(24000)), 8000)).duration
    3.0
    """
    name = path_of(file) if is_path(file) else str(getattr(file, "name", ""))  # type: ignore[arg-type]
    with opened_to_read(file, seekable=True) as there:
        return info_of(there, name)


class ReadChoices(TypedDict, total=False):
    """Says what `read` may be told beside what ``soundfile.read`` may."""

    model: ModelGiven | None
    """The checkpoint of one's own that the file was made with; else the file names its model."""
    strict: bool
    """Whether damage raises; without it what is damaged is silent, and warned of."""


def read(
    file: Given,
    frames: int = -1,
    start: int = 0,
    stop: int | None = None,
    dtype: str = "float64",
    always_2d: bool = False,
    **how: Unpack[ReadChoices],
) -> tuple[npt.NDArray[Any], int]:
    """Decode an .ncf, or a part of it, as ``soundfile.read``: (audio, Hz).

    Samples from ``start`` on are read, ``frames`` of them or up to ``stop``; negative positions
    count from the end. ``dtype`` is float64, float32, int32 or int16. Mono audio is [samples]
    unless ``always_2d``, all other [samples, channels]. .ecdc and .dac files are taken, too. What
    is damaged is silent, with an `NcfDamageWarning`; ``strict=True`` raises instead. Raises
    NeucodecError.

    >>> audio, samplerate = read(encode([[0.0, 0.1]] * 24000, 24000), start=-4000, dtype="int16")
    >>> audio.shape, audio.dtype, samplerate
    ((4000, 2), dtype('int16'), 24000)
    """
    if unknown := sorted(how.keys() - ReadChoices.__annotations__.keys()):
        raise TypeError(f"read() got an unexpected keyword argument {unknown[0]!r}")
    codec = own_codec(how.get("model"))
    with opened_to_read(file, seekable=True) as there:
        ncf = as_ncf(there, _loader(codec), None if codec is None else codec.card)
        with NcfFile(ncf, codec, strict=bool(how.get("strict"))) as opened:
            first, last, _ = slice(_position("start", start), stop).indices(opened.frames)
            if stop is not None and frames != -1:
                raise GivenValueError("both frames and stop: give either")
            wanted = whole_number("frames", frames, -1)
            opened.seek(first)
            count = max(0, last - first) if wanted < 0 else wanted
            opened.stacklevel += 1
            audio = opened.read(count, dtype=dtype, always_2d=always_2d)
            return audio, opened.samplerate


def decode(
    file: Given,
    *,
    model: ModelGiven | None = None,
    strict: bool = False,
    progress: Progress | None = None,
) -> tuple[Audio, int]:
    """Decode an .ncf, given as bytes, path or open file: (audio [samples, channels], Hz).

    The files of the packages encodec and descript-audio-codec, .ecdc and .dac, are taken, too.
    ``model`` is for what was made with a checkpoint of one's own, and for a .dac that several
    models could have made. The audio has the source's rate, channels and length; what is damaged
    is silent, with an `NcfDamageWarning` that has the spans; with ``strict`` it raises.
    ``progress`` is called with the seconds of audio done and the seconds of all of it. Raises
    NeucodecError for what cannot be decoded or opened.

    >>> audio, samplerate = decode(encode([[0.0, 0.1]] * 24000, 24000))
    >>> audio.shape, audio.dtype, samplerate
    ((24000, 2), dtype('float32'), 24000)
    """
    codec = own_codec(model)
    with opened_to_read(file) as raw:
        decoder, audio = decode_opened(
            raw, _loader(codec), None if codec is None else codec.card,
            strict=strict, progress=progress,
        )  # fmt: skip
    warn_of_damage(decoder, stacklevel=3)
    return audio, decoder.sample_rate


def decode_opened(
    file: BinaryIO,
    load_card: Callable[[Card], Codec],
    model: Card | None = None,
    entropy_models: EntropyModels = SHARED,
    *,
    strict: bool = False,
    progress: Progress | None = None,
) -> tuple[Decoder, Audio]:
    """Decode an open .ncf, .ecdc or .dac with what ``load_card`` and ``entropy_models`` give.

    The audio, and the decoder, which knows what is damaged. See `decode`; ``model`` is the card of
    a checkpoint of one's own.
    """
    reader = NcfReader(as_ncf(file, load_card, model))
    codec = load_card(card_for(reader.header, model))
    options = DecodeOptions(strict=strict)
    decoder = Decoder(reader, codec, options, entropy_models=entropy_models)
    total = None if decoder.samples is None else decoder.samples / decoder.sample_rate
    empty = np.zeros((0, decoder.channels), np.float32)
    return decoder, np.concatenate([empty, *decoder.blocks(counting(progress, total))])


def _loader(codec: Codec | None) -> Callable[[Card], Codec]:
    """Return what loads the codec of a card: the given one, or else by the card's name."""
    return lambda card: codec or load_model(card.name).codec


def _position(name: str, value: object) -> int:
    return whole_number(name, value, -(1 << 63))
