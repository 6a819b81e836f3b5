"""Define ``neucodec train``: train a codec, or an entropy model, by a recipe."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neucodec.terminal.console import WARNINGS, Console, shown

from .options import verbosity_options
from .parameter_types import COUNT, File, Folder

if TYPE_CHECKING:
    from neucodec.training.recipe import Recipe

EPILOG = """
\b
Examples:
  neucodec train recipes/neu2-44khz.toml               into runs/neu2-44khz
  neucodec train my.toml -o runs/second --seed 2
  neucodec train recipes/neu2-44khz-lm.toml --codes    the codes alone; train on them later
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
@click.option(
    "--start", type=File(), metavar="WEIGHTS",
    help="Averaged weights of another run to start from, in place of the recipe's.",
)  # fmt: skip
@click.option(
    "--codes", is_flag=True, help="Of an entropy model: only code the corpus, and do not train."
)
@click.option("--threads", type=COUNT, help="CPU threads; else as many as there are.")
@click.option("-d", "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1.")
@verbosity_options
def train(
    recipe: Path,
    output: Path | None,
    seed: int | None,
    steps: int | None,
    start: Path | None,
    codes: bool,
    threads: int | None,
    device: str,
    quiet: int,
    verbose: int,
) -> None:
    """Train a codec, or an entropy model, as a recipe says, or go on with a run."""
    import torch

    from neucodec.training.recipe import Recipe, is_for_entropy

    console = Console(verbose - quiet)
    if threads:
        torch.set_num_threads(threads)
    folder = output or Path("runs") / recipe.stem
    given = {"seed": seed, "steps": steps, "start": str(start) if start else None}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if is_for_entropy(recipe):
        _train_entropy(recipe, folder, changes, only_codes=codes)
        return
    if codes:
        raise click.UsageError(
            "--codes is for entropy models, whose recipes name a codec; a codec learns from audio"
        )
    _train_codec(replace(Recipe.read(recipe), **changes), folder, device, console)


def _train_codec(recipe: Recipe, folder: Path, device: str, console: Console) -> None:
    """Train a codec in a run's folder, from where it was saved last."""
    from neucodec.training.checkpoint import STATE
    from neucodec.training.distributed import processes, rank
    from neucodec.training.trainer import Trainer

    with processes():
        trainer = Trainer(recipe, folder, device)
        if (folder / STATE).is_file():
            trainer.resume()
        if rank() == 0:
            where = f"{shown(str(folder))} ({trainer.device})"
            at, hours = f"step {trainer.step} of {recipe.steps}", trainer.corpus.seconds / 3600
            console.report(f"{where}: {at}, {hours:.1f} h of audio")
        quiet = console.verbosity <= WARNINGS or rank() > 0
        with ExitStack() as shown_bar:
            progress = None
            if not quiet:
                bar = console.steps("training", trainer.step, recipe.steps)
                progress = shown_bar.enter_context(bar)
            trainer.run(quiet=quiet, progress=progress)
        if rank() == 0:
            console.report(f"{where}: step {trainer.step}, saved")


def _train_entropy(
    recipe: Path, folder: Path, changes: dict[str, Any], *, only_codes: bool
) -> None:
    """Code the corpus, as far as that is not done, and train an entropy model on the codes.

    ``changes`` are values in place of the recipe's, by name.
    """
    from neucodec.training.checkpoint import STATE
    from neucodec.training.entropy_model.recipe import EntropyRecipe
    from neucodec.training.entropy_model.trainer import EntropyTrainer

    trainer = EntropyTrainer(replace(EntropyRecipe.read(recipe), **changes), folder)
    trainer.make_codes()
    if only_codes:
        return
    if (folder / STATE).is_file():
        trainer.resume()
    trainer.run()
