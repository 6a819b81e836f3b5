"""Define ``neucodec man``: the manual page."""

from __future__ import annotations

from typing import cast

import click

from neucodec.terminal.standard_streams import tell

EPILOG = """
\b
Examples:
  neucodec man | man -l -
  neucodec man > ~/.local/share/man/man1/neucodec.1
"""


@click.command(epilog=EPILOG)
@click.pass_context
def man(ctx: click.Context) -> None:
    """Print the manual page, for man to show or to keep."""
    from .manual import manual_page

    tell(manual_page(cast(click.Group, ctx.find_root().command)), newline=False)
