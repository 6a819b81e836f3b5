"""Export an entropy model's run: the integers that code files, and what a card says of them."""

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
from neucodec.training.checkpoint import AVERAGE, STATE

from .recipe import EntropyRecipe

_ENTRY = """\
[entropy]
name = "{name}"
license_code = "MIT"
license_weights = "{licence}"
weights = "{name}.safetensors"
sha256 = "{sha256}"
embedded = {embedded}
"""


def is_entropy_run(run: Path) -> bool:
    """Return whether a run's folder is that of an entropy model, which its weights tell."""
    path = run / AVERAGE
    if not path.is_file():
        return False
    with safe_open(path, "pt") as file:
        return "position" in file.keys()  # noqa: SIM118 (it is no mapping)


def export_entropy(
    run: Path, name: str, folder: Path, *, licence: str, embed: bool, force: bool
) -> str:
    """Write the integer model to ``NAME.safetensors`` in a folder.

    Returns the table ``[entropy]`` for the card of its codec, as text. ``embed`` is for the
    package's own models, whose weights go to a folder of their own. Raises NeucodecError where the
    weights make no integer model.
    """
    state = torch.load(run / STATE, weights_only=True, map_location="cpu")
    recipe = EntropyRecipe(**state["recipe"])
    config = recipe.config(resolve(recipe.codec))
    try:
        data = serialise(quantise(load_file(run / AVERAGE), config))
    except (ValueError, KeyError) as error:
        raise NeucodecError(f"{run}: weights that make no integer model: {error}") from None
    target = (folder / "weights" if embed else folder) / f"{name}.safetensors"
    with output_file(target, force, sources=[run / AVERAGE]) as file:
        file.write(data)
    return _ENTRY.format(
        name=name,
        licence=licence or "your own",
        sha256=hashlib.sha256(data).hexdigest(),
        embedded=str(embed).lower(),
    )
