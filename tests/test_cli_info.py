"""``neucodec info``, ``verify``, ``models``, ``completion``: all that needs no network loaded."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import MakeClip, Run

from neucodec import __version__


@pytest.fixture
def song(run: Run, clip: MakeClip) -> Path:
    """An .ncf of 3.5 s in stereo, which makes four chunks."""
    path = clip("song.flac", seconds=3.5, channels=2, title="Waves")
    assert run("encode", path, "-n", "3", "--entropy", "none").code == 0
    return path.with_suffix(".ncf")


def damage(path: Path) -> None:
    """Spoil a byte of the second of four chunks."""
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 5] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    """Leave the first two of four chunks whole."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def test_info_for_people(run: Run, song: Path) -> None:
    ran = run("info", song)
    assert (ran.code, ran.err) == (0, "")
    size = song.stat().st_size
    lines = [re.sub(r"[0-9a-f]{16}", "F", line) for line in ran.out.decode().splitlines()]
    assert lines == [
        str(song),
        "  codec    neu2-44khz, 3 codebooks of 1024 entries, weights F",
        "  audio    16000 Hz, 2 channels, 0:03.500 (56000 samples)",
        f"  bitrate  {size * 8 / 3500:.2f} kbps, 5.29 of codes as they are",
        f"  size     {size} bytes, {224000 / size:.1f}x smaller than 16-bit PCM",
        "  chunks   4 of 0.975 s",
        "  entropy  none",
        f"  encoder  neucodec {__version__}, format 1.2",
        "  state    complete, chunks not checked",
        "  tag      TITLE=Waves",
    ]


def test_info_for_scripts(run: Run, song: Path) -> None:
    ran = run("info", "--json", song, song)
    first, second = map(json.loads, ran.out.splitlines())
    assert first == second
    assert first["file"] == str(song)
    assert first["bytes"] == song.stat().st_size
    assert first["tags"] == {"TITLE": "Waves"}
    assert first["complete"] is True


def test_info_on_every_chunk(run: Run, song: Path) -> None:
    damage(song)
    found = json.loads(run("info", "--json", "--chunks", song).out)
    assert [chunk["index"] for chunk in found["chunks"]] == [0, 1, 2, 3]
    assert [chunk["intact"] for chunk in found["chunks"]] == [True, False, True, True]
    assert found["chunks"][2]["codebooks"] == 3
    (span,) = found["damaged"]
    assert span == pytest.approx([0.975, 1.95], abs=0.001)
    text = run("info", "--chunks", song).out.decode()
    assert "  state    complete, damaged at 0:01.0-0:02.0\n" in text
    assert re.search(r"\n +1 +0:00\.975 +\d+ +\d+  damaged\n", text)


def test_info_on_a_file_that_was_cut_off(run: Run, song: Path) -> None:
    cut(song)
    assert b"  state    cut off, or its end damaged\n" in run("info", song).out
    found = json.loads(run("info", "--json", song).out)
    assert (found["complete"], found["chunk_count"]) == (False, 2)


def test_info_reads_pipes_and_directories(run: Run, song: Path) -> None:
    ran = run("info", "--json", "-", stdin=song.read_bytes())
    assert json.loads(ran.out)["bytes"] == song.stat().st_size
    ran = run("info", "--json", song.parent)
    assert json.loads(ran.out)["file"] == str(song)


def test_tags_cannot_play_tricks_on_the_terminal(run: Run, clip: MakeClip) -> None:
    path = clip()
    run("encode", path, "--tag", "TITLE=\x1b[31mred\nTITLE=two")
    assert run("info", path.with_suffix(".ncf")).out.endswith(
        rb"TITLE=\x1b[31mred\nTITLE=two" + b"\n"
    )


def test_verify_passes_what_is_whole(run: Run, song: Path) -> None:
    ran = run("verify", song)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.decode() == f"{song}: whole, 4 chunks, 0:03.5\n"
    assert run("verify", "-q", song).out == b""
    assert run("verify", "-", stdin=song.read_bytes()).code == 0


def test_verify_says_which_seconds_are_damaged(run: Run, song: Path) -> None:
    damage(song)
    ran = run("verify", song)
    assert (ran.code, ran.out) == (1, b"")
    assert ran.err == f"neucodec: {song}: damaged at 0:01.0-0:02.0; the rest can be decoded\n"


def test_verify_goes_on_and_sums_up(run: Run, song: Path) -> None:
    short, other = song.with_name("short.ncf"), song.with_name("other.ncf")
    short.write_bytes(song.read_bytes())
    cut(short)
    other.write_bytes(b"something else entirely")
    ran = run("verify", song.parent)
    assert ran.code == 1
    assert ran.out.decode() == f"{song}: whole, 4 chunks, 0:03.5\n"
    first, second, total = ran.err.splitlines()
    assert first.startswith(f"neucodec: {other}: not an .ncf file")
    assert second == (
        f"neucodec: {short}: cut off, or its end damaged, after 0:02.0; the rest can be decoded"
    )
    assert total == "3 files: 1 done, 2 failed"


def test_models_are_listed_in_80_columns_the_default_first(run: Run) -> None:
    for args in (["models"], ["models", "list"]):
        lines = run(*args).out.decode().splitlines()
        assert max(map(len, lines)) <= 80
        assert lines[0].split() == ["NAME", "KHZ", "FRAMES", "KBPS", "HERE", "BEST", "FOR"]
        assert re.fullmatch(
            r"\* neu2-44khz +44\.1 +86\.13 +0\.882-14\.1 +built in +any sound", lines[1]
        )
        assert not any(line.startswith("*") for line in lines[2:])


def test_models_are_listed_with_licences_and_sizes(run: Run) -> None:
    head, row, *_ = run("models", "list", "-l").out.decode().splitlines()
    assert head.split()[:3] == ["NAME", "RATE", "CHANNELS"]
    assert re.search(r"44100 Hz +mono +0\.882 to 14\.1 +1\d\.\d MB +MIT +built in +Neu", row)


def test_models_for_scripts(run: Run) -> None:
    found = [json.loads(line) for line in run("models", "list", "--json").out.splitlines()]
    (neu,) = (model for model in found if model["name"] == "neu2-44khz")
    assert neu["here"] is True
    assert neu["embedded"] is True
    assert len(neu["bitrates"]) == neu["codebooks"] == 16
    assert neu["weights_bytes"] < 15e6


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(run: Run, shell: str) -> None:
    ran = run("completion", shell)
    assert ran.code == 0
    assert f"_NEUCODEC_COMPLETE={shell}_complete".encode() in ran.out


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("neucodec ver", b"plain,verify"),
        ("neucodec encode -m neu2", b"plain,neu2-44khz"),
        ("neucodec encode --skip", b"plain,--skip-existing"),
    ],
)
def test_completion_knows_commands_options_and_models(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: str, found: bytes
) -> None:
    monkeypatch.setenv("_NEUCODEC_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    assert found in run().out.splitlines()


@pytest.mark.parametrize(
    "command", ["encode", "decode", "info", "verify", "models", "evaluate", "compare", "completion"]
)
def test_every_command_has_help(run: Run, command: str) -> None:
    for flag in ("-h", "--help"):
        ran = run(command, flag)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.decode().startswith(f"Usage: neucodec {command} [OPTIONS]")
    assert command.encode() in run("--help").out


def test_version_and_no_command(run: Run) -> None:
    assert run("--version").out == f"neucodec {__version__}\n".encode()
    ran = run()
    assert (ran.code, ran.out) == (2, b"")
    assert "Examples:" in ran.err
    ran = run("enocde")
    assert ran.code == 2
    assert ran.err.startswith("neucodec: no command is called 'enocde': did you mean encode?")
