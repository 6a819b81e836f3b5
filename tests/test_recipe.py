"""Recipes are plain data within bounds, or refused in a line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from neucodec.errors import NeucodecError
from neucodec.models.catalogue.card import find_card
from neucodec.training.codecs import system_of
from neucodec.training.entropy_model.recipe import EntropyRecipe
from neucodec.training.recipe import Recipe


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"corpus": [1]}, "corpus is to be str, not 1"),
        ({"corpus": "here"}, r"corpus is to be list\[str\], not 'here'"),
        ({"betas": [0.5]}, "betas is to be two numbers"),
        ({"betas": [0.5, 2.0]}, "betas is to be from 0 to 1, not 2.0"),
        ({"weights": {"mel": "much"}}, "weights 'mel' is to be float, not 'much'"),
        ({"sample_rate": 0}, "sample_rate is to be from 1 to"),
        ({"learning_rate": float("nan")}, "learning_rate is to be from 0 to .* not nan"),
        ({"batch": 60000, "seconds": 600.0}, "its items together have more than"),
        ({"adversary": {"widths": [10**9]}}, "widths is to be from 1 to 16384, not 1000000000"),
        ({"adversary": {"widths": [1] * 100}}, "widths has 100 entries: 64 are possible"),
        ({"adversary": 3}, "3 is no table"),
        ({"metrics": [["mel"]]}, r"metrics is to be str, not \['mel'\]"),
    ],
)
def test_what_a_recipe_cannot_say(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(NeucodecError, match=complaint):
        Recipe.of({"corpus": ["."]} | change)


@pytest.mark.parametrize(
    ("system", "model"),
    [
        ("neu", {"encoder_blocks": 10**9}), ("neu", {"hop": 500}), ("neu", {"hop": "a"}),
        ("dac", {"rates": [2] * 10**4}), ("dac", {"codebook_size": 10**9}),
        ("encodec", {"lstm_layers": 10**9}), ("hificodec", {"kernels": [1]}),
        ("spectokenizer", {"channels": [10**9]}),
    ],
)  # fmt: skip
def test_networks_that_cannot_be_are_refused_at_once(system: str, model: dict[str, Any]) -> None:
    recipe = Recipe.of({"corpus": ["."], "system": system, "model": model})
    began = time.process_time()
    with pytest.raises(NeucodecError) as refused:
        system_of(recipe)
    assert "\n" not in str(refused.value)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "text", ["codec = 1", "codec = 'x'\ncorpus = 3\nheld_out = ''", "x = " + "[" * 10**5, "\0"]
)
def test_recipes_of_entropy_models_that_make_no_sense(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(NeucodecError, match=r"r\.toml: "):
        EntropyRecipe.read(tmp_path / "r.toml")


def test_an_entropy_model_has_bounds_as_well() -> None:
    recipe = EntropyRecipe("neu2-44khz", ["."], ".", model={"layers": 10**9})
    with pytest.raises(NeucodecError, match=r"\[model\] does not fit: layers is to be a whole"):
        recipe.config(find_card("neu2-44khz"))
