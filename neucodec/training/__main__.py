"""`python -m neucodec.training RECIPE.toml FOLDER`: train, or resume if FOLDER holds a run."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from .recipe import Recipe
from .trainer import Trainer


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(prog="python -m neucodec.training", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("folder", type=Path, help="where checkpoints and the log go")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    trainer = Trainer(Recipe.read(args.recipe), args.folder)
    if (args.folder / "state.pt").exists():
        trainer.resume()
    trainer.run()


if __name__ == "__main__":
    main()
