"""Make the manual page out of what ``--help`` says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import click

from neucodec.version import __version__

_EXIT = (
    ("0", "All done."),
    ("1", "Something failed; a line on standard error says what, for each file."),
    ("2", "The command line makes no sense."),
    ("130, 141, 143", "Interrupted (Ctrl-C); the reader of standard output has gone; terminated."),
)
_ENVIRONMENT = (
    ("NEUCODEC_CACHE", "The folder for models from other places than the Hugging Face Hub."),
    ("NEUCODEC_OFFLINE", "Set to 1, nothing is fetched; HF_HUB_OFFLINE likewise."),
    ("NEUCODEC_DEBUG", "Set to 1, errors come with their traceback."),
    ("HF_HOME, HF_HUB_CACHE, HF_ENDPOINT", "As the Hub's own library has them."),
)


def manual_page(cli: click.Group) -> str:
    """Return the page neucodec(1) in the macros of man(7)."""
    return "\n".join(_lines(cli)) + "\n"


def _lines(cli: click.Group) -> Iterator[str]:
    # Settings go from a context to those below it. Without them a command would learn, and keep,
    # that its help is asked for by --help alone.
    whole = click.Context(cli, info_name="neucodec", **cli.context_settings)
    yield f'.TH NEUCODEC 1 "" "neucodec {__version__}" "User Commands"'
    yield ".SH NAME"
    yield "neucodec \\- compress audio with neural codecs, and decompress it"
    yield ".SH SYNOPSIS"
    for name in cli.commands:
        yield ".br"
        yield f".B neucodec {_text(name)}"
        yield f'.RI [ options ] " {_text(_arguments(cli.commands[name], whole))}"'
    yield ".SH DESCRIPTION"
    yield from _paragraphs(cli.help or "")
    yield from _paragraphs(cli.epilog or "")
    yield ".SH COMMANDS"
    for name, command in cli.commands.items():
        yield from _command(f"neucodec {name}", command, whole)
    yield ".SH EXIT STATUS"
    yield from _terms(_EXIT)
    yield ".SH ENVIRONMENT"
    yield from _terms(_ENVIRONMENT)
    yield ".SH SEE ALSO"
    yield ".BR ffmpeg (1),"
    yield ".BR flac (1),"
    yield ".BR opusenc (1)"


def _command(path: str, command: click.Command, parent: click.Context) -> Iterator[str]:
    yield f".SS {_text(path)} {_text(_arguments(command, parent))}"
    yield from _paragraphs(command.help or "")
    context = click.Context(command, parent, path)
    records = (p.get_help_record(context) for p in command.params if isinstance(p, click.Option))
    yield from _terms(record for record in records if record)
    yield from _paragraphs(command.epilog or "")
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _command(f"{path} {name}", inner, context)


def _arguments(command: click.Command, parent: click.Context) -> str:
    pieces = command.collect_usage_pieces(click.Context(command, parent))
    return " ".join(piece for piece in pieces if piece != "[OPTIONS]")


def _terms(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, text in pairs:
        yield ".TP"
        yield f".B {_text(term)}"
        yield _text(" ".join(text.split()))


def _paragraphs(help_text: str) -> Iterator[str]:
    """Split a text into paragraphs as click has them: filled, but for those that begin with a
    backspace.
    """
    for paragraph in re.split(r"\n\s*\n", help_text.strip("\n")):
        lines = paragraph.splitlines()
        if lines and lines[0].strip() == "\b":
            yield ".PP"
            yield ".nf"
            yield from (_text(line.rstrip()) for line in lines[1:])
            yield ".fi"
        elif lines:
            yield ".PP"
            yield _text(" ".join(line.strip() for line in lines))


def _text(text: str) -> str:
    """Escape a text for roff: backslashes and hyphens stay as they are, no line is taken for a
    request.
    """
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text
