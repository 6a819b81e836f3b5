"""Muon: PyTorch's own where there is one, but for rounding."""

import pytest
import torch
from torch import nn

from neucodec.training.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(24, 8), (8, 24), (16, 16)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrix))
    assert values.min() > 0.3 and values.max() < 1.3


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="PyTorch has Muon from 2.9 on")
def test_steps_are_pytorchs_and_so_is_the_state() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(12, 20, generator=generator)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimiser = Muon([ours], 0.02, 0.1)
    reference = torch.optim.Muon([theirs], 0.02, 0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(5):
        ours.grad = torch.randn(12, 20, generator=generator)
        theirs.grad = ours.grad.clone()
        optimiser.step()
        reference.step()
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() < 0.02 * moved  # theirs multiplies in bfloat16
    saved = optimiser.state_dict()["state"][0]["momentum_buffer"]
    torch.testing.assert_close(saved, reference.state_dict()["state"][0]["momentum_buffer"])


def test_a_kernel_moves_as_the_matrix_that_it_is_to_what_lies_under_it() -> None:
    generator = torch.Generator().manual_seed(0)
    start, gradient = (torch.randn(6, 5, 3, 4, generator=generator) for _ in range(2))
    kernel, matrix = nn.Parameter(start.clone()), nn.Parameter(start.flatten(1).clone())
    kernel.grad, matrix.grad = gradient, gradient.flatten(1)
    Muon([kernel, matrix], 0.02, 0.1).step()
    torch.testing.assert_close(kernel.flatten(1), matrix)
    assert not torch.equal(kernel, start)
