"""The stand-in for the waveform layer in training, and the transform that losses share."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from neucodec.training.codecs.waveform import WaveformLayer
from neucodec.training.losses.spectral import stft

RATE = 16000


def tone(hertz: float) -> Tensor:
    return (2 * math.pi * hertz / RATE * torch.arange(RATE)).sin()[None]


def error(layer: WaveformLayer, hertz: float, using: bool) -> float:
    """Power of what is wrong [of 0.5] with a tone whose decode lags by an eighth of a period."""
    decoded = torch.cat([tone(hertz)[:, -int(RATE / hertz / 8) :], tone(hertz)], dim=1)[:, :RATE]
    torch.manual_seed(0)
    made = layer(tone(hertz), decoded, torch.tensor([using]))
    return float((made - tone(hertz)).square().mean())


def test_the_layer_mends_the_waveform_below_its_top_frequency() -> None:
    layer = WaveformLayer(RATE)
    assert error(layer, 1000.0, using=False) > 0.2
    assert error(layer, 1000.0, using=True) < 0.02


def test_above_its_top_frequency_the_decode_stays() -> None:
    torch.manual_seed(0)
    treble = tone(7800.0)
    made = WaveformLayer(RATE)(torch.zeros_like(treble), treble, torch.tensor([True]))
    inside = slice(1000, -1000)  # where it begins and ends it is no tone
    torch.testing.assert_close(made[:, inside], treble[:, inside], atol=1e-2, rtol=0)


def test_an_item_without_the_layer_stays_as_it_is() -> None:
    torch.manual_seed(0)
    reference, decoded = torch.randn(2, 2, 4000)
    made = WaveformLayer(RATE)(reference, decoded, torch.tensor([False, True]))
    assert torch.equal(made[0], decoded[0])
    assert not torch.allclose(made[1], decoded[1], atol=0.1)


def test_gradients_reach_only_what_the_layer_leaves_to_the_decode() -> None:
    decoded = (tone(1000.0) + 0.1 * tone(7500.0)).requires_grad_()
    torch.manual_seed(0)
    made = WaveformLayer(RATE)(torch.zeros_like(decoded), decoded, torch.tensor([True]))
    made.square().sum().backward()
    assert decoded.grad is not None
    spectrum = torch.fft.rfft(decoded.grad[0]).abs()
    assert spectrum[7500] > 10 * spectrum[1000]


@pytest.mark.parametrize("size", [32, 512])
def test_the_gradient_of_the_transform_is_torchs_own(size: int) -> None:
    torch.manual_seed(0)
    window = torch.hann_window(size, dtype=torch.float64)
    audio = torch.randn(2, 1500, dtype=torch.float64, requires_grad=True)
    plain = torch.fft.rfft(audio.unfold(-1, size, size // 4) * window)
    weights = torch.randn_like(plain)
    gradients = [
        torch.autograd.grad((bins * weights.conj()).real.sum(), audio)[0]
        for bins in (plain, stft(audio, window))
    ]
    torch.testing.assert_close(gradients[1], gradients[0])
