"""Group the subcommands as the command ``neucodec``."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from neucodec.commands.compare import compare
from neucodec.commands.completion import completion
from neucodec.commands.convert import convert
from neucodec.commands.decode import decode
from neucodec.commands.detokenize import detokenize
from neucodec.commands.encode import encode
from neucodec.commands.evaluate import evaluate
from neucodec.commands.export import export
from neucodec.commands.info import info
from neucodec.commands.man import man
from neucodec.commands.models import models
from neucodec.commands.page import page
from neucodec.commands.play import play
from neucodec.commands.tokens import tokens
from neucodec.commands.train import train
from neucodec.commands.verify import verify
from neucodec.terminal.console import shown
from neucodec.terminal.signals import PIPE_GONE, Ended

from .version import __version__

EXAMPLES = """
\b
Examples:
  neucodec encode song.wav                     song.ncf, beside it
  neucodec encode -b 6kbps talks/ -o small/    a whole tree
  neucodec decode song.ncf -o song.flac        and back
  neucodec info song.ncf                       what is in it
"""


class Group(click.Group):
    """Lists commands in the order in which one meets them, and ends quietly where their reader
    goes.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, as they were added."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the one that was meant."""
        near = get_close_matches(args[0], list(self.commands), n=1) if args else []
        if near and args[0] not in self.commands and not args[0].startswith("-"):
            ctx.fail(f"no command is called '{shown(args[0])}': did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command; click itself would make a broken pipe a common failure."""
        try:
            Path.cwd()
        except FileNotFoundError:  # in which libraries that are loaded later end the process
            raise click.ClickException(
                "the working directory is gone: change to one that is there, as with cd"
            ) from None
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise Ended(PIPE_GONE) from None


@click.group(
    cls=Group,
    epilog=EXAMPLES,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", message="neucodec %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Compress audio with neural codecs, and decompress it.

    NEUCODEC_DEBUG=1 in the environment shows where errors come from.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


for command in (
    encode, decode, play, page, info, verify, convert, tokens, detokenize, models, evaluate,
    compare, train, export, completion, man,
):  # fmt: skip
    cli.add_command(command)
