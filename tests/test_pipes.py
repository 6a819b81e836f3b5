"""Names that are no files: standard streams, descriptors of a shell's <(...), pipes, devices."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeClip, Run

import neucodec
from neucodec.files.pipes import as_input, as_output, descriptor_of, is_special
from neucodec.training.corpus import audio_below

pytestmark = pytest.mark.skipif(os.name != "posix", reason="names of Unix")

Feed = Callable[[bytes], str]


@pytest.fixture
def feed() -> Iterator[Feed]:
    """Makes a pipe in which these bytes come, as <(...) does; returns its name."""
    threads, descriptors = [], []

    def feed(data: bytes) -> str:
        ours, theirs = os.pipe()

        def write() -> None:
            with open(theirs, "wb") as file:  # noqa: PTH123 - a descriptor
                file.write(data)

        threads.append(threading.Thread(target=write))
        threads[-1].start()
        descriptors.append(ours)
        return f"/dev/fd/{ours}"

    yield feed
    for descriptor in descriptors:
        os.close(descriptor)
    for thread in threads:
        thread.join()


class Drain:
    """A pipe into which an output goes, as >(...) makes one, and what has come through it."""

    def __init__(self) -> None:
        self.ours, self.theirs = os.pipe()
        self.name = f"/dev/fd/{self.theirs}"
        self.data = b""
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self) -> None:
        with open(self.ours, "rb") as file:  # noqa: PTH123 - a descriptor
            self.data = file.read()

    def close(self) -> bytes:
        os.close(self.theirs)
        self.thread.join()
        return self.data


@pytest.fixture(scope="module")
def coded() -> bytes:
    """An .ncf whose codes stand in it as they are, so that reading them takes no model."""
    tone = 0.2 * np.sin(0.2 * np.arange(16000))
    return neucodec.encode(tone, 16000, model="neu-16khz", entropy="none", layer=False)


@pytest.fixture
def song(clip: MakeClip, coded: bytes) -> Path:
    """A file of it, and beside it a song.wav."""
    path = clip("song.wav", seconds=1).with_suffix(".ncf")
    path.write_bytes(coded)
    return path


def test_descriptors_are_known_by_all_their_names(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    (tmp_path / "circle").symlink_to("circle")
    assert [descriptor_of(n) for n in ("/dev/stdin", "/dev/fd/63", "/proc/self/fd/1")] == [0, 63, 1]
    assert descriptor_of(f"/proc/{os.getpid()}/fd/2") == 2
    assert descriptor_of(str(tmp_path / "link")) == 1
    for name in ("a.wav", "-", "", "/dev/null", "/proc/1/fd/1", str(tmp_path / "circle")):
        assert descriptor_of(name) is None
    assert as_input("/dev/stdin") == as_output("/dev/stdout") == "-"
    assert as_input("song.wav") == as_output("song.wav") == "song.wav"
    assert is_special("/dev/null")
    assert not is_special("/dev")


@pytest.mark.parametrize(
    "command",
    [["info", "--json"], ["verify"], ["tokens", "-o", "-"], ["decode", "--format=raw", "-o", "-"],
     ["convert", "--to", "dac", "-o", "-"]],
    ids=lambda words: words[0],
)  # fmt: skip
def test_every_command_reads_a_pipe_by_its_name(
    run: Run, song: Path, feed: Feed, command: list[str]
) -> None:
    by_name = run(command[0], song, *command[1:])
    piped = run(command[0], feed(song.read_bytes()), *command[1:])
    standard = run(command[0], "/dev/stdin", *command[1:], stdin=song.read_bytes())
    assert by_name.code == piped.code == standard.code
    assert said(by_name.out) == said(piped.out) == said(standard.out)


def said(out: bytes) -> object:
    """What was said of a file, apart from its name."""
    if out.startswith(b"{"):
        return json.loads(out) | {"file": None}
    return out.partition(b": whole, ")[2] or out


def test_encoding_what_comes_through_a_pipe(run: Run, clip: MakeClip, feed: Feed) -> None:
    path = clip(seconds=0.2)
    encode = ["encode", "-q", "-m", "neu-16khz"]
    encoded = run(*encode, path, "-o", "-").out
    assert run(*encode, "/dev/stdin", stdin=path.read_bytes()).out == encoded
    assert run(*encode, feed(path.read_bytes())).out == encoded
    assert list(path.parent.iterdir()) == [path]


def test_what_has_no_name_needs_one_for_its_output(
    run: Run, clip: MakeClip, feed: Feed, tmp_path: Path
) -> None:
    path = clip()
    ran = run("encode", feed(path.read_bytes()), "-o", f"{tmp_path}/")
    assert ran.code == 2
    assert "a pipe without a name of its own needs the name of an output file, or -o -" in ran.err
    ran = run("encode", path, feed(path.read_bytes()), "-o", f"{tmp_path}/")
    assert ran.code == 2
    assert "cannot be mixed with other inputs" in ran.err
    ran = run("encode", "--normalize-loudness", feed(path.read_bytes()))
    assert ran.code == 1
    assert "reads its input twice; give a file, no pipe" in ran.err


@pytest.mark.parametrize(
    ("command", "options"),
    [("encode", []), ("decode", []), ("tokens", []), ("tokens", ["--format", "parquet"])],
)
def test_every_command_writes_to_a_pipe_by_its_name(
    run: Run, song: Path, command: str, options: list[str]
) -> None:
    source = song.with_suffix(".wav") if command == "encode" else song
    drain = Drain()
    ran = run(command, "-q", source, "-o", drain.name, *options)
    piped = drain.close()
    assert (ran.code, ran.err) == (0, "")
    assert piped == run(command, "-q", source, "-o", "-", *options).out
    assert piped == run(command, "-q", source, "-o", "/dev/stdout", *options).out
    assert len(piped) > 100


def test_what_stands_in_a_file_before_our_output_stays(song: Path, run: Run) -> None:
    """A descriptor is used as it is, from where it stands, not opened anew by a name."""
    out = song.with_name("out")
    with out.open("wb") as file:
        file.write(b"before")
        file.flush()
        ran = run("decode", "-q", "--format=raw", song, "-o", f"/dev/fd/{file.fileno()}")
    assert ran.code == 0
    assert out.read_bytes() == b"before" + run("decode", "-q", "--format=raw", song, "-o", "-").out


def test_a_named_pipe_is_read_and_written(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    path, source, target = clip(seconds=0.2), tmp_path / "live.wav", tmp_path / "live.ncf"
    os.mkfifo(source)
    os.mkfifo(target)
    received: list[bytes] = []
    ends = [
        threading.Thread(target=lambda: source.write_bytes(path.read_bytes())),
        threading.Thread(target=lambda: received.append(target.read_bytes())),
    ]
    for end in ends:
        end.start()
    assert run("encode", "-q", "-m", "neu-16khz", source).code == 0  # to live.ncf, beside it
    for end in ends:
        end.join()
    assert received == [run("encode", "-q", "-m", "neu-16khz", path, "-o", "-").out]


def test_pipes_in_a_tree_are_passed_over(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    clip("tree/z.wav", seconds=0.3)
    for name in ("live.wav", "more.flac", "live.ncf"):
        os.mkfifo(tmp_path / "tree" / name)
    (tmp_path / "tree/null.ncf").symlink_to("/dev/null")
    tree = tmp_path / "tree"
    ran = run("encode", "-q", tree, "-o", tmp_path / "out")
    said = f"neucodec: {tree}: warning: 2 passed over that are pipes or devices; only those given "
    assert (ran.code, ran.err) == (0, f"{said}by name are read\n")
    (tmp_path / "out/z.ncf").rename(tree / "z.ncf")
    for command in ("decode -q", "info", "verify", "tokens -q", "convert --to=dac"):
        ran = run(*command.split(), tree)
        assert said in ran.err, command
    assert [path.name for path in audio_below(tree)] == ["z.wav"]
    (tree / "z.wav").unlink()
    ran = run("encode", tree)
    assert ran.code == 1
    assert "no audio files in this directory" in ran.err


def test_tokens_on_standard_output(run: Run, song: Path) -> None:
    ran = run("tokens", song, "-o", "-")
    assert (ran.code, ran.err.count("\n")) == (0, 1)
    arrays = np.load(io.BytesIO(ran.out))
    run("tokens", song, "-o", song.with_suffix(".npz"))
    kept = np.load(song.with_suffix(".npz"))
    assert set(arrays) == set(kept)
    assert all(np.array_equal(arrays[name], kept[name]) for name in kept)
    codes = np.load(io.BytesIO(run("tokens", song, "-o", "-", "--format=npy").out))
    assert np.array_equal(codes, kept["codes"])


def test_parquet_on_standard_output_has_all_rows(
    run: Run, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    Path("second.ncf").write_bytes(song.read_bytes())
    ran = run("tokens", "song.ncf", "second.ncf", "-o", "-", "--format=parquet", "--shard=1")
    assert ran.err.splitlines() == ["2 files: 2 done", "standard output: 2 files"]
    table = parquet.read_table(io.BytesIO(ran.out))
    assert table["path"].to_pylist() == ["song.ncf", "second.ncf"]
    assert not Path("-").exists()


def test_a_report_on_standard_output(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    path = clip()
    for name in ("-", "/dev/stdout"):
        ran = run("encode", "-q", "-f", path, "-o", tmp_path / "a.ncf", "--report", name)
        assert json.loads(ran.out)["outcome"] == "done"
    drain = Drain()
    assert run("encode", "-qf", path, "-o", tmp_path / "a.ncf", "--report", drain.name).code == 0
    assert json.loads(drain.close())["output"] == str(tmp_path / "a.ncf")
    assert {p.name for p in tmp_path.iterdir()} == {path.name, "a.ncf"}
    ran = run("encode", path, "-o", "-", "--report", "-")
    assert ran.code == 2
    assert "--report - and the output would both go to standard output" in ran.err


def test_a_report_that_cannot_be_written_ends_no_batch(
    run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is Linux's")
    one, two = clip("one.wav"), clip("two.wav")
    ran = run("encode", "-q", one, two, "--report", "/dev/full")
    assert (ran.code, ran.err) == (1, "neucodec: --report /dev/full: No space left on device\n")
    assert one.with_suffix(".ncf").exists()
    assert two.with_suffix(".ncf").exists()


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
@pytest.mark.parametrize(
    "command",
    [["export", "--onnx"], ["export", ".", "mine"], ["train", "recipe.toml"], ["evaluate", "."]],
    ids=" ".join,
)
def test_what_makes_several_files_takes_no_pipe(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipe.toml").touch()
    ran = run(*command, "-o", name)
    assert ran.code == 2
    assert f"{name} cannot take several files; give a directory" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.toml"]


def test_what_is_read_more_than_once_is_no_pipe(run: Run, clip: MakeClip, feed: Feed) -> None:
    for command in (
        ["train", feed(b"")],
        ["models", "add", "dac-44khz", "--from", feed(b"")],
        ["encode", "-m", feed(b""), str(clip())],
    ):
        ran = run(*command)
        assert ran.code == 2
        assert "is read more than once; give a file" in ran.err


def test_comparing_what_comes_through_a_pipe(run: Run, song: Path, feed: Feed) -> None:
    wav, options = song.with_suffix(".wav"), ["--metrics=mel", "--json"]
    by_name = json.loads(run("compare", wav, song, *options).out)
    piped = json.loads(run("compare", wav, feed(song.read_bytes()), *options).out)
    assert (piped["kbps"], piped["mel"]) == (by_name["kbps"], by_name["mel"])
    piped = json.loads(run("compare", feed(wav.read_bytes()), song, *options).out)
    assert piped["mel"] == by_name["mel"]
    ran = run("compare", wav, "-", *options, stdin=song.read_bytes())
    assert json.loads(ran.out)["mel"] == by_name["mel"]
    assert run("compare", "-", "/dev/stdin").code == 2
    ran = run("compare", wav, song, "--plot", "-")
    assert ran.code == 2
    assert "give the picture the name of a file" in ran.err


@pytest.mark.parametrize("command", ["decode --format=raw", "tokens --format=npy", "encode"])
def test_what_is_made_of_a_private_file_is_private(run: Run, song: Path, command: str) -> None:
    source = song.with_suffix(".wav") if command == "encode" else song
    source.chmod(0o600)
    target = song.with_name("made")
    for option in ([], ["-f"]):
        assert run(*command.split(), source, "-o", target, *option).code == 0
        assert target.stat().st_mode & 0o777 == 0o600
        target.chmod(0o644)
