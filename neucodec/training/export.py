"""Export a run as a codec that ``-m`` takes: a card, and float16 weights beside it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from neucodec.errors import NeucodecError
from neucodec.files.outfile import output_file
from neucodec.models.catalogue.card import Card
from neucodec.models.catalogue.card_text import card_text
from neucodec.models.errors import ModelError

from .checkpoint import AVERAGE, RECIPE, STATE
from .codecs import system_of
from .recipe import Recipe


def recipe_of(run: Path) -> Recipe:
    """Return the recipe that a run's folder was made by. Raises NeucodecError if there is none."""
    if (run / RECIPE).is_file():
        return Recipe.of(json.loads((run / RECIPE).read_text(encoding="utf-8")))
    if (run / STATE).is_file():
        return Recipe.of(torch.load(run / STATE, weights_only=True, map_location="cpu")["recipe"])
    raise NeucodecError(f"{run} holds no run: neither {RECIPE} nor {STATE} is there")


def export(
    run: Path,
    name: str,
    folder: Path,
    *,
    recipe: Recipe | None = None,
    title: str = "",
    licence: str = "",
    embed: bool = False,
    force: bool = False,
) -> Path:
    """Write ``NAME.safetensors`` and ``NAME.toml`` into a folder; returns the card's path.

    ``embed`` is for the package's own models: cards and weights go to folders of their own.
    """
    recipe = recipe or recipe_of(run)
    system = system_of(recipe)
    path = run / AVERAGE
    if not path.is_file():
        raise NeucodecError(f"{path} is not there: the run has saved nothing yet")
    try:
        system.network.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise NeucodecError(f"{path} is of another recipe: {str(error).splitlines()[-1]}") from None
    tensors = system.network.state_dict()
    state = {k: v.to(torch.float16).contiguous() for k, v in tensors.items()}
    if not all(bool(v.isfinite().all()) for v in state.values()):
        raise NeucodecError(f"{path} holds weights that float16 cannot")
    weights = save(state)
    card = system.card(name, title or f"{recipe.system} of one's own, {recipe.sample_rate} Hz")
    card = replace(
        card,
        weights=f"{name}.safetensors",
        sha256=hashlib.sha256(weights).hexdigest(),
        embedded=embed,
        license_weights=licence or card.license_weights,
    )
    text = card_text(card)
    try:
        Card.parse(text, name)
    except ModelError as error:
        raise NeucodecError(str(error)) from None
    cards = folder / "cards" if embed else folder
    place = (folder / "weights" if embed else folder) / card.weights
    with output_file(place, force, sources=[path]) as file:
        file.write(weights)
    target = cards / f"{name}.toml"
    with output_file(target, force, sources=[path]) as file:
        file.write(text.encode())
    return target
