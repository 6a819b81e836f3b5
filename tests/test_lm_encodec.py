"""EnCodec's published entropy models: the peer's conditioning and its bits, in integers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lm_reference as reference
import pytest
import torch
from lm_models import assert_stepping_gives_the_rows, melody
from networks import peer
from torch import Tensor

from neucodec.models.errors import ModelError
from neucodec.models.lm import encodec_lm
from neucodec.models.lm.arithmetic import sinusoids
from neucodec.models.lm.encodec_lm import EncodecLm
from neucodec.models.lm.frequencies import TOTAL_BITS, digest, fixed_integers, frequencies

BOOKS, SIZE, FRAMES, WIDTH, LAYERS = 3, 64, 12, 32, 2


def checkpoint() -> dict[str, Tensor]:
    """The tensors that a small model of theirs has, with numbers that are the same for ever."""
    shapes: dict[str, tuple[int, ...]] = {}
    for k in range(BOOKS):
        shapes |= {f"emb.{k}.weight": (SIZE + 1, WIDTH), f"linears.{k}.weight": (SIZE, WIDTH)}
        shapes[f"linears.{k}.bias"] = (SIZE,)
    norms = ["transformer.norm_in"]
    for i in range(LAYERS):
        at = f"transformer.layers.{i}"
        norms += [f"{at}.norm1", f"{at}.norm2"]
        shapes |= {
            f"{at}.self_attn.in_proj_weight": (3 * WIDTH, WIDTH),
            f"{at}.self_attn.in_proj_bias": (3 * WIDTH,),
            f"{at}.self_attn.out_proj.weight": (WIDTH, WIDTH),
            f"{at}.self_attn.out_proj.bias": (WIDTH,),
            f"{at}.linear1.weight": (4 * WIDTH, WIDTH),
            f"{at}.linear1.bias": (4 * WIDTH,),
            f"{at}.linear2.weight": (WIDTH, 4 * WIDTH),
            f"{at}.linear2.bias": (WIDTH,),
        }
    out = {}
    for seed, (name, shape) in enumerate(shapes.items(), 100):
        size = 0.1 if name.endswith("bias") else (3 / shape[-1]) ** 0.5
        size *= {"emb": 5, "linears": 2}.get(name.partition(".")[0], 1)
        out[name] = uniform(shape, seed) * size
    for seed, name in enumerate(norms, 200):
        out[f"{name}.weight"] = 1 + uniform((WIDTH,), seed) / 2
        out[f"{name}.bias"] = uniform((WIDTH,), seed + 50) / 2
    return out


def uniform(shape: tuple[int, ...], seed: int) -> Tensor:
    """Multiples of 2^-20 from -1 to 1."""
    return (fixed_integers(shape, (1 << 21) + 1, seed) - (1 << 20)).float() / (1 << 20)


@pytest.fixture(scope="module")
def model() -> EncodecLm:
    return EncodecLm("theirs", encodec_lm.quantise(checkpoint()), FRAMES)


@pytest.fixture(scope="module")
def codes() -> Tensor:
    return fixed_integers((3, BOOKS, FRAMES), SIZE, seed=5)


def their_model(**changes: Any) -> Any:
    """A small one of the peer's."""
    sizes = {"n_q": BOOKS, "card": SIZE, "dim": WIDTH, "num_layers": LAYERS} | changes
    return peer("encodec").model.LMModel(**sizes).eval()


def their_probabilities(model: Any, codes: Tensor) -> Tensor:
    """[B, F, K, size], all frames at once."""
    before = torch.cat([torch.zeros_like(codes[..., :1]), 1 + codes[..., :-1]], -1)
    probabilities: Tensor = model(before)[0]
    return probabilities.permute(0, 3, 2, 1)


def mean_bits(probabilities: Tensor, codes: Tensor) -> Tensor:
    picked = probabilities.gather(-1, codes.permute(0, 2, 1).unsqueeze(-1))
    return -picked.log().mean() / math.log(2)


def test_plain_integers_give_the_same_to_the_last_frequency(
    model: EncodecLm, codes: Tensor
) -> None:
    integers = encodec_lm.quantise(checkpoint())
    positions = sinusoids(FRAMES, WIDTH).long().numpy()
    rows = frequencies(model, codes[:1])
    expected = reference.encodec_lm(integers, positions, codes[0].numpy())
    assert torch.equal(rows[0].long(), torch.from_numpy(expected))


@pytest.mark.parametrize("counts", [[BOOKS] * 3, [BOOKS, 1, 1]])
def test_a_symbol_at_a_time_gives_the_same_rows(
    model: EncodecLm, codes: Tensor, counts: list[int]
) -> None:
    assert_stepping_gives_the_rows(model, codes, counts)


def test_the_same_integers_from_a_file_for_ever(model: EncodecLm, tmp_path: Path) -> None:
    path = tmp_path / "lm.th"
    torch.save(checkpoint(), path)
    loaded = EncodecLm.load(path, "theirs", FRAMES)
    assert loaded.fingerprint == model.fingerprint
    assert model.fingerprint.hex() == "863df9c368589195"
    assert digest(loaded) == "37722946e587ae07a6ddd9c576ae0b70bcaacf235726828420105bf6f40b92d0"


def test_codebooks_of_a_frame_know_nothing_of_each_other(model: EncodecLm, codes: Tensor) -> None:
    changed = codes.clone()
    changed[:, :, 4] = (codes[:, :, 4] + 1) % SIZE
    rows, others = frequencies(model, codes), frequencies(model, changed)
    assert torch.equal(rows[:, :5], others[:, :5])
    assert (rows[:, 5:] != others[:, 5:]).any(-1).all()


@pytest.mark.parametrize("books", [1, BOOKS])
def test_probabilities_are_the_peers(model: EncodecLm, codes: Tensor, books: int) -> None:
    theirs = their_model()
    theirs.load_state_dict(checkpoint())
    codes = codes[:, :books]
    with torch.no_grad():
        p = their_probabilities(theirs, codes).double()
    q = frequencies(model, codes).double() / 2**TOTAL_BITS
    lost = (p * (p / q).log2()).sum(-1)
    # Weights that mean nothing make the most of small differences; still each row is theirs.
    assert float(lost.max()) < 0.02
    assert float(lost.mean()) < 0.005


def test_integers_cost_little_of_what_the_peers_model_learned() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = their_model().train()
    optimizer = torch.optim.Adam(theirs.parameters(), lr=4e-3)
    for step in range(120):
        codes = melody(32, 1, FRAMES, SIZE, seed=step)
        loss = mean_bits(their_probabilities(theirs, codes), codes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    codes = melody(32, 1, FRAMES, SIZE, seed=1000)
    with torch.no_grad():
        exact = mean_bits(their_probabilities(theirs.eval(), codes), codes)
    ours = EncodecLm("theirs", encodec_lm.quantise(theirs.state_dict()), FRAMES)
    cost = mean_bits(frequencies(ours, codes).double() / 2**TOTAL_BITS, codes)
    assert float(exact) < 4  # of 6: it has learned something
    assert float(cost) < 1.01 * float(exact)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"emb.0.weight": None}, "is no entropy model of EnCodec"),
        ({"linears.1.bias": None}, r"lacks linears\.1\.bias"),
        ({"transformer.extra": torch.zeros(1)}, r"does not, transformer\.extra"),
        ({"emb.2.weight": torch.zeros(SIZE, WIDTH)}, r"emb\.2\.weight has shape \(64, 32\)"),
        ({"linears.0.bias": torch.full((SIZE,), torch.nan)}, "no sensible weights"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(
    change: dict[str, Tensor | None], complaint: str
) -> None:
    state = {k: v for k, v in (checkpoint() | change).items() if v is not None}
    with pytest.raises(ModelError, match=complaint):
        encodec_lm.quantise(state)
