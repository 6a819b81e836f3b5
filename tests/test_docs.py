"""The documentation holds: its links lead somewhere, its commands parse, its Python runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile
import torch
from test_encode_decode import sound

import neucodec
from neucodec.cli import cli

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for folder in ("", "docs", "formats", "models", "models/lm", "examples/cluster", "benchmarks")
    for path in (ROOT / folder).glob("*.md")
)
USER_PAGES = [path for path in PAGES if path.name not in ("RESULTS.md", "CHANGELOG.md")]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Names of a page's headings, as hosts of repositories make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if re.match(r"[a-z]+:", link):
            continue  # elsewhere
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"{link} names no heading"


@pytest.mark.parametrize("page", USER_PAGES, ids=name_of)
def test_named_files_are_there(page: Path) -> None:
    folders = "neucodec|formats|models|tests|benchmarks|docs|examples|recipes|.ci"
    for place in re.findall(rf"`((?:{folders})/[\w./-]*)`", page.read_text("utf-8")):
        assert "NAME" in place or (ROOT / place).exists(), f"{place} is not there"


def test_every_page_is_listed() -> None:
    listed = (ROOT / "docs" / "README.md").read_text("utf-8")
    for page in (ROOT / "docs").iterdir():
        assert page.name == "README.md" or f"]({page.name})" in listed, page.name


def command_lines(text: str) -> Iterator[list[str]]:
    """What is given to ``neucodec`` in indented code and in shell blocks."""
    for line in re.findall(r"^(?: {4}|\$ )(\S.*?)(?: {3,}.*)?$", text, re.MULTILINE):
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>()")
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:
            continue  # prose, or another language
        while "neucodec" in words:
            words = words[words.index("neucodec") + 1 :]
            ends = [n for n, word in enumerate(words) if set(word) <= set("|;&<>()")]
            yield words[: ends[0]] if ends else words


def parse(words: list[str]) -> None:
    """As the command line would; files need not be there."""
    context, command = click.Context(cli, info_name="neucodec", **cli.context_settings), cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            raise click.UsageError(f"no command {words[0]}")
        command, words = found, words[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    _, rest, _ = command.make_parser(context).parse_args(list(words))
    assert isinstance(command, click.Group) or not rest


@pytest.mark.parametrize("page", USER_PAGES, ids=name_of)
def test_commands_are_as_they_are_written(page: Path) -> None:
    for words in command_lines(page.read_text("utf-8")):
        try:
            parse([word.strip("[]").removesuffix("...") for word in words if word])
        except click.UsageError as error:
            pytest.fail(f"neucodec {' '.join(words)}: {error.format_message()}")


def test_commands_are_found() -> None:
    assert len(list(command_lines((ROOT / "README.md").read_text("utf-8")))) > 12
    with pytest.raises(click.NoSuchOption):
        parse(["encode", "--bitrat-e", "8kbps", "song.wav"])
    with pytest.raises(click.UsageError):
        parse(["encoed", "song.wav"])


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "use.md"], ids=name_of)
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    minute = np.zeros((61 * 8000, 1))  # one seeks to its end
    Path("song.ncf").write_bytes(neucodec.encode(minute, 8000, codebooks=1))
    soundfile.write("song.wav", sound(1, 48000), 48000)
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        names = {
            "audio": sound(1, 48000),
            "batch": torch.zeros(2, 1, 44100),
            "block": np.zeros((4800, 2)),
        }
        exec(compile(block, str(page), "exec"), names)
