"""SEANet's layers: saving memory changes nothing that they compute."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from neucodec.models.seanet import Conv, ConvTranspose, ResidualUnit, SeanetConfig
from neucodec.models.seanet_parts import convolve, convolve_in_parts, normalise, reflect
from neucodec.models.stream import Carry

STEREO = SeanetConfig(channels=2, causal=False, group_norm=True)


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (7, 1), (4, 2), (16, 8)])
@pytest.mark.parametrize("frames", [40, 8192, 20000])
def test_a_convolution_in_parts_is_that_of_the_whole(kernel: int, stride: int, frames: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv1d(8, 12, kernel, stride)
    right = (kernel - stride) // 2
    left = kernel - stride - right
    x = torch.randn(2, 8, frames * stride)
    with torch.no_grad():
        whole = convolve(reflect(x, left, right), conv)
        parts = convolve_in_parts(x, conv, left, right, None)
        spare = torch.full_like(whole, torch.nan)
        into = convolve_in_parts(x, conv, left, right, spare)
    assert parts.shape == whole.shape
    assert torch.allclose(parts, whole, atol=1e-6)
    assert into is spare
    assert torch.equal(into, parts)


@pytest.mark.parametrize("mean", [0.0, 3.0, -100.0])
def test_normalising_in_place_is_group_norm(mean: float) -> None:
    torch.manual_seed(0)
    norm = nn.GroupNorm(1, 32)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 32, 48000) + mean
    with torch.no_grad():
        exact = F.group_norm(x.double(), 1, norm.weight.double(), norm.bias.double(), norm.eps)
        ours = normalise(x, norm)
    assert ours is x
    assert torch.allclose(ours.double(), exact, atol=1e-6 * max(10, abs(mean)))


@pytest.mark.parametrize("length", [50, 40000])
def test_a_residual_unit_without_gradients_gives_what_it_does_with_them(length: int) -> None:
    torch.manual_seed(0)
    unit = ResidualUnit(STEREO, 32)
    x = torch.randn(1, 32, length)
    before = x.clone()
    learnt = unit(x, Carry())
    assert torch.equal(x, before), "a gradient may want what came in"
    with torch.no_grad():
        assert torch.allclose(unit(x, Carry()), learnt, atol=1e-5)


@pytest.mark.parametrize("stride", [2, 5])
@pytest.mark.parametrize("frames", [1, 30, 4095, 4096, 9000])
@pytest.mark.parametrize("config", [STEREO, SeanetConfig()], ids=["48khz", "24khz"])
def test_a_transposed_convolution_without_gradients_gives_what_it_does_with_them(
    config: SeanetConfig, frames: int, stride: int
) -> None:
    torch.manual_seed(0)
    layer = ConvTranspose(config, 6, 4, stride)
    x = torch.randn(2, 6, frames)
    learnt = layer(x, Carry())
    with torch.no_grad():
        assert torch.allclose(layer(x, Carry()), learnt, atol=1e-5)


@pytest.mark.parametrize("length", [32767, 32768, 32769, 32770, 65537])
@pytest.mark.parametrize("layout", [STEREO, SeanetConfig()], ids=["48khz", "24khz"])
def test_the_end_of_a_large_chunk_is_reflected_as_that_of_any(
    layout: SeanetConfig, length: int
) -> None:
    torch.manual_seed(0)
    layer = Conv(layout, 32, 4, 4, 2)
    x = torch.randn(1, 32, length)
    learnt = layer(x, Carry())
    with torch.no_grad():
        assert torch.allclose(layer(x, Carry()), learnt, atol=1e-5)


def test_a_residual_unit_works_in_mixed_precision_without_gradients() -> None:
    torch.manual_seed(0)
    unit = ResidualUnit(STEREO, 32)
    x = torch.randn(1, 32, 40000)
    with torch.no_grad():
        exact = unit(x.clone(), Carry())
        with torch.autocast("cpu", torch.bfloat16):
            rough = unit(x.clone(), Carry())
    assert (rough - exact).square().mean() < 1e-3 * exact.square().mean()
