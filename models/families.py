"""From a card and a file to a codec: which network and which strategy each family has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .batches import one_by_one
from .card import Card
from .codec import Codec
from .dac import Dac, DacConfig
from .encodec import Encodec, EncodecConfig
from .errors import ModelError
from .hificodec import HifiCodec, HifiCodecConfig
from .neu import NeuCodec
from .spectokenizer import SpecTokenizer, SpecTokenizerConfig
from .strategies import ContextCodec, OverlapCodec, SegmentCodec, StreamCodec

C = TypeVar("C")


def build(card: Card, path: Path, device: torch.device, precision: torch.dtype) -> Codec:
    """Load the codec of a card from a weights file; ModelError where one does not fit the other.

    ``precision`` is that of decoding, for the families that have a choice.
    """
    if card.family not in _FAMILIES:
        raise ModelError(f"{card.name}: {card.family!r} is no family; {', '.join(_FAMILIES)} are")
    if device.type == "cuda":
        # A product in TF32 keeps 10 bits: codes would not be those of any other machine.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True
    return _FAMILIES[card.family](card, path, device, precision)


def keep(codec: Codec, half: str) -> None:
    """Let go of the weights of a codec's other half than "encoder" or "decoder"."""
    network = getattr(codec, "network", None)
    if isinstance(network, _Segments):
        network = network.network
    for name in ("encoder", "decoder", "generator"):
        if hasattr(network, name) and (name == "encoder") != (half == "encoder"):
            setattr(network, name, None)


def configured(card: Card, config: Callable[..., C]) -> C:
    """The network's configuration as the card has it."""
    arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in card.config.items()}
    try:
        return config(**arguments)
    except TypeError as error:
        raise ModelError(f"{card.name}: its [config] does not fit {card.family}: {error}") from None


def _neu(card: Card, path: Path, device: torch.device, _: torch.dtype) -> Codec:
    return NeuCodec.load(card, path, device)


def _encodec(card: Card, path: Path, device: torch.device, _: torch.dtype) -> Codec:
    network = Encodec.load(path, configured(card, EncodecConfig))
    if card.chunk_strategy == "stream":
        return StreamCodec(card, network, device)
    return SegmentCodec(card, network, device)


def _dac(card: Card, path: Path, device: torch.device, precision: torch.dtype) -> Codec:
    network = Dac.load(path, configured(card, DacConfig))
    network.precision = precision
    return ContextCodec(card, network, device)


class _Segments(nn.Module):
    """HiFi-Codec on segments of any length: the last frame is filled up with silence."""

    together = 1
    """Convolutions alone want one segment after the other."""

    def __init__(self, network: HifiCodec) -> None:
        super().__init__()
        self.network = network

    def encode(self, audio: Tensor, codebooks: int) -> tuple[Tensor, None]:
        whole = F.pad(audio, (0, -audio.shape[-1] % self.network.config.hop))
        return one_by_one(lambda one: self.network.encode(one, codebooks), whole), None

    def decode(self, codes: Tensor, scale: Tensor | None) -> Tensor:
        return one_by_one(self.network.decode, codes)


def _hificodec(card: Card, path: Path, device: torch.device, _: torch.dtype) -> Codec:
    network = HifiCodec.load(path, configured(card, HifiCodecConfig))
    return SegmentCodec(card, _Segments(network), device)


def _spectokenizer(card: Card, path: Path, device: torch.device, _: torch.dtype) -> Codec:
    network = SpecTokenizer.load(path, configured(card, SpecTokenizerConfig))
    fade = network.window[: network.config.hop].square()
    return OverlapCodec(card, network, device, fade)


_FAMILIES: dict[str, Callable[[Card, Path, torch.device, torch.dtype], Codec]] = {
    "neu": _neu,
    "encodec": _encodec,
    "dac": _dac,
    "hificodec": _hificodec,
    "spectokenizer": _spectokenizer,
}
