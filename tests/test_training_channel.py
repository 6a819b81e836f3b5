"""The noisy channel that stands in for codebooks before there are any."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from neucodec.training.codecs.chunked import through_noise


def gaussian(*variances: float) -> Tensor:
    """Latents [8, 2000, D] of independent dimensions with these variances."""
    torch.manual_seed(0)
    return torch.randn(8, 2000, len(variances)) * torch.tensor(variances).sqrt() + 3


def error(latent: Tensor, bits: float) -> float:
    """Mean squared error of a number."""
    arrived = through_noise(latent, torch.full((8,), bits))
    return float((arrived - latent).square().mean())


@pytest.mark.parametrize("bits", [4.0, 8.0, 16.0])
def test_what_arrives_of_a_gaussian_source_is_what_its_bits_allow(bits: float) -> None:
    """The distortion-rate function: variance times 2^(-2 R) of R bits a dimension."""
    expected = 2.0 * 2 ** (-2 * bits / 4)
    assert error(gaussian(2, 2, 2, 2), bits) == pytest.approx(expected, rel=0.05)


def test_strong_dimensions_get_the_bits() -> None:
    latent = gaussian(100, 1)
    arrived = through_noise(latent, torch.full((8,), 3.0))
    left = (arrived - latent).square().mean((0, 1)) / latent.var((0, 1))
    assert left[0] < 0.05
    assert left[1] > 0.5


def test_every_item_has_its_own_number_of_bits_and_without_any_passes() -> None:
    latent = gaussian(1, 1)
    arrived = through_noise(latent, torch.tensor([0.0, 2, 4, 6, 8, 10, 12, 14]))
    errors = (arrived - latent).square().mean((1, 2))
    assert float(errors[0]) == pytest.approx(0, abs=1e-9)
    assert bool((errors[1:-1] > errors[2:]).all())


def test_louder_latents_are_no_clearer() -> None:
    latent = gaussian(1, 1, 1)
    assert error(10 * latent, 6) == pytest.approx(100 * error(latent, 6), rel=0.05)
    gain = torch.ones((), requires_grad=True)
    arrived = through_noise(gain * latent, torch.full((8,), 6.0)) / gain
    (arrived - latent).square().mean().backward()
    assert gain.grad is not None
    assert float(gain.grad) == pytest.approx(0, abs=1e-4)
