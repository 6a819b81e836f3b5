"""The entropy model in integers: the same frequencies everywhere, and good ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lm_reference as reference
import pytest
import torch
from lm_models import (
    BOOKS,
    FRAMES,
    SIZE,
    assert_stepping_gives_the_rows,
    fixed_transformer,
    melody,
    trained,
)
from safetensors.torch import save_file
from torch import Tensor

from neucodec.models.errors import ModelError
from neucodec.models.lm.frequencies import TOTAL_BITS, digest, fixed_integers, frequencies
from neucodec.models.lm.integer import IntegerTransformer, serialise
from neucodec.models.lm.quantise import quantise


@pytest.fixture(scope="module")
def model() -> IntegerTransformer:
    return IntegerTransformer("small", fixed_transformer(), products="float32")


@pytest.fixture(scope="module")
def codes() -> Tensor:
    return fixed_integers((3, BOOKS, FRAMES), SIZE, seed=5)


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def bits(frequencies: Tensor, codes: Tensor) -> float:
    """Mean cost of a code."""
    picked = frequencies.gather(-1, codes.permute(0, 2, 1).unsqueeze(-1)).double()
    return float(TOTAL_BITS - picked.log2().mean())


def test_every_row_is_positive_and_sums_to_a_power_of_two(
    model: IntegerTransformer, codes: Tensor
) -> None:
    rows = frequencies(model, codes)
    assert rows.dtype == torch.int32
    assert rows.shape == (3, FRAMES, BOOKS, SIZE)
    assert int(rows.min()) >= 1
    assert (rows.sum(-1) == 1 << TOTAL_BITS).all()
    # Not near uniform, or the tests below would see little.
    assert int(rows.max()) > 8 * (1 << TOTAL_BITS) // SIZE


def test_plain_integers_give_the_same_to_the_last_frequency(
    model: IntegerTransformer, codes: Tensor
) -> None:
    rows = frequencies(model, codes)
    for chunk, one in zip(rows, codes, strict=True):
        expected = reference.code_transformer(fixed_transformer(), one.numpy())
        assert torch.equal(chunk.long(), torch.from_numpy(expected))


def test_a_trained_model_in_plain_integers_too() -> None:
    integers = quantise(trained().state_dict(), trained().config)
    codes = melody(1, BOOKS, 5, SIZE, seed=1000)
    expected = reference.code_transformer(integers, codes[0].numpy())
    rows = frequencies(IntegerTransformer("trained", integers), codes)
    assert torch.equal(rows[0].long(), torch.from_numpy(expected))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("books", [1, BOOKS])
def test_a_symbol_at_a_time_gives_the_same_rows(
    model: IntegerTransformer, codes: Tensor, batch: int, books: int
) -> None:
    codes = codes[:batch, :books]
    rows = frequencies(model, codes)
    stepper = model.stepper([books] * batch)
    for t in range(FRAMES):
        for k in range(books):
            assert torch.equal(stepper.row(), rows[:, t, k])
            assert torch.equal(stepper.row(), rows[:, t, k])
            stepper.push(codes[:, k, t])


def test_chunks_with_fewer_codebooks_go_along(model: IntegerTransformer, codes: Tensor) -> None:
    assert_stepping_gives_the_rows(model, codes, [BOOKS, 2, 1])


def test_a_chunk_costs_the_same_in_any_company(model: IntegerTransformer) -> None:
    codes = fixed_integers((64, BOOKS, FRAMES), SIZE, seed=6)
    rows = frequencies(model, codes)
    for size in (1, 3):
        for first in (0, 17, 60):
            part = slice(first, first + size)
            assert torch.equal(frequencies(model, codes[part]), rows[part])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_threads_change_nothing(model: IntegerTransformer, codes: Tensor, count: int) -> None:
    with threads(1):
        alone = frequencies(model, codes)
    with threads(count):
        assert torch.equal(frequencies(model, codes), alone)


@pytest.mark.parametrize("products", ["int8", "float32", "float64"])
@pytest.mark.filterwarnings("ignore:TF32 acceleration")
@pytest.mark.parametrize("mkldnn", [True, False])
def test_the_kind_of_product_changes_nothing(
    model: IntegerTransformer, codes: Tensor, products: str, mkldnn: bool
) -> None:
    other = IntegerTransformer("small", fixed_transformer(), products=products)  # type: ignore[arg-type]
    with torch.backends.mkldnn.flags(enabled=mkldnn):
        assert torch.equal(frequencies(other, codes), frequencies(model, codes))


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_a_setting_for_rougher_products_changes_nothing(
    model: IntegerTransformer, codes: Tensor, precision: str
) -> None:
    exact = frequencies(model, codes)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        assert torch.equal(frequencies(model, codes), exact)
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_same(model: IntegerTransformer, codes: Tensor) -> None:
    other = IntegerTransformer("small", fixed_transformer(), "cuda")
    assert torch.equal(frequencies(other, codes).cpu(), frequencies(model, codes))


def test_a_row_knows_the_codes_before_it_and_no_others(
    model: IntegerTransformer, codes: Tensor
) -> None:
    rows = frequencies(model, codes)
    t, k = 4, 1
    changed = codes.clone()
    changed[:, k, t] = (changed[:, k, t] + 1) % SIZE
    others = frequencies(model, changed)
    flat, other = rows.flatten(1, 2), others.flatten(1, 2)
    here = t * BOOKS + k
    assert torch.equal(flat[:, : here + 1], other[:, : here + 1])
    assert (flat[:, here + 1 :] != other[:, here + 1 :]).any(-1).all()


def test_the_number_of_codebooks_is_known_from_the_start(
    model: IntegerTransformer, codes: Tensor
) -> None:
    fewer = frequencies(model, codes[:, :2])
    assert (fewer[:, 0, 0] != frequencies(model, codes)[:, 0, 0]).any()


def test_the_same_frequencies_for_ever(model: IntegerTransformer) -> None:
    assert model.fingerprint.hex() == "f1e5aa5074829910"
    assert digest(model) == "f06d5f6099ce9eee2860c72814186fcaea1309ca1d4f2f1185b8bb8d8c752d7f"


def test_integers_cost_little() -> None:
    model = trained()
    codes = melody(16, BOOKS, model.config.frames, SIZE, seed=1000)
    logits = model(codes)
    exact = -logits.double().log_softmax(-1).gather(-1, codes.unsqueeze(-1)).mean() / math.log(2)
    rows = IntegerTransformer("trained", quantise(model.state_dict(), model.config))
    cost = bits(frequencies(rows, codes), codes)
    assert float(exact) < 4  # of 6: it has learned something
    assert cost < 1.005 * float(exact)


def test_a_file_brings_back_the_same_model(tmp_path: Path, codes: Tensor) -> None:
    path = tmp_path / "small.safetensors"
    path.write_bytes(serialise(fixed_transformer()))
    again = IntegerTransformer.load(path, "small")
    model = IntegerTransformer("small", fixed_transformer())
    assert again.fingerprint == model.fingerprint
    assert (again.codebooks, again.codebook_size, again.frames) == (BOOKS, SIZE, FRAMES)
    assert torch.equal(frequencies(again, codes), frequencies(model, codes))


def test_any_other_integer_is_another_fingerprint(model: IntegerTransformer) -> None:
    integers = fixed_transformer()
    integers["heads.1.reduce.bias"][3] += 1
    assert IntegerTransformer("small", integers).fingerprint != model.fingerprint


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"count": None}, "not the integers of an entropy model"),
        ({"layers.1.feed.expand.bias": None}, "layers.1.feed.expand.bias is missing"),
        ({"heads.0.expand.weight": torch.zeros(16, 31, dtype=torch.int8)}, "has shape"),
        ({"heads.3.expand.bias": torch.zeros(1, dtype=torch.int32)}, "nothing is known of heads.3"),
    ],
)
def test_integers_that_fit_no_model_are_refused(
    change: dict[str, Tensor | None], complaint: str
) -> None:
    integers = {k: v for k, v in (fixed_transformer() | change).items() if v is not None}
    with pytest.raises(ModelError, match=complaint):
        IntegerTransformer("small", integers)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file(fixed_transformer(), path, {"kind": "code-transformer", "arithmetic": "2"})
    with pytest.raises(ModelError, match=r"other\.safetensors is no entropy model of this version"):
        IntegerTransformer.load(path, "other")


def test_weights_that_are_no_numbers_are_refused() -> None:
    state = dict(trained().state_dict())
    state["layers.0.qkv.weight"] = torch.full_like(state["layers.0.qkv.weight"], float("nan"))
    with pytest.raises(ModelError, match="no sensible weights"):
        quantise(state, trained().config)


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [((1, BOOKS + 1, 2), "4 codebooks"), ((1, 1, FRAMES + 1), "13 frames")],
)
def test_more_than_the_model_takes_is_refused(
    model: IntegerTransformer, shape: tuple[int, ...], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        frequencies(model, torch.zeros(shape, dtype=torch.long))


def test_codes_that_there_are_not_are_refused(model: IntegerTransformer) -> None:
    with pytest.raises(ValueError, match="from 0 to 63"):
        frequencies(model, torch.full((1, 1, 1), SIZE))
