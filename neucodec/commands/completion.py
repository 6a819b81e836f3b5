"""Define ``neucodec completion``: the script that teaches a shell to complete our command line."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from neucodec.terminal.standard_streams import tell

EPILOG = """
\b
To have it in every new shell:
  bash   echo 'eval "$(neucodec completion bash)"' >> ~/.bashrc
  zsh    echo 'eval "$(neucodec completion zsh)"' >> ~/.zshrc
  fish   neucodec completion fish > ~/.config/fish/completions/neucodec.fish
"""


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script for completion with the Tab key."""
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, "neucodec", "_NEUCODEC_COMPLETE")
    # Bash's own method first runs a bash to ask for its version; there may be none here.
    tell(ShellComplete.source(script))
