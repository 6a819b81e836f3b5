"""Codes and audio are the same alone and in a batch, of signals and of chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import agree, randomise, signal
from published import codes_in, from_ncf, to_ncf
from published import small as narrow
from published_configs import DAC_44KHZ
from safetensors.torch import save_file
from test_dac import a_model as dac
from test_dac import small
from test_encodec import MONO, STEREO
from test_encodec import a_model as encodec
from torch import Tensor

from neucodec.models.catalogue.card import find_card
from neucodec.models.codec import Codec
from neucodec.models.families.hificodec.network import HifiCodec, HifiCodecConfig
from neucodec.models.load import build_codec

WEIGHTS = Path(str(files("neucodec.models"))) / "weights"


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def hificodec() -> HifiCodec:
    torch.manual_seed(0)
    model = HifiCodec(HifiCodecConfig(width=16, codebook_size=64)).eval()
    audio = signal(6400, 24000)
    for book in model.quantisers.parameters():
        torch.nn.init.normal_(book)
    randomise(model, lambda: model.decode(model.encode(audio, 4)))
    return model


def codes_of(model: Any, audio: Tensor) -> Tensor:
    found = model.encode(audio, 4)
    return found[0] if isinstance(found, tuple) else found


@pytest.mark.parametrize(
    ("make", "channels"),
    [
        (lambda: dac(small(DAC_44KHZ)), 1),
        (lambda: encodec(MONO), 1),
        (lambda: encodec(STEREO), 2),
        (hificodec, 1),
    ],
    ids=["dac", "encodec mono", "encodec stereo", "hificodec"],
)
def test_codes_do_not_depend_on_the_batch(make: Callable[[], Any], channels: int) -> None:
    model = make()
    audio = signal(19200, 24000, channels, batch=5)
    together = codes_of(model, audio)
    assert together.unique().numel() > 20
    agree(torch.cat([codes_of(model, one[None]) for one in audio]), together)


def codecs(name: str, folder: Path) -> Codec:
    if name == "neu2-44khz":
        return build_codec(find_card(name), WEIGHTS / "neu2-44khz.safetensors", "cpu")
    if name == "dac-44khz":
        save_file(dac(small(DAC_44KHZ)).state_dict(), folder / "dac.safetensors")
        changes = {"chunk_frames": 20, "chunk_stride": 20 * 512}
        return narrow(name, folder / "dac.safetensors", small(DAC_44KHZ), **changes)
    # What has run has its weights in the order that its products read them in.
    weights = {key: value.contiguous() for key, value in encodec(STEREO).state_dict().items()}
    save_file(weights, folder / "encodec.safetensors")
    changes = {"chunk_frames": 15, "chunk_stride": 4752}
    return narrow(name, folder / "encodec.safetensors", STEREO, **changes)


@pytest.mark.parametrize("name", ["neu2-44khz", "dac-44khz", "encodec-48khz"])
def test_a_file_does_not_depend_on_how_many_chunks_go_together(name: str, tmp_path: Path) -> None:
    codec = codecs(name, tmp_path)
    rate = codec.card.sample_rate
    stride = codec.card.chunk_stride
    audio = signal(6 * stride + 1234, rate, channels=2)[0]
    audio[:, stride : 3 * stride] = 0  # some of them silent
    codec.batch = 1
    one_by_one = to_ncf(codec, audio, codebooks=4, entropy="none")
    decoded = from_ncf(codec, one_by_one)
    codec.batch = 4
    together = to_ncf(codec, audio, codebooks=4, entropy="none")
    for found, expected in zip(codes_in(together), codes_in(one_by_one), strict=True):
        assert torch.equal(found, expected)
    assert torch.equal(from_ncf(codec, one_by_one), decoded)


def test_an_average_bitrate_is_the_same_in_batches(tmp_path: Path) -> None:
    codec = codecs("neu2-44khz", tmp_path)
    audio = signal(12 * 44100, 44100)[0]
    options = {"bitrate": 6000.0, "rate_mode": "average", "entropy": "none", "layer": False}
    sizes = []
    for codec.batch in (1, 4, 50):
        data = to_ncf(codec, audio, **options)
        sizes.append([codes.shape[1] for codes in codes_in(data)])
    assert sizes[0] == sizes[1] == sizes[2]
    assert len(set(sizes[0])) > 1
