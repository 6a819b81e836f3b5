"""Winograd's convolution: PyTorch's, but for rounding."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from neucodec.models.winograd import WinogradConvolution


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
