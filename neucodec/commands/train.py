"""``neucodec train``: a codec from a recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from neucodec.terminal.console import WARNINGS, Console, shown

from .options import COUNT, File, Folder, verbosity_options

EPILOG = """
\b
Examples:
  neucodec train recipes/neu2-44khz.toml               into runs/neu2-44khz
  neucodec train my.toml -o runs/second --seed 2
  torchrun --nproc-per-node 4 -m neucodec train my.toml -o runs/four

Run again with the same folder, it goes on where it was saved last, to results identical to those of
a run in one piece. An interrupt saves and ends it after the step at hand. docs/training.md tells
what a recipe holds; neucodec export makes a codec of a run.
"""


@click.command(epilog=EPILOG)
@click.argument("recipe", type=File())
@click.option(
    "-o",
    "--output",
    metavar="RUN",
    type=Folder(file_okay=False, path_type=Path),
    help="Folder of the run: state, averaged weights, log. Else runs/ and the recipe's name.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="In place of the recipe's.")
@click.option("--steps", type=COUNT, help="In place of the recipe's.")
@click.option("--threads", type=COUNT, help="CPU threads; else as many as there are.")
@click.option("-d", "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1.")
@verbosity_options
def train(
    recipe: Path,
    output: Path | None,
    seed: int | None,
    steps: int | None,
    threads: int | None,
    device: str,
    quiet: int,
    verbose: int,
) -> None:
    """Train a codec, or an entropy model, as a recipe says, or go on with a run."""
    import torch

    from neucodec.training.distributed import processes, rank
    from neucodec.training.recipe import Recipe, is_for_entropy
    from neucodec.training.trainer import STATE, Trainer

    console = Console(verbose - quiet)
    if threads:
        torch.set_num_threads(threads)
    folder = output or Path("runs") / recipe.stem
    if is_for_entropy(recipe):
        _train_entropy(recipe, folder, seed, steps)
        return
    plan = Recipe.read(recipe)
    plan = replace(
        plan,
        seed=plan.seed if seed is None else seed,
        steps=plan.steps if steps is None else steps,
    )
    with processes():
        trainer = Trainer(plan, folder, device)
        if (folder / STATE).is_file():
            trainer.resume()
        if rank() == 0:
            where = f"{shown(str(folder))} ({trainer.device})"
            hours = trainer.corpus.seconds / 3600
            console.report(f"{where}: step {trainer.step} of {plan.steps}, {hours:.1f} h of audio")
        trainer.run(quiet=console.verbosity <= WARNINGS or rank() > 0)
        if rank() == 0:
            console.report(f"{where}: step {trainer.step}, saved")


def _train_entropy(recipe: Path, folder: Path, seed: int | None, steps: int | None) -> None:
    """Code the corpus, as far as that is not done, and train an entropy model on the codes."""
    from neucodec.training.entropy_model.recipe import LmRecipe
    from neucodec.training.entropy_model.trainer import LmTrainer
    from neucodec.training.trainer import STATE

    plan = LmRecipe.read(recipe)
    plan.seed = plan.seed if seed is None else seed
    plan.steps = plan.steps if steps is None else steps
    trainer = LmTrainer(plan, folder)
    trainer.make_codes()
    if (folder / STATE).is_file():
        trainer.resume()
    trainer.run()
