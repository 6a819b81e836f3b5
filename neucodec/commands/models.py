"""Define ``neucodec models``: the codecs that there are, and their weights on this machine."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from neucodec.coding.default_model import DEFAULT_MODEL
from neucodec.models import (
    Card,
    WeightsEntry,
    cards,
    entropy_cards,
    find_card,
    weights_store,
)
from neucodec.terminal.console import WARNINGS, Console, is_expected, shown
from neucodec.terminal.signals import interruptible
from neucodec.terminal.standard_streams import tell

from .codec_loader import Downloads
from .model_table import full_table, short_table
from .options import verbosity_options
from .parameter_types import File, Weights

EPILOG = """
\b
Examples:
  neucodec models                                  all there are
  neucodec models pull dac-44khz encodec-24khz     fetch, to be without a network later
  neucodec models add dac-44khz --from weights.pth bring a file by hand
  neucodec models verify                           check everything that is here
  neucodec models check                            do entropy models compute here what they must?

Weights come from where the model's authors have published them, under the licence that is
shown. Those on the Hugging Face Hub go to its own cache (HF_HOME), others to NEUCODEC_CACHE.
NEUCODEC_OFFLINE=1 or HF_HUB_OFFLINE=1 forbids downloads.
"""


@click.group(invoke_without_command=True, epilog=EPILOG)
@click.pass_context
def models(ctx: click.Context) -> None:
    """Show the models: what there is, and what is here.

    Without a subcommand, list them.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_models)


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option(
    "-l", "--long", "in_full", is_flag=True,
    help="Channels, sizes, licences of weights and titles, too, in wide lines.",
)  # fmt: skip
def list_models(as_json: bool = False, in_full: bool = False) -> None:
    """List every model, the default first: rates, bitrates, whether it is here, what it is for.

    Bitrates are nominal and per channel; a stereo file takes twice as much with a mono model.
    """
    default = find_card(DEFAULT_MODEL)
    others = sorted(cards().values(), key=lambda card: not card.embedded)
    described = [_describe(card) for card in (default, *(c for c in others if c != default))]
    if as_json:
        for entry in described:
            tell(json.dumps(entry))
        return
    for line in full_table(described) if in_full else short_table(described):
        tell(line)
    if not in_full and sys.stdout.isatty():
        tell("* is taken unless -m names another. FRAMES are of codes, per second; KBPS is per")
        tell("  channel. neucodec models list -l has licences and sizes.")


@models.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, type=Weights())
@verbosity_options
def pull(names: tuple[WeightsEntry, ...], quiet: int, verbose: int) -> None:
    """Fetch the weights of models that are not here yet, and check them."""
    console = Console(verbose - quiet)

    def fetch(card: WeightsEntry) -> None:
        here = weights_store.find(card)
        found = here or weights_store.fetch(card, monitor=Downloads(console))
        weights_store.check(found)
        size = f"{found.path.stat().st_size / 1e6:.1f} MB"
        state = "is here already" if here else "fetched and checked"
        console.report(f"{card.name} {state}: {size}, {shown(str(found.path))}")

    _each(names, fetch, console)


@models.command()
@click.argument("names", metavar="[NAME...]", nargs=-1, type=Weights())
@verbosity_options
def verify(names: tuple[WeightsEntry, ...], quiet: int, verbose: int) -> None:
    """Check the weights that are here against their SHA-256; without names, all of them.

    Where nobody has published one, it is that which the file had when it was first used.
    """
    console = Console(verbose - quiet)

    def check(card: WeightsEntry) -> None:
        sha256 = weights_store.check(_found(card))
        if console.verbosity > WARNINGS:
            tell(f"{card.name}: intact, SHA-256 {sha256}")

    _each(names or filter(weights_store.find, _all()), check, console)


@models.command("check")
@click.argument("names", metavar="[NAME...]", nargs=-1, type=Weights())
@verbosity_options
def check_models(names: tuple[WeightsEntry, ...], quiet: int, verbose: int) -> None:
    """Print what entropy models compute here, which must be the same on every machine.

    It is a SHA-256 of their integer frequencies for fixed codes, after the model's name and
    fingerprint. NAMEs are of entropy models or their codecs; without, all that are here.
    """
    console = Console(verbose - quiet)

    def check(card: WeightsEntry) -> None:
        from neucodec.models import digest, fetch_entropy_model, load_entropy_model

        codec = card if isinstance(card, Card) else _codec_of(card)
        if codec.entropy is None:
            raise click.ClickException(f"{codec.name} has no entropy model")
        _found(codec.entropy)
        model = load_entropy_model(codec, fetch_entropy_model(codec, offline="models check"))
        tell(f"{model.name} {model.fingerprint.hex()} {digest(model)}")

    _each(names or filter(weights_store.find, entropy_cards().values()), check, console)


@models.command("rm")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, type=Weights())
@verbosity_options
def remove(names: tuple[WeightsEntry, ...], quiet: int, verbose: int) -> None:
    """Remove the downloaded weights of models."""
    console = Console(verbose - quiet)

    def remove(card: WeightsEntry) -> None:
        for path in weights_store.remove(card):
            console.report(f"{card.name}: removed {shown(str(path))}")

    _each(names, remove, console)


@models.command()
@click.argument("name", type=Weights())
def path(name: WeightsEntry) -> None:
    """Print where the weights of a model are."""
    tell(os.fsencode(_found(name).path))


@models.command()
@click.argument("name", type=Weights())
@click.option(
    "--from", "file", metavar="FILE", required=True,
    type=File(),
    help="A file as its authors have published it, from wherever you have it.",
)  # fmt: skip
@verbosity_options
def add(name: WeightsEntry, file: Path, quiet: int, verbose: int) -> None:
    """Bring the weights of a model by hand: check the file, copy it into the cache."""

    def load(path: Path) -> None:
        from neucodec.models import build_codec
        from neucodec.models import build_entropy_model as build_entropy

        if isinstance(name, Card):
            build_codec(name, path, "cpu")
        else:
            build_entropy(_codec_of(name), path)

    found = weights_store.add(name, file, load)
    Console(verbose - quiet).report(f"{name.name} is here now: {shown(str(found.path))}")


def _all() -> Iterable[WeightsEntry]:
    """Return everything that has weights."""
    yield from cards().values()
    yield from entropy_cards().values()


def _codec_of(entropy: WeightsEntry) -> Card:
    """Return the codec whose codes an entropy model foresees."""
    return next(
        card for card in cards().values() if card.entropy and card.entropy.name == entropy.name
    )


def _each(
    names: Iterable[WeightsEntry], work: Callable[[WeightsEntry], None], console: Console
) -> None:
    """Do the work for every one, whatever becomes of the others; exit with 1 if any failed."""
    failed = False
    for card in names:
        try:
            with interruptible():
                work(card)
        except Exception as error:
            if not is_expected(error):
                raise
            console.fail(None, error)
            failed = True
    if failed:
        click.get_current_context().exit(1)


def _found(card: WeightsEntry) -> weights_store.WeightsFile:
    if found := weights_store.find(card):
        return found
    raise click.ClickException(f"{card.name} is not here; neucodec models pull fetches it")


def _describe(card: Card) -> dict[str, Any]:
    """Return what a script may want to know; sizes in bytes, rates in Hz and bit/s."""
    found = weights_store.find(card)
    return {
        "name": card.name,
        "title": card.title,
        "best_for": card.best_for,
        "default": card.name == DEFAULT_MODEL,
        "family": card.family,
        "sample_rate": card.sample_rate,
        "frame_rate": round(card.sample_rate / card.hop, 3),
        "channels": card.channels,
        "codebooks": card.codebooks,
        "codebook_size": card.codebook_size,
        "default_codebooks": card.default_codebooks,
        "bitrates": card.bitrates(card.channels),
        "parameters": card.parameters,
        "weights_bytes": found.path.stat().st_size if found else None,
        "license_code": card.license_code,
        "license_weights": card.license_weights,
        "paper": card.paper,
        "entropy_model": card.entropy.name if card.entropy else None,
        "embedded": card.embedded,
        "here": found is not None,
        "path": str(found.path) if found else None,
        "sources": [{"url": s.where, "sha256": s.sha256 or None} for s in card.sources],
    }
