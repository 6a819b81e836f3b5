"""`python -m neucodec.training.export RUN NAME FOLDER`: a run's weights and card for `-m`."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ..models.neu import Neu, NeuConfig
from .recipe import Recipe

CARD = """\
name = "{name}"
family = "neu"
title = "{title}"
sample_rate = {recipe.sample_rate}
channels = 1
hop = {config.hop}
codebooks = {config.codebooks}
codebook_size = {config.codebook_size}
default_codebooks = {default}
chunk_frames = {recipe.frames}
chunk_stride = {stride}
chunk_context = {context}
parameters = {parameters}
license_code = "MIT"
license_weights = "MIT"
weights = "{name}.safetensors"
sha256 = "{sha256}"
embedded = true

[config]
{arguments}
"""


def export(run: Path, recipe: Recipe, name: str, title: str, folder: Path) -> Path:
    """Write ``weights/NAME.safetensors`` (float16) and ``cards/NAME.toml``; returns the card."""
    network = Neu(NeuConfig(**recipe.model))
    network.load_state_dict(load_file(run / "average.safetensors"))
    state = {k: v.to(torch.float16).contiguous() for k, v in network.state_dict().items()}
    if not all(bool(v.isfinite().all()) for v in state.values()):
        raise ValueError(f"{run}: weights that float16 cannot hold")
    weights = folder / "weights" / f"{name}.safetensors"
    save_file(state, weights)
    config = network.config
    card = folder / "cards" / f"{name}.toml"
    card.write_text(
        CARD.format(
            name=name,
            title=title,
            recipe=recipe,
            config=config,
            default=min(9, config.codebooks),
            stride=(recipe.frames - config.fade_frames) * config.hop,
            context=(config.window - config.hop) // 2,
            parameters=sum(p.numel() for p in network.parameters())
            + sum(b.entries.numel() for b in network.quantiser.stages()),
            sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
            arguments="\n".join(f"{k} = {v}" for k, v in asdict(config).items()),
        ),
        encoding="utf-8",
    )
    return card


def main() -> None:
    """Parse the command line and export."""
    parser = argparse.ArgumentParser(prog="python -m neucodec.training.export", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("folder", type=Path, help="with the sub-folders cards and weights")
    parser.add_argument("--title", default="Neu, general audio, full band")
    args = parser.parse_args()
    print(export(args.run, Recipe.read(args.recipe), args.name, args.title, args.folder))


if __name__ == "__main__":
    main()
