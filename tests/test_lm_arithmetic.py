"""The entropy model's arithmetic against plain integers, at its edges above all."""

from __future__ import annotations

import math

import lm_reference as reference
import numpy as np
import pytest
import torch
from torch import Tensor

from neucodec.models.lm import arithmetic as exact
from neucodec.models.lm import products
from neucodec.models.lm.blocks import Gelu
from neucodec.models.lm.frequencies import fixed_integers
from neucodec.models.lm.products import Matrix


def rows_of_all_sizes(width: int, most: int) -> Tensor:
    """Rows [R, width] of integers whose largest runs from 1 to most."""
    rows = [torch.zeros(width, dtype=torch.long)]
    size = 1
    while size <= most:
        for limit in {size, size + 1, size * 5 // 4} - {0}:
            row = fixed_integers((width,), 2 * limit + 1, seed=limit) - limit
            row[limit % width] = -limit
            rows.append(row.clamp(-most, most))
        size *= 2
    return torch.stack(rows)


def test_rows_are_quantised_as_defined() -> None:
    rows = rows_of_all_sizes(16, exact.VALUE_LIMIT)
    edges = torch.tensor([254, 255, 1019, 1020, 1021])[:, None].expand(-1, 16)
    rows = torch.cat([rows, edges])
    q, step = exact.quantise_rows(rows.float())
    for row, ours, power in zip(rows, q, step, strict=True):
        expected, s = reference.quantise(row.numpy())
        assert ours.tolist() == expected.tolist()
        assert float(power) == 2.0**s
    assert int(q.abs().max()) == 127


@pytest.mark.parametrize("width", [32, 200, 256])
def test_rows_are_normalised_as_defined(width: int) -> None:
    rows = rows_of_all_sizes(width, exact.VALUE_LIMIT)
    rows = torch.cat([rows, torch.full((1, width), exact.VALUE_LIMIT)])
    gain = fixed_integers((width,), 20000, seed=1) - 10000
    bias = fixed_integers((width,), 20000, seed=2) - 10000
    plain = exact.normalise(rows.float(), None, None)
    whole = exact.normalise(rows.float(), gain.double(), bias.float())
    for i, row in enumerate(rows.numpy()):
        assert plain[i].tolist() == reference.norm(row).tolist()
        assert whole[i].tolist() == reference.norm(row, gain.numpy(), bias.numpy()).tolist()


def test_normalised_rows_have_unit_variance() -> None:
    rows = fixed_integers((4, 256), 20001, seed=3).float() + 5000
    out = exact.normalise(rows, None, None) / (1 << exact.UNIT_BITS)
    assert torch.allclose(out.mean(-1), torch.zeros(4), atol=1e-3)
    assert torch.allclose(out.square().mean(-1), torch.ones(4), atol=2e-3)


@pytest.mark.parametrize("size", [2, 64, 1000, 1024])
def test_log_odds_become_frequencies_as_defined(size: int) -> None:
    flat = torch.zeros(1, size, dtype=torch.long)
    steps = torch.arange(size)[None] * 37 % 2048 * 30
    sure = steps.clone()
    sure[:, size // 2] = exact.SCORE_LIMIT
    tied = steps.clone()
    tied[:, -2:] = steps.max()
    noise = fixed_integers((8, size), 1 << 14, seed=4)
    rows = torch.cat([flat, steps, -steps, sure, tied, noise, -noise * 64])
    out = exact.frequencies(rows.float())
    assert int(out.min()) >= 1
    assert (out.sum(-1) == 1 << 24).all()
    for row, ours in zip(rows.numpy(), out, strict=True):
        assert ours.tolist() == reference.frequencies(row).tolist()


def test_frequencies_follow_the_soft_max() -> None:
    logits = fixed_integers((16, 1024), 8 << exact.OCTAVE_BITS, seed=5).float()
    p = (logits.double() * math.log(2) / (1 << exact.OCTAVE_BITS)).softmax(-1)
    q = exact.frequencies(logits) / 2.0**24
    lost = (p * (p / q).log2()).sum(-1)
    # Powers of two that are linear within an octave cost next to nothing.
    assert float(lost.max()) < 0.001


def test_gelu_is_the_table_that_is_defined() -> None:
    x = torch.arange(-3000, 3000)
    ours = Gelu(torch.device("cpu"))(x.float() + exact.GELU_LIMIT)
    assert ours.tolist() == reference.gelu(x.numpy()).tolist()
    smooth = torch.nn.functional.gelu(x.clamp(-2048, 2047).double() / 64)
    assert (ours.double() / 1024 - smooth).abs().max() <= 0.5001 / 1024


def test_positions_are_sines_and_cosines() -> None:
    ours = exact.sinusoids(150, 200).double() / 4096
    t, i = torch.arange(150.0)[:, None].double(), torch.arange(100.0).double()
    phase = t / 10000 ** (i / 99)
    assert (ours - torch.cat([phase.cos(), phase.sin()], -1)).abs().max() <= 0.5001 / 4096


def test_sums_that_might_not_be_exact_are_refused() -> None:
    with pytest.raises(ValueError, match="not exact"):
        Matrix(torch.full((1, 1041), 127, dtype=torch.int8), "float32")


def test_eight_bit_products_that_saturate_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = torch._int_mm

    def older(a: Tensor, b: Tensor) -> Tensor:
        # Pairs of products are summed in sixteen bits there, of a shifted by 128.
        sums = torch.zeros(a.shape[0], b.shape[1], dtype=torch.int32)
        for i in range(0, a.shape[1], 2):
            pair = (a[:, i : i + 2].int() + 128) @ b[i : i + 2].int()
            sums += pair.clamp(-(1 << 15), (1 << 15) - 1)
        return sums - 128 * b.int().sum(0, dtype=torch.int32)

    weight = (fixed_integers((24, 34), 255, seed=7) - 127).to(torch.int8)
    rows = (fixed_integers((5, 34), 255, seed=8) - 127).float()
    expected = rows.double() @ weight.double().t()
    monkeypatch.setattr(torch, "_int_mm", older)
    products._exact.cache_clear()
    assert torch.equal(Matrix(weight, "int8")(rows).double(), expected)
    assert not torch.equal(older(rows.to(torch.int8), weight.t()).double(), expected)
    monkeypatch.setattr(torch, "_int_mm", ordinary)
    products._exact.cache_clear()


def test_the_largest_sums_are_exact() -> None:
    weight = torch.full((8, 1040), 127, dtype=torch.int8)
    rows = torch.full((32, 1040), 127.0)
    rows[16:] = -127
    for kind in ("int8", "float32", "float64"):
        out = Matrix(weight, kind)(rows)  # type: ignore[arg-type]
        assert np.abs(out.numpy()).tolist() == [[1040 * 127 * 127.0] * 8] * 32
