"""From a card and a file to a codec: which network and which strategy each family has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neucodec.models.batching import one_by_one
from neucodec.models.bounds import checked
from neucodec.models.catalogue.card import Card
from neucodec.models.codec import Codec
from neucodec.models.errors import ModelError
from neucodec.models.families.dac.network import Dac, DacConfig
from neucodec.models.families.encodec.network import Encodec, EncodecConfig
from neucodec.models.families.hificodec.network import HifiCodec, HifiCodecConfig
from neucodec.models.families.neu.codec import NeuCodec
from neucodec.models.families.spectokenizer.network import SpecTokenizer, SpecTokenizerConfig
from neucodec.models.strategies import ContextCodec, OverlapCodec, SegmentCodec, StreamCodec

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
    try:
        codec = _FAMILIES[card.family](card, path, device, precision)
    except (ModelError, OSError, MemoryError):
        raise
    except Exception as error:  # of whatever kind: torch makes many of numbers that do not fit
        reason = " ".join(str(error).split())[:200]
        if card.folder is None or "allocate memory" in reason:
            raise  # the package's own cards are right
        raise ModelError(f"{card.name}: {path.name} does not fit its card: {reason}") from None
    _check_agreement(card, codec)
    return codec


def _check_agreement(card: Card, codec: Codec) -> None:
    """Raise ModelError where a card says of its network what the network is not: coding would fail
    in the midst of a file, or give sound of another rate."""
    network = getattr(codec, "network", None)
    if isinstance(network, _Segments):
        network = network.network
    config = getattr(network, "config", None)
    channels = getattr(config, "channels", 1) if card.family == "encodec" else 1
    causal = card.family == "encodec" and getattr(config, "causal", False)
    strategies = {"stream": causal, "segments": not causal} if card.family == "encodec" else {}
    found = {
        "hop": getattr(network, "hop", None) or getattr(config, "hop", None),
        "codebook_size": getattr(config, "codebook_size", None),
        "codebooks": getattr(config, "codebooks", None),
        "channels": channels,
        "chunk_strategy": _STRATEGIES.get(card.family),
        "level": "codec" if getattr(config, "normalise", False) else None,
    }
    if strategies and not strategies.get(card.chunk_strategy):
        found["chunk_strategy"] = next(name for name, holds in strategies.items() if holds)
    for key, value in found.items():
        said = getattr(card, key)
        if value is not None and said != value:
            raise ModelError(f"{card.name}: its card has {key} {said}, its network {value}")
    if card.level == "codec" and not getattr(config, "normalise", False):
        raise ModelError(f'{card.name}: level = "codec" is for networks that give a scale')


def keep(codec: Codec, half: str) -> None:
    """Let go of the weights of a codec's other half than "encoder" or "decoder"."""
    network = getattr(codec, "network", None)
    if isinstance(network, _Segments):
        network = network.network
    for name in ("encoder", "decoder", "generator"):
        if hasattr(network, name) and (name == "encoder") != (half == "encoder"):
            setattr(network, name, None)


def configured(card: Card, config: Callable[..., C]) -> C:
    """The network's configuration as the card has it; ModelError where that is out of bounds."""
    try:
        return checked(config, card.config)
    except ModelError as error:
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
_STRATEGIES = {
    "neu": "overlap",
    "dac": "context",
    "hificodec": "segments",
    "spectokenizer": "overlap",
}
"""How the chunks of a family meet; EnCodec's may be a stream or segments."""
