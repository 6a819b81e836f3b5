"""Winograd's convolution: PyTorch's, but for rounding."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from neucodec.models.parts.winograd import TwoTaps, WinogradConvolution


@pytest.mark.parametrize("dilation", [1, 3, 9])
@pytest.mark.parametrize(("inputs", "outputs"), [(16, 16), (24, 8), (8, 24)])
def test_it_is_the_convolution(dilation: int, inputs: int, outputs: int) -> None:
    torch.manual_seed(0)
    weight = torch.randn(outputs, inputs, 7) / (7 * inputs) ** 0.5
    convolution = WinogradConvolution(weight, dilation)
    scratch = convolution.scratch(10 * convolution.step)
    for steps in (1, 2, 10):
        x = torch.randn(steps * convolution.step + 6 * dilation, inputs)
        expected = F.conv1d(x.double().t(), weight.double(), dilation=dilation).t()
        found = convolution(x, scratch)
        assert found.shape == (steps * convolution.step, outputs)
        error = (found - expected).square().mean().sqrt() / expected.square().mean().sqrt()
        assert error < 5e-6


@pytest.mark.parametrize("inputs", [8, 128])
@pytest.mark.parametrize("rows", [1, 2, 7, 40])
@pytest.mark.parametrize("biased", [True, False])
def test_two_taps_are_the_convolution(inputs: int, rows: int, biased: bool) -> None:
    torch.manual_seed(0)
    first, second = torch.randn(2, inputs, 6) / inputs**0.5
    bias = torch.randn(6) if biased else None
    x = torch.randn(rows + 1, inputs)
    weight = torch.stack([first, second]).permute(2, 1, 0)
    expected = F.conv1d(
        x.double().t(), weight.double(), None if bias is None else bias.double()
    ).t()
    out = torch.full((rows, 6), torch.nan)
    assert TwoTaps(first, second, bias)(x, out) is out
    assert torch.allclose(out.double(), expected, atol=3e-6)
