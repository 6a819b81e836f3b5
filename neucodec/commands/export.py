"""Define ``neucodec export``: make a codec of a training run, or graphs for other runtimes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neucodec.coding.default_model import DEFAULT_MODEL
from neucodec.errors import NeucodecError
from neucodec.files.outfile import output_file
from neucodec.terminal.console import Console, shown
from neucodec.terminal.standard_streams import tell

from .codec_loader import OFFLINE, Codecs, Downloads
from .options import offline_option, verbosity_options
from .parameter_types import File, Folder, Model

if TYPE_CHECKING:
    from neucodec.models import Card


EPILOG = """
\b
Examples:
  neucodec export runs/voice voice-16khz          voice-16khz.safetensors and .toml, here
  neucodec encode -m voice-16khz.toml talk.wav
  neucodec export --onnx -o graphs/               encoder.onnx and decoder.onnx in there
  neucodec export --portable neu-16khz            neu-16khz.ncfw, for the decoder in C
"""


@click.command(epilog=EPILOG)
@click.argument("run", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.argument("name", required=False)
@click.option(
    "--onnx",
    "graphs",
    type=Model(),
    is_flag=False,
    flag_value=DEFAULT_MODEL,
    metavar="[MODEL]",
    help="Not a run but a model's encoder (audio to codes) and decoder (codes to audio) as ONNX "
    f"graphs; {DEFAULT_MODEL} unless one of its family is named. docs/use.md tells how to run "
    "them.",
)
@click.option(
    "--portable",
    type=Model(),
    is_flag=False,
    flag_value=DEFAULT_MODEL,
    metavar="[MODEL]",
    help="Not a run but a model's decoder as one file, MODEL.ncfw, for the portable decoder in C; "
    f"{DEFAULT_MODEL} unless one of its family is named. docs/portable.md tells how to build it.",
)
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    default=".",
    type=Folder(file_okay=False, path_type=Path),
    help="Where card and weights, graphs or portable file go, made if need be; else here.",
)
@click.option(
    "--recipe",
    type=File(),
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
@offline_option
@verbosity_options
def export(
    run: Path | None,
    name: str | None,
    graphs: Card | None,
    portable: Card | None,
    output: Path,
    recipe: Path | None,
    title: str,
    licence: str,
    embed: bool,
    force: bool,
    offline: bool,
    quiet: int,
    verbose: int,
) -> None:
    """Make a codec of a run's averaged weights: a card, and float16 safetensors beside it.

    encode -m and decode -m take the path of either. Of an entropy model's run it makes the integers
    that code files, and prints what the codec's card is to say of them.
    """
    console = Console(verbose - quiet)
    if (graphs or portable) and (run or name):
        option = "--onnx" if graphs else "--portable"
        raise click.UsageError(f"{option} takes a model's name, not a run; give one of the two")
    if graphs is not None:
        _export_graphs(graphs, output, force, Codecs("cpu", offline), console)
        return
    if portable is not None:
        _export_portable(portable, output, force, OFFLINE if offline else "", console)
        return
    if run is None or name is None:
        raise click.UsageError("give a run's folder and a name for the model, --onnx or --portable")
    if not run.is_dir():
        raise click.UsageError(f"{shown(str(run))}: there is no such folder of a run")
    _make(output)
    from neucodec.training.entropy_model.export import export_entropy, is_entropy_run

    if is_entropy_run(run):
        entry = export_entropy(run, name, output, licence=licence, embed=embed, force=force)
        console.report(f"{name}: {name}.safetensors; this goes onto the card of its codec:")
        tell(entry, newline=False)
        return
    from neucodec.training.export import export as write
    from neucodec.training.recipe import Recipe

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
    console.report(f"{name}: {shown(str(card))}, and the weights that it names")


def _make(folder: Path) -> None:
    """Create a folder where it is not there; NeucodecError where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NeucodecError(f"{shown(str(folder))} cannot be made: {error.strerror}") from None


def _export_graphs(card: Card, folder: Path, force: bool, codecs: Codecs, console: Console) -> None:
    """Write a codec's encoder and decoder as ONNX graphs into a folder.

    Raises NeucodecError where one is there already, unless ``force``.
    """
    from neucodec.models import DECODER, ENCODER, export_onnx

    for name in (ENCODER, DECODER):
        if (folder / name).exists() and not force:
            raise NeucodecError(f"{shown(str(folder / name))} exists; -f (--force) overwrites it")
    _make(folder)
    # torch.onnx warns of optional packages that nothing here needs.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    made = export_onnx(codecs.get(card, console), folder)
    console.report(f"{card.name}: {' and '.join(shown(str(path)) for path in made)}")


def _export_portable(card: Card, folder: Path, force: bool, offline: str, console: Console) -> None:
    """Write a codec's file of weights for the portable decoder into a folder.

    Raises NeucodecError where it is there already, unless ``force``, and ModelError for a codec
    that the portable decoder lacks.
    """
    from neucodec.models import export_portable

    card, data = export_portable(card, offline=offline, monitor=Downloads(console))
    _make(folder)
    path = folder / f"{card.name}.ncfw"
    with output_file(path, force) as file:
        file.write(data)
    console.report(f"{card.name}: {shown(str(path))}, for the portable decoder")
