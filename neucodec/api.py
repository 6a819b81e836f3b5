"""Give the public Python interface, which the package re-exports."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from operator import index
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict, cast

import numpy as np
import numpy.typing as npt

from neucodec.audio.loudness import gain_to
from neucodec.audio.samples import Audio
from neucodec.coding.bitrate import parse_bitrate
from neucodec.coding.decoder import Decoder
from neucodec.coding.default_model import DEFAULT_MODEL
from neucodec.coding.encoder import encode as encode_source
from neucodec.coding.entropy_models import SHARED, EntropyModels
from neucodec.coding.file_codec import card_for
from neucodec.coding.options import DecodeOptions, EncodeOptions
from neucodec.formats import NcfReader
from neucodec.interchange.peers import as_ncf
from neucodec.models import Card, Codec, load_codec

from .arguments import Given, is_path, number, opened, path_of, samples_of, tags_of, whole_number
from .damage import warn_of_damage
from .errors import GivenTypeError, GivenValueError
from .file import NcfFile
from .model import Model

if TYPE_CHECKING:
    from typing_extensions import Unpack

_loaded = lru_cache(maxsize=2)(load_codec)
_loading = Lock()


def load_model(name: str | PathLike[Any] = DEFAULT_MODEL, device: str = "auto") -> Model:
    """A model by its name, or by the path of a checkpoint of one's own.

    What is not here is fetched once and checked. The last two models stay loaded, so that asking
    again costs nothing; to hold more, keep what this gives. Raises NeucodecError where there is
    none, or it cannot be had.

    >>> import torch
    >>> model = load_model("neu2-44khz")
    >>> tokens = model.encode(torch.zeros(2, 1, model.sample_rate), codebooks=4)
    >>> tokens.codes.shape  # [batch, codebooks, frames]
    torch.Size([2, 4, 87])
    >>> model.decode(tokens).shape
    torch.Size([2, 1, 44100])
    """
    if not is_path(name):
        raise GivenTypeError(f"model {name!r}: give its name, or a path")
    with _loading:
        return Model(_loaded(path_of(name), str(device)))


class ArraySource:
    """Dresses an array [n] or [n, channels] as an opened sound file."""

    def __init__(
        self, array: npt.ArrayLike, samplerate: int, tags: Mapping[str, object] | None = None
    ) -> None:
        audio = samples_of(array)
        try:
            rate = index(samplerate)  # of NumPy's integers, too
        except TypeError:
            rate = 0
        if rate < 1:
            raise GivenValueError(f"a sample rate of {samplerate!r}: give whole Hz above 0")
        self._audio = audio
        self.sample_rate = rate
        self.tags: Mapping[str, str] = tags_of(tags)
        self.samples: int | None = len(audio)
        self.channels: int = audio.shape[1]
        self.channel_mask: int | None = None

    def blocks(self, blocksize: int = 65536) -> Iterator[Audio]:
        """Give the array in float32 blocks [n, channels]."""
        for start in range(0, len(self._audio), blocksize):
            yield self._audio[start : start + blocksize].astype(np.float32)


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


def encode(
    audio: npt.ArrayLike,
    samplerate: int,
    *,
    model: str | PathLike[Any] | Model = DEFAULT_MODEL,
    tags: Mapping[str, object] | None = None,
    normalize_loudness: bool = False,
    **choices: Unpack[EncodeChoices],
) -> bytes:
    """Encode floats [samples] or [samples, channels] at ``samplerate`` Hz into an .ncf.

    ``normalize_loudness`` brings the audio to -16 LUFS before encoding, as DAC's own code does,
    and decoding brings it back. The other choices, all with defaults, are ``bitrate``,
    ``codebooks``, ``entropy``, ``rate_mode`` and ``layer``, see `EncodeChoices`.

    Raises NeucodecError for what cannot be encoded.

    >>> import numpy as np
    >>> tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
    >>> data = encode(tone, 48000, bitrate="4kbps", tags={"TITLE": "A"})
    >>> data[:4]
    b'\x89NCF'
    """
    codec = _codec(model)
    if unknown := sorted(choices.keys() - EncodeChoices.__annotations__.keys()):
        raise TypeError(f"encode() got an unexpected keyword argument {unknown[0]!r}")
    if isinstance(choices.get("bitrate"), str):
        choices["bitrate"] = parse_bitrate(str(choices["bitrate"]))
    if choices.get("bitrate") is not None:
        choices["bitrate"] = number("bitrate", choices["bitrate"])
    if choices.get("codebooks") is not None:
        choices["codebooks"] = whole_number("codebooks", choices["codebooks"], 1)
    source, target = ArraySource(audio, samplerate, tags), io.BytesIO()
    gain = gain_to(source) if normalize_loudness else None
    options = EncodeOptions(**cast("dict[str, Any]", choices), gain_db=gain)
    encode_source(source, target, codec, options)
    return target.getvalue()


def open(
    file: Given, *, model: str | PathLike[Any] | Model | None = None, strict: bool = False
) -> NcfFile:
    """Open an .ncf, given as bytes, path or open file, in the manner of ``soundfile.SoundFile``.

    ``model`` is the checkpoint of one's own that it was made with; else it names its model. What is
    damaged is silent, and reading it warns with `NcfDamageWarning`; with ``strict`` it raises.
    Raises NeucodecError for what is no .ncf, OSError for what cannot be opened.

    >>> data = encode(0.1 * np.sin(0.1 * np.arange(24000)), 8000)
    >>> with open(io.BytesIO(data)) as file:
    ...     file.samplerate, file.channels, file.frames
    ...     position = file.seek(16000)
    ...     file.read(800).shape
    ...     file.codes(0).shape  # [streams, codebooks, frames]
    (8000, 1, 24000)
    (800, 1)
    (1, 5, 86)
    """
    return NcfFile(file, None if model is None else _codec(model), strict=strict)


def decode(
    file: Given, *, model: str | PathLike[Any] | Model | None = None, strict: bool = False
) -> tuple[Audio, int]:
    """Decode an .ncf, given as bytes, path or open file: (audio [samples, channels], Hz).

    The files of the packages encodec and descript-audio-codec, .ecdc and .dac, are taken, too.
    ``model`` is for what was made with a checkpoint of one's own, and for a .dac that several
    models could have made. The audio has the source's rate, channels and length; what is damaged
    is silent, with an `NcfDamageWarning` that has the spans; with ``strict`` it raises. Raises
    NeucodecError for what cannot be decoded, OSError for what cannot be opened.

    >>> audio, samplerate = decode(encode([[0.0, 0.1]] * 24000, 24000))
    >>> audio.shape, audio.dtype, samplerate
    ((24000, 2), dtype('float32'), 24000)
    """
    if isinstance(file, (str, PathLike)):
        with Path(path_of(file)).open("rb") as there:
            return _decode(there, model, strict)
    return _decode(opened(file), model, strict)


def _decode(
    raw: BinaryIO, model: str | PathLike[Any] | Model | None, strict: bool
) -> tuple[Audio, int]:
    codec = None if model is None else _codec(model)

    def load_card(card: Card) -> Codec:
        return codec or load_model(card.name).codec

    decoder, audio = decode_opened(
        raw, load_card, None if codec is None else codec.card, strict=strict
    )
    warn_of_damage(decoder, stacklevel=4)
    return audio, decoder.sample_rate


def decode_opened(
    file: BinaryIO,
    load_card: Callable[[Card], Codec],
    model: Card | None = None,
    entropy_models: EntropyModels = SHARED,
    *,
    strict: bool = False,
) -> tuple[Decoder, Audio]:
    """Decode an open .ncf, .ecdc or .dac with what ``load_card`` and ``entropy_models`` give.

    The audio, and the decoder, which knows what is damaged. See `decode`; ``model`` is the card of
    a checkpoint of one's own.
    """
    reader = NcfReader(as_ncf(file, load_card, model))
    codec = load_card(card_for(reader.header, model))
    options = DecodeOptions(strict=strict)
    decoder = Decoder(reader, codec, options, entropy_models=entropy_models)
    empty = np.zeros((0, decoder.channels), np.float32)
    return decoder, np.concatenate([empty, *decoder.blocks()])


def _codec(model: str | PathLike[Any] | Model) -> Codec:
    if isinstance(model, Model):
        return model.codec
    if not is_path(model):
        raise GivenTypeError(f"model {model!r}: give its name, a path, or what load_model gave")
    return load_model(model).codec
