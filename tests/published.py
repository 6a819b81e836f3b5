"""What the tests of published codecs share: narrow ones from a file, and ways through .ncf."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neucodec.api import ArraySource
from neucodec.audio.samples import Audio
from neucodec.coding.decoder import Decoder
from neucodec.coding.encoder import encode
from neucodec.coding.entropy_models import SHARED
from neucodec.coding.options import DecodeOptions, EncodeOptions
from neucodec.coding.payloads import codes_of
from neucodec.formats import NcfReader
from neucodec.models.catalogue.card import find_card
from neucodec.models.codec import Codec
from neucodec.models.load import build_codec


def small(name: str, path: Path, config: Any, **changes: Any) -> Codec:
    """The codec of a card, but with the weights in a file and as narrow as they are."""
    card = find_card(name)
    arguments: Mapping[str, Any] = asdict(config)
    size = {"codebook_size": config.codebook_size, "codebooks": config.codebooks}
    return build_codec(replace(card, config=dict(arguments), **(size | changes)), path, "cpu")


def to_ncf(codec: Codec, audio: Tensor, rate: int | None = None, **options: Any) -> bytes:
    """Encode audio [channels, T]."""
    target = io.BytesIO()
    source = ArraySource(audio.numpy().T, rate or codec.card.sample_rate)
    encode(source, target, codec, EncodeOptions(**options))
    return target.getvalue()


def decoder(codec: Codec, data: bytes, **options: Any) -> Decoder:
    """What decodes an .ncf with that codec."""
    return Decoder(NcfReader(io.BytesIO(data)), codec, DecodeOptions(**options))


def from_ncf(codec: Codec, data: bytes, **options: Any) -> Tensor:
    """Decode to audio [channels, T]."""
    blocks: list[Audio] = list(decoder(codec, data, **options).blocks())
    return torch.from_numpy(np.concatenate(blocks).T)


def codes_in(data: bytes) -> list[Tensor]:
    """The codes [streams, codebooks, F] of every chunk."""
    reader = NcfReader(io.BytesIO(data))
    model = SHARED.of(reader.header)
    return [torch.from_numpy(codes) for codes in codes_of(reader, reader.header, model)]


def damaged(data: bytes, index: int) -> bytes:
    """The same file with a chunk that is not what was written."""
    entry = NcfReader(io.BytesIO(data)).table()[index]
    at = entry.offset + entry.length // 2
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


def scales_in(data: bytes) -> list[tuple[float, ...]]:
    """The scales of every chunk, one for each stream."""
    return [chunk.scales for chunk in NcfReader(io.BytesIO(data))]
