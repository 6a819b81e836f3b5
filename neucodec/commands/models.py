"""Define ``neucodec models``: the codecs that there are, and their weights on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from neucodec.models import Card, WeightsEntry, cards, entropy_cards, weights_store
from neucodec.terminal.console import WARNINGS, Console, is_expected, shown
from neucodec.terminal.signals import interruptible
from neucodec.terminal.standard_streams import tell

from .codec_loader import Downloads
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
def list_models(as_json: bool = False) -> None:
    """List every model: sample rate, bitrates, size, licence of the weights, whether it is here.

    Bitrates are nominal and per channel; a stereo file takes twice as much with a mono model.
    """
    described = [_describe(card) for card in cards().values()]
    if as_json:
        for entry in described:
            tell(json.dumps(entry))
        return
    rows: list[tuple[str, ...]] = [
        ("NAME", "RATE", "CHANNELS", "KBPS", "SIZE", "LICENCE", "HERE", "")
    ]
    rows += [_row(entry) for entry in described]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        tell("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


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
        sha256 = weights_store.check(_here(card))
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
        _here(codec.entropy)
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
    tell(os.fsencode(_here(name).path))


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


def _here(card: WeightsEntry) -> weights_store.WeightsFile:
    if found := weights_store.find(card):
        return found
    raise click.ClickException(f"{card.name} is not here; neucodec models pull fetches it")


def _describe(card: Card) -> dict[str, Any]:
    """Return what a script may want to know; sizes in bytes, rates in Hz and bit/s."""
    found = weights_store.find(card)
    return {
        "name": card.name,
        "title": card.title,
        "family": card.family,
        "sample_rate": card.sample_rate,
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


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    rates = [rate / 1000 for rate in entry["bitrates"]]
    size = entry["weights_bytes"]
    here = "built in" if entry["embedded"] else "yes"
    absent = "no" if entry["sources"] or entry["embedded"] else "unpublished"
    return (
        entry["name"],
        f"{entry['sample_rate']} Hz",
        {1: "mono", 2: "stereo"}.get(entry["channels"], str(entry["channels"])),
        f"{rates[0]:.3g} to {rates[-1]:.3g}" if len(rates) > 1 else f"{rates[0]:.3g}",
        f"{size / 1e6:.1f} MB" if size else f"{entry['parameters'] / 1e6:.1f} M parameters",
        entry["license_weights"],
        here if entry["here"] else absent,
        entry["title"],
    )
