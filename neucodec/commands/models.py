"""``neucodec models``: the codecs that there are."""

from __future__ import annotations

import json
from typing import Any

import click

from ..models.card import Card, cards
from ..models.registry import is_here, weights_size


@click.group(invoke_without_command=True)
@click.pass_context
def models(ctx: click.Context) -> None:
    """The models: what there is, and what is here. Without a subcommand, list them."""
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
            click.echo(json.dumps(entry))
        return
    rows: list[tuple[str, ...]] = [
        ("NAME", "RATE", "CHANNELS", "KBPS", "SIZE", "LICENCE", "HERE", "")
    ]
    rows += [_row(entry) for entry in described]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


def _describe(card: Card) -> dict[str, Any]:
    """What a script may want to know; sizes in bytes, rates in Hz and bit/s."""
    here = is_here(card)
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
        "weights_bytes": weights_size(card),
        "license_code": card.license_code,
        "license_weights": card.license_weights,
        "paper": card.paper,
        "embedded": card.embedded,
        "here": here,
    }


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    rates = [rate / 1000 for rate in entry["bitrates"]]
    size = entry["weights_bytes"]
    here = "built in" if entry["embedded"] else "yes"
    return (
        entry["name"],
        f"{entry['sample_rate']} Hz",
        {1: "mono", 2: "stereo"}.get(entry["channels"], str(entry["channels"])),
        f"{rates[0]:.3g} to {rates[-1]:.3g}" if len(rates) > 1 else f"{rates[0]:.3g}",
        f"{size / 1e6:.1f} MB" if size else f"{entry['parameters'] / 1e6:.1f} M parameters",
        entry["license_weights"],
        here if entry["here"] else "no",
        entry["title"],
    )
