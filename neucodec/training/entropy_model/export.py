"""From an entropy model's run to the integers that code files, and what a card says of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from neucodec.errors import NeucodecError
from neucodec.files.outfile import output_file
from neucodec.models.lm.integer import serialise
from neucodec.models.lm.quantise import quantise
from neucodec.models.load import resolve
from neucodec.training.trainer import AVERAGE, STATE

from .recipe import LmRecipe

ENTRY = """\
[entropy]
name = "{name}"
license_code = "MIT"
license_weights = "{licence}"
weights = "{name}.safetensors"
sha256 = "{sha256}"
embedded = {embedded}
"""


def is_entropy_run(run: Path) -> bool:
    """Whether a run's folder is that of an entropy model, told by its weights."""
    path = run / AVERAGE
    if not path.is_file():
        return False
    with safe_open(path, "pt") as file:
        return "position" in file.keys()  # noqa: SIM118 (it is no mapping)


def export_entropy(
    run: Path, name: str, folder: Path, *, licence: str, embed: bool, force: bool
) -> str:
    """Write ``NAME.safetensors`` into a folder; returns the table for the codec's card."""
    state = torch.load(run / STATE, weights_only=True, map_location="cpu")
    recipe = LmRecipe(**state["recipe"])
    config = recipe.config(resolve(recipe.codec))
    try:
        data = serialise(quantise(load_file(run / AVERAGE), config))
    except (ValueError, KeyError) as error:
        raise NeucodecError(f"{run}: weights that make no integer model: {error}") from None
    target = (folder / "weights" if embed else folder) / f"{name}.safetensors"
    with output_file(target, force, sources=[run / AVERAGE]) as file:
        file.write(data)
    return ENTRY.format(
        name=name,
        licence=licence or "your own",
        sha256=hashlib.sha256(data).hexdigest(),
        embedded=str(embed).lower(),
    )
