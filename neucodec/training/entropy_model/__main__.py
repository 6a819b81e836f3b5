"""Train an entropy model: `python -m neucodec.training.entropy_model RECIPE.toml FOLDER`."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from .recipe import LmRecipe
from .trainer import LmTrainer


def main() -> None:
    """Parse the command line; code audio, or train on codes."""
    parser = argparse.ArgumentParser(
        prog="python -m neucodec.training.entropy_model", description=__doc__
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("folder", type=Path, help="where codes, checkpoints and the log go")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads")
    parser.add_argument("--codes", action="store_true", help="only code the audio")
    parser.add_argument("--train", action="store_true", help="only train, on codes as they come")
    parser.add_argument("--start", type=Path, help="averaged weights of another run to begin with")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    trainer = LmTrainer(LmRecipe.read(args.recipe), args.folder)
    if not args.train:
        trainer.make_codes()
    if args.codes:
        return
    if (args.folder / "state.pt").exists():
        trainer.resume()
    elif args.start:
        trainer.start_from(args.start)
    trainer.run()


if __name__ == "__main__":
    main()
