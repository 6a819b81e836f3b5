"""A codec of every family: the embedded ones, and of the published ones small ones of our own."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import test_dac
import test_encodec
import test_hificodec
import test_spectokenizer
import torch
from networks import signal
from published import small
from safetensors.torch import save_file
from torch import Tensor, nn

import neucodec
from neucodec.models.codec import Codec
from neucodec.models.dac import DAC_44KHZ

EMBEDDED = ("neu2-44khz", "neu-16khz", "specmini-16khz", "neu-44khz")


def _weights(model: nn.Module) -> dict[str, Tensor]:
    # What has run has its weights in the order that its products read them in.
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}


def _stream(folder: Path) -> Codec:
    path = folder / "stream.safetensors"
    save_file(_weights(test_encodec.a_model()), path)
    return small("encodec-24khz", path, test_encodec.MONO)


def _segments(folder: Path) -> Codec:
    path = folder / "segments.safetensors"
    save_file(_weights(test_encodec.a_model(test_encodec.STEREO)), path)
    changes = {"chunk_frames": 15, "chunk_stride": 4752}
    return small("encodec-48khz", path, test_encodec.STEREO, **changes)


def _dac(folder: Path) -> Codec:
    path, config = folder / "dac.safetensors", test_dac.small(DAC_44KHZ)
    save_file(_weights(test_dac.a_model(config)), path)
    return small("dac-44khz", path, config, chunk_frames=20, chunk_stride=20 * 512)


def _hificodec(folder: Path) -> Codec:
    path, config = folder / "hificodec", test_hificodec.SMALL[0]
    torch.save(test_hificodec.published(config), path)
    changes = {"chunk_frames": 12, "chunk_stride": 12 * 320 - 640, "codebooks": 4}
    return small("hificodec-24khz-320d", path, config, **changes)


def _spectokenizer(folder: Path) -> Codec:
    path, config = folder / "spectokenizer.safetensors", test_spectokenizer.SMALL
    save_file(_weights(test_spectokenizer.a_model(config)), path)
    return small("spectokenizer-16khz-mini", path, config)


SMALL: dict[str, Callable[[Path], Codec]] = {
    "encodec-24khz": _stream,
    "encodec-48khz": _segments,
    "dac-44khz": _dac,
    "hificodec-24khz-320d": _hificodec,
    "spectokenizer-16khz-mini": _spectokenizer,
}
NAMES = (*EMBEDDED, *SMALL)


@lru_cache
def codec(name: str) -> Codec:
    """Load the embedded codec, or make the small one, of that name."""
    if name in EMBEDDED:
        return neucodec.load_model(name).codec
    with TemporaryDirectory() as folder, torch.no_grad():
        return SMALL[name](Path(folder))


def sound(name: str, seconds: float, channels: int = 1, batch: int = 1, seed: int = 0) -> Tensor:
    """Make audio [batch, channels, samples] at the rate of a codec."""
    rate = codec(name).card.sample_rate
    return signal(round(seconds * rate), rate, channels, batch, seed)
