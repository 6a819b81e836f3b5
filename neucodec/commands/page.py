"""Define ``neucodec page``: make one HTML file that plays ``.ncf`` files in any browser."""

from __future__ import annotations

from pathlib import Path

import click

from neucodec.files.outfile import output_file
from neucodec.terminal.console import Console, counted, shown

from .codec_loader import OFFLINE, Downloads
from .options import offline_option, verbosity_options
from .parameter_types import File

EPILOG = """
\b
Examples:
  neucodec page song.ncf -o song.html
  neucodec page talks/*.ncf -o talks.html --title "Talks of 2026"
"""


@click.command(epilog=EPILOG)
@click.argument("inputs", nargs=-1, required=True, type=File(), metavar="INPUT...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, allow_dash=True),
    metavar="PAGE",
    help="The HTML file to write; - is standard output.",
)
@click.option("--title", default="", help="The page's title; else the first file's name.")
@click.option("-f", "--force", is_flag=True, help="Overwrite a file that exists.")
@offline_option
@verbosity_options
def page(
    inputs: tuple[Path, ...],
    output: str,
    title: str,
    force: bool,
    offline: bool,
    quiet: int,
    verbose: int,
) -> None:
    """Make one HTML file that plays .ncf files in any browser, from disk or from anywhere.

    It holds the files, the weights of their codec (23 MB for neu2-44khz) and a decoder, needs no
    network and no other program, and plays other .ncf files of the same codec that are dropped
    there.
    """
    from neucodec.player.player_page import player_page

    console = Console(verbose - quiet)
    named = [(path.name, path.read_bytes()) for path in inputs]
    text = player_page(
        title or inputs[0].stem,
        named,
        offline=OFFLINE if offline else "",
        monitor=Downloads(console),
    )
    with output_file(output, force, sources=inputs) as out:
        out.write(text.encode())
    console.report(f"{shown(output)}: plays {counted(len(named), 'file')}")
