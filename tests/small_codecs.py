"""A codec of every family: the embedded ones, and of the published ones small ones of our own."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import test_dac
import test_encodec
import test_hificodec
import test_spectokenizer
import torch
from networks import signal
from published import small
from published_configs import DAC_44KHZ
from safetensors.torch import save_file
from torch import Tensor, nn

import neucodec
from neucodec.models.codec import Codec
from neucodec.models.families.encodec.network import EncodecConfig

EMBEDDED = ("neu2-44khz", "neu-16khz", "specmini-16khz", "neu-44khz")


def _weights(model: nn.Module) -> dict[str, Tensor]:
    # What has run has its weights in the order that its products read them in.
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}


def _encodec(config: EncodecConfig) -> Callable[[], dict[str, Tensor]]:
    return lambda: _weights(test_encodec.a_model(config))


class Small(NamedTuple):
    """A narrow network of a published family: how its weights are made, and what its card says."""

    weights: Callable[[], dict[str, Tensor]]
    config: Any
    changes: dict[str, int]


SMALL = {
    "encodec-24khz": Small(_encodec(test_encodec.MONO), test_encodec.MONO, {}),
    "encodec-48khz": Small(
        _encodec(test_encodec.STEREO),
        test_encodec.STEREO,
        {"chunk_frames": 15, "chunk_stride": 4752},
    ),
    "dac-44khz": Small(
        lambda: _weights(test_dac.a_model(test_dac.small(DAC_44KHZ))),
        test_dac.small(DAC_44KHZ),
        {"chunk_frames": 20, "chunk_stride": 20 * 512},
    ),
    "hificodec-24khz-320d": Small(
        lambda: {
            f"{part}.{name}": tensor
            for part, tensors in test_hificodec.published(test_hificodec.SMALL[0]).items()
            for name, tensor in tensors.items()
        },
        test_hificodec.SMALL[0],
        {"chunk_frames": 12, "chunk_stride": 12 * 320 - 640, "codebooks": 4},
    ),
    "spectokenizer-16khz-mini": Small(
        lambda: _weights(test_spectokenizer.a_model(test_spectokenizer.SMALL)),
        test_spectokenizer.SMALL,
        {},
    ),
}
NAMES = (*EMBEDDED, *SMALL)


def save(name: str, folder: Path) -> None:
    """Write the weights of a small network into a folder, where `load` finds them."""
    with torch.no_grad():
        weights = SMALL[name].weights()
    save_file({key: value.contiguous() for key, value in weights.items()}, _path(name, folder))


def load(name: str, folder: Path) -> Codec:
    """Load the embedded codec of that name, or the small one that `save` has written."""
    if name in EMBEDDED:
        return neucodec.load_model(name).codec
    _, config, changes = SMALL[name]
    return small(name, _path(name, folder), config, **changes)


@lru_cache
def codec(name: str) -> Codec:
    """Load the embedded codec, or make the small one, of that name."""
    with TemporaryDirectory() as folder:
        if name in SMALL:
            save(name, Path(folder))
        return load(name, Path(folder))


def _path(name: str, folder: Path) -> Path:
    return folder / f"{name}.safetensors"


def sound(name: str, seconds: float, channels: int = 1, batch: int = 1, seed: int = 0) -> Tensor:
    """Make audio [batch, channels, samples] at the rate of a codec."""
    rate = codec(name).card.sample_rate
    return signal(round(seconds * rate), rate, channels, batch, seed)
