"""``neucodec export``: a codec from a training run."""

from __future__ import annotations

from pathlib import Path

import click

from ..console import Console, shown
from .options import verbosity_options

EPILOG = """
\b
Examples:
  neucodec export runs/voice voice-16khz          voice-16khz.safetensors and .toml, here
  neucodec encode -m voice-16khz.toml talk.wav
"""


@click.command(epilog=EPILOG)
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("name")
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    default=".",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where card and weights go; else here.",
)
@click.option(
    "--recipe",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The run's recipe, if it is not the one that its folder keeps.",
)
@click.option("--title", default="", help="What lists of models say of it.")
@click.option("--license", "licence", default="", help="Of the weights; else 'your own'.")
@click.option(
    "--embed",
    is_flag=True,
    help="As a model of the package: into the folders cards and weights of FOLDER.",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite files that exist.")
@verbosity_options
def export(
    run: Path,
    name: str,
    output: Path,
    recipe: Path | None,
    title: str,
    licence: str,
    embed: bool,
    force: bool,
    quiet: int,
    verbose: int,
) -> None:
    """Make a codec of a run's averaged weights: a card, and float16 safetensors beside it.

    encode -m and decode -m take the path of either.
    """
    from ..training.export import export as write
    from ..training.recipe import Recipe

    card = write(
        run,
        name,
        output,
        recipe=Recipe.read(recipe) if recipe else None,
        title=title,
        licence=licence,
        embed=embed,
        force=force,
    )
    Console(verbose - quiet).report(f"{name}: {shown(str(card))}, and the weights that it names")
