"""Published codecs: a signal's codes are the same alone and in a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from networks import agree, randomise, signal
from test_dac import a_model as dac
from test_dac import small
from test_encodec import MONO, STEREO
from test_encodec import a_model as encodec
from torch import Tensor

from neucodec.models.dac import DAC_44KHZ
from neucodec.models.hificodec import HifiCodec, HifiCodecConfig


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
