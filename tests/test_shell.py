"""What shells, man, file(1) and desktops are given."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from threading import Timer

import click
import pytest
from conftest import PATIENCE, MakeClip, Run

from neucodec.cli import cli

COMMAND = Path(sys.executable).parent / "neucodec"


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def environment(**changes: str | Path) -> dict[str, str]:
    """Ours, with the command that belongs to this Python first."""
    if not COMMAND.is_file():
        pytest.skip("the command is not installed beside this Python")
    path = os.pathsep.join([str(COMMAND.parent), os.environ["PATH"]])
    return os.environ | {"PATH": path} | {k: str(v) for k, v in changes.items()}


def output_of(*command: str | Path, **changes: str | Path) -> str:
    ran = subprocess.run(
        [*map(str, command)],
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr
    return ran.stdout


BASH = """
eval "$(neucodec completion bash)"
COMP_WORDS=({words}) COMP_CWORD={at}
$(complete -p neucodec | sed 's/.*-F \\([^ ]*\\).*/\\1/') neucodec
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [("neucodec enc", "encode"), ("neucodec encode -m neu2", "neu2-44khz")],
)
def test_bash_completes(words: str, expected: str) -> None:
    script = BASH.format(words=words, at=len(words.split()) - 1)
    assert expected in output_of(tool("bash"), "--norc", "-c", script).split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [("neucodec enc", "encode"), ("neucodec encode -m neu2", "neu2-44khz")],
)
def test_fish_completes(words: str, expected: str, tmp_path: Path) -> None:
    script = f"neucodec completion fish | source; complete -C '{words}'"
    out = output_of(tool("fish"), "--no-config", "-c", script, HOME=tmp_path)
    assert expected in out.split()


ZSH = """
autoload -Uz compinit && compinit -u -D
eval "$(neucodec completion zsh)"
print -r -- "${_comps[neucodec]}"
compadd() { print -r -- "$@" }
_describe() { print -rl -- "${(@P)3}" }
words=(neucodec enc) CURRENT=2
${_comps[neucodec]}
"""


def test_zsh_completes(tmp_path: Path) -> None:
    """With what zsh's own completion system would call, which needs a terminal, standing in."""
    registered, *offered = output_of(tool("zsh"), "-f", "-c", ZSH, HOME=tmp_path).splitlines()
    assert registered == "_neucodec_completion"
    assert any(line.startswith("encode") for line in offered)


@pytest.mark.parametrize(
    ("shell", "prepare"),
    [
        (["bash", "--norc", "-i"], ""),
        (["zsh", "-f", "-i"], "autoload -Uz compinit && compinit -u -D; "),
    ],
    ids=["bash", "zsh"],
)
def test_the_tab_key_completes(shell: list[str], prepare: str, tmp_path: Path) -> None:
    """At a terminal, as one types."""
    pty = pytest.importorskip("pty", reason="terminals of Unix")
    ours, terminal = pty.openpty()
    # In a session of its own, so that it leaves the terminal of the tests alone.
    typing = subprocess.Popen(
        [tool(shell[0]), *shell[1:]], stdin=terminal, stdout=terminal, stderr=terminal,
        env=environment(TERM="dumb", HOME=tmp_path, PS1="$ "), start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    watchdog = Timer(PATIENCE, typing.kill)
    watchdog.start()

    def shown_until(text: bytes) -> None:
        shown = b""
        while text not in shown:
            shown += os.read(ours, 4096)

    # Quoted in two, so that the echo of the line itself is not taken for its end.
    script = f'{prepare}eval "$(neucodec completion {shell[0]})"; echo rea""dy\n'
    os.write(ours, script.encode())
    shown_until(b"ready")
    os.write(ours, b"neucodec enc\t")
    shown_until(b"neucodec encode ")
    typing.kill()
    typing.wait()
    watchdog.cancel()
    os.close(ours)


def commands(group: click.Group) -> list[click.Command]:
    found: list[click.Command] = []
    for command in group.commands.values():
        found += [command, *(commands(command) if isinstance(command, click.Group) else [])]
    return found


def test_a_manual_page_leaves_commands_their_short_flag_for_help(run: Run) -> None:
    for command in cli.commands.values():
        command._help_option = None  # as in a process where nobody has asked for help yet
    assert run("man").code == 0
    for name in cli.commands:
        assert run(name, "-h").code == 0


def test_the_manual_page_has_every_command_and_option(run: Run, tmp_path: Path) -> None:
    ran = run("man")
    assert ran.code == 0 and not ran.err
    (tmp_path / "neucodec.1").write_bytes(ran.out)
    shown = ran.out.decode().replace("\\-", "-")
    for command in commands(cli):
        assert f"{command.name}" in shown
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert max(parameter.opts, key=len) in shown
    assert ".SH EXIT STATUS" in shown
    assert output_of(tool("groff"), "-man", "-ww", "-z", tmp_path / "neucodec.1") == ""
    text = output_of(tool("man"), "-l", tmp_path / "neucodec.1", MANWIDTH="80", PAGER="cat")
    assert "neucodec - compress audio with neural codecs" in text


def test_the_manual_page_that_is_shipped_is_the_present_one(run: Run) -> None:
    page = Path(__file__).parents[1] / "docs" / "neucodec.1"
    assert page.read_bytes() == run("man").out, "a command has changed: make man"


GOLDEN = Path(__file__).parent / "golden" / "mono.ncf"


def test_file_knows_an_ncf() -> None:
    magic = files("neucodec.formats") / "ncf.magic"
    described = output_of(tool("file"), "-b", "-m", str(magic), GOLDEN)
    assert described == "NCF audio of a neural codec, version 1.0\n"
    kind = output_of(tool("file"), "-b", "--mime-type", "-m", str(magic), GOLDEN)
    assert kind == "audio/x-ncf\n"
    assert "NCF" not in output_of(tool("file"), "-b", "-m", str(magic), __file__)


def test_desktops_know_an_ncf(tmp_path: Path) -> None:
    packages = tmp_path / "mime" / "packages"
    packages.mkdir(parents=True)
    source = (files("neucodec.formats") / "ncf.xml").read_text("utf-8")
    (packages / "ncf.xml").write_text(source, "utf-8")
    output_of(tool("update-mime-database"), tmp_path / "mime", XDG_DATA_HOME=tmp_path)
    assert "50:audio/x-ncf:*.ncf\n" in (tmp_path / "mime" / "globs2").read_text()
    magic = (tmp_path / "mime" / "magic").read_bytes()
    assert b"[80:audio/x-ncf]\n>0=\0\x08" + GOLDEN.read_bytes()[:8] in magic


@pytest.fixture
def ncf(run: Run, clip: MakeClip) -> Path:
    path = clip(seconds=0.3)
    assert run("encode", path).code == 0
    return path.with_suffix(".ncf")


def test_a_player_plays(ncf: Path) -> None:
    tool("ffplay")
    ran = subprocess.run(
        [COMMAND, "play", "--player", "ffplay", "--start", "0.1", ncf],
        env=environment(SDL_AUDIODRIVER="dummy", SDL_VIDEODRIVER="dummy"),
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr == f"{ncf}: neu2-44khz\n"


PLAYER = """#!/bin/sh
{body}
"""


def player(folder: Path, body: str) -> Path:
    """A program called aplay, for what no real one does on demand."""
    folder.mkdir()
    (folder / "aplay").write_text(PLAYER.format(body=body))
    (folder / "aplay").chmod(0o755)
    return folder


def test_what_is_played_is_what_decode_gives(
    run: Run, ncf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_folder = player(tmp_path / "bin", f"cat > {tmp_path}/heard.wav")
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    ran = run("play", "--player", "aplay", ncf)
    assert (ran.code, ran.out) == (0, b""), ran.err
    assert (tmp_path / "heard.wav").read_bytes() == run("decode", ncf, "-o", "-").out


def test_a_player_may_leave_early_or_fail(
    run: Run, ncf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{player(tmp_path / 'a', 'exit 0')}:/usr/bin:/bin")
    assert run("play", "--player", "aplay", ncf).code == 0
    monkeypatch.setenv("PATH", f"{player(tmp_path / 'b', 'exit 3')}:/usr/bin:/bin")
    ran = run("play", "--player", "aplay", ncf)
    assert (ran.code, ran.out) == (1, b"")
    assert "aplay gave up with exit status 3" in ran.err


def test_without_a_player_one_is_told_so(
    run: Run, ncf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = run("play", ncf)
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "none of ffplay, mpv and aplay is here to play: install one" in ran.err
