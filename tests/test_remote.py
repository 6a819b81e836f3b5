"""Files elsewhere: read and written as they go, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import fsspec
import pytest
from conftest import MakeClip, Run
from servers import Server

from neucodec.errors import NeucodecError
from neucodec.files.outfile import output_file

QUICK = ("--entropy", "none")
"""Squeezing codes would take most of the time."""

web = pytest.mark.skipif(not find_spec("aiohttp"), reason="needs fsspec's driver, aiohttp")


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """A store of files, empty at first."""
    store = fsspec.filesystem("memory")
    yield store
    store.store.clear()
    store.pseudo_dirs[:] = [""]


def put(store: fsspec.AbstractFileSystem, clip: MakeClip, *names: str) -> None:
    for name in names:
        store.pipe(name, clip(f"put/{name}").read_bytes())


def test_a_tree_from_one_store_to_another_place_and_back(
    run: Run, clip: MakeClip, tmp_path: Path, memory: fsspec.AbstractFileSystem
) -> None:
    put(memory, clip, "in/one.wav", "in/deep/two.flac", "in/.hidden.wav", "in/old/three.wav")
    memory.pipe("in/notes.txt", b"")
    ran = run("encode", "memory://in", "-o", "memory://out/ncf", "-x", "old", *QUICK)
    assert ran.code == 0
    assert memory.find("out") == ["/out/ncf/deep/two.ncf", "/out/ncf/one.ncf"]
    assert ran.err.startswith("memory://in/one.wav: neu2-44khz, 6 codebooks")

    local = tmp_path / "put/in/one.wav"
    assert run("encode", local, "-o", tmp_path / "one.ncf", *QUICK).code == 0
    assert memory.cat("out/ncf/one.ncf") == (tmp_path / "one.ncf").read_bytes()

    assert run("verify", "memory://out").code == 0
    assert run("info", "memory://out/ncf/one.ncf").code == 0
    assert run("decode", "memory://out/ncf/", "-o", f"{tmp_path}/back/").code == 0
    assert (tmp_path / "back/deep/two.wav").exists()
    for suffix in (".flac", ".wav"):
        target = f"memory://back{suffix}"
        assert run("decode", "memory://out/ncf/one.ncf", "-o", target).code == 0
        assert run("decode", tmp_path / "one.ncf", "-o", tmp_path / f"b{suffix}").code == 0
        assert memory.cat(f"back{suffix}") == (tmp_path / f"b{suffix}").read_bytes()
        again = run("decode", "memory://out/ncf/one.ncf", "-o", target, "--skip-existing", "-v")
        assert again.err.endswith(f"skipped, {target} is there\n")


def test_existing_files_elsewhere(
    run: Run, clip: MakeClip, memory: fsspec.AbstractFileSystem
) -> None:
    put(memory, clip, "a.wav")
    assert run("encode", "memory://a.wav").code == 0
    whole = memory.cat("a.ncf")
    ran = run("encode", "memory://a.wav")
    assert ran.code == 1
    assert "memory://a.ncf exists; -f overwrites it" in ran.err
    memory.pipe("a.ncf", whole[:-20])
    assert run("encode", "memory://a.wav", "--skip-existing").code == 0
    assert memory.cat("a.ncf") == whole


def test_what_fails_leaves_nothing_elsewhere(memory: fsspec.AbstractFileSystem) -> None:
    with pytest.raises(ValueError), output_file("memory://out/a.ncf") as file:
        file.write(b"half")
        raise ValueError
    assert memory.find("out") == []
    with output_file("memory://out/a.ncf") as file:
        file.write(b"whole")
        assert memory.find("out") == []
    assert memory.cat("out/a.ncf") == b"whole"
    with (
        pytest.raises(NeucodecError, match=r"memory://out/a\.ncf exists"),
        output_file("memory://out/a.ncf"),
    ):
        pass


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("memory://gone.wav", "there is no such file"),
        ("nowhere://a.wav", "Protocol not known: nowhere"),
        ("memory://empty/", "no audio files in this directory"),
    ],
)
def test_what_is_not_there(
    run: Run, memory: fsspec.AbstractFileSystem, url: str, complaint: str
) -> None:
    memory.mkdir("empty")
    ran = run("encode", url)
    assert ran.code == 1
    assert ran.err == f"neucodec: {url}: {complaint}\n"


def test_times_are_kept_on_this_machine_only(run: Run, memory: fsspec.AbstractFileSystem) -> None:
    ran = run("encode", "memory://a.wav", "-o", "a.ncf", "--keep-time")
    assert ran.code == 2
    assert "--keep-time is for files on this machine" in ran.err


@web
def test_from_the_web_through_ranges_and_without(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    path, out = clip("song.flac", seconds=2), tmp_path / "out.ncf"
    assert run("encode", path, *QUICK).code == 0
    whole = path.with_suffix(".ncf").read_bytes()
    with Server({"/a/song.flac": path.read_bytes(), "/song.ncf": whole}) as server:
        for server.ranges in (True, False):
            ran = run("encode", f"{server.url}/a/song.flac?key=1", "-o", out, "-f", *QUICK)
            assert ran.code == 0
            assert out.read_bytes() == whole
        server.ranges = True
        assert run("decode", f"{server.url}/song.ncf", "-o", f"{tmp_path}/").code == 0
        assert (tmp_path / "song.wav").exists()
        ran = run("encode", f"{server.url}/gone.wav", "-o", out, "-f")
        assert ran.err == f"neucodec: {server.url}/gone.wav: there is no such file\n"
        ran = run("encode", path, "-o", f"{server.url}/out.ncf", "-f")
        assert ran.code == 1
        assert ran.err.endswith("/out.ncf: files of this kind of URL can only be read\n")


@web
def test_a_long_file_from_the_web_comes_in_pieces(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    path = clip("long.wav", seconds=130, rate=44100, level=0)
    with Server({"/long.wav": path.read_bytes()}) as server:
        assert run("encode", f"{server.url}/long.wav", "-o", tmp_path / "a.ncf", *QUICK).code == 0
    starts = {int(asked.removeprefix("bytes=").partition("-")[0]) for asked in server.fetched}
    assert len(starts) >= 2
    assert max(starts) < path.stat().st_size
