"""Output files: whole under their name or not there at all."""

import errno
import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from neucodec.errors import NeucodecError
from neucodec.files.outfile import output_file

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX file permissions and pipes")
not_root = pytest.mark.skipif(
    getattr(os, "geteuid", lambda: 1)() == 0, reason="root may write everywhere"
)


def write(path: str | Path, data: bytes, overwrite: bool = False) -> None:
    """Write an output file at once."""
    with output_file(path, overwrite) as file:
        file.write(data)


def test_the_name_appears_once_the_file_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "song.ncf"
    with output_file(target) as file:
        file.write(b"whole")
        file.flush()
        assert not target.exists()
        (partial,) = tmp_path.iterdir()
        assert partial.name.startswith(".song.ncf.")
        assert partial.name.endswith(".partial")
    assert target.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [target]


def test_the_file_can_be_read_back_and_sought_while_it_is_written(tmp_path: Path) -> None:
    with output_file(tmp_path / "song.ncf") as file:
        file.write(b"abc")
        file.seek(1)
        assert file.read() == b"bc"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), output_file(tmp_path / "song.ncf"):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_an_exception_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "song.ncf"
    target.write_bytes(b"old")
    with pytest.raises(ValueError), output_file(target, overwrite=True) as file:
        file.write(b"new")
        raise ValueError
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_existing_file_is_refused_at_the_start(tmp_path: Path) -> None:
    target = tmp_path / "song.ncf"
    target.write_bytes(b"old")
    with pytest.raises(NeucodecError, match=r"song\.ncf exists; -f"):
        write(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_existing_file_is_replaced_with_force(tmp_path: Path) -> None:
    target = tmp_path / "song.ncf"
    target.write_bytes(b"old")
    write(target, b"new", overwrite=True)
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_came_to_exist_meanwhile_is_not_lost(tmp_path: Path) -> None:
    target = tmp_path / "song.ncf"
    with pytest.raises(NeucodecError, match="exists"), output_file(target):
        target.write_bytes(b"someone else's")
    assert target.read_bytes() == b"someone else's"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("links", [True, False])
def test_of_many_writers_without_force_one_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        no_links(monkeypatch)
    target = tmp_path / "song.ncf"
    everyone_has_opened = threading.Barrier(8)
    outcomes: list[bytes] = []

    def write_number(number: int) -> None:
        try:
            with output_file(target) as file:
                file.write(b"%d" % number)
                everyone_has_opened.wait()
        except NeucodecError:
            return
        outcomes.append(b"%d" % number)

    threads = [threading.Thread(target=write_number, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [target.read_bytes()]
    assert list(tmp_path.iterdir()) == [target]


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(NeucodecError, match="no directory .*nowhere"):
        write(tmp_path / "nowhere" / "song.ncf", b"")


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(NeucodecError, match="this is a directory"):
        write(tmp_path, b"", overwrite=True)


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NeucodecError, match="file"):
        write(tmp_path / "file" / "song.ncf", b"")


@posix
@not_root
def test_a_directory_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(NeucodecError, match=os.strerror(errno.EACCES)):
        write(closed / "song.ncf", b"")


@posix
def test_the_umask_decides_who_may_read(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "song.ncf", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "song.ncf").stat().st_mode) == 0o640


@posix
@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
def test_an_output_that_is_replaced_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "song.ncf"
    target.touch()
    target.chmod(mode)
    write(target, b"new", overwrite=True)
    assert stat.S_IMODE(target.stat().st_mode) == mode


@posix
@pytest.mark.parametrize("replaced", [False, True])
def test_nobody_may_read_an_output_who_may_not_read_its_sources(
    tmp_path: Path, replaced: bool
) -> None:
    sources = [tmp_path / "open.wav", tmp_path / "group.wav"]
    for source, mode in zip(sources, (0o444, 0o640), strict=True):
        source.touch()
        source.chmod(mode)
    target = tmp_path / "song.ncf"
    if replaced:
        target.touch()
        target.chmod(0o666)
    with output_file(target, replaced, sources=[*sources, "-", tmp_path / "gone"]) as file:
        (partial,) = tmp_path.glob(".*.partial")
        assert stat.S_IMODE(partial.stat().st_mode) & 0o007 == 0
        file.write(b"private")
    assert stat.S_IMODE(target.stat().st_mode) == (0o660 & 0o640) | 0o600


@posix
def test_without_links_the_name_never_stands_for_an_empty_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may be killed between any two steps."""
    target, states = tmp_path / "song.ncf", []
    no_links(monkeypatch)
    replace = Path.replace

    def watched(temporary: Path, to: Path) -> Path:
        states.append(to.exists())
        return replace(temporary, to)

    monkeypatch.setattr(Path, "replace", watched)
    with output_file(target) as file:
        file.write(b"whole")
    assert states == [False]
    assert target.read_bytes() == b"whole"
    with pytest.raises(NeucodecError, match="exists"):
        target.unlink()
        with output_file(target):
            target.write_bytes(b"someone else's")
    assert target.read_bytes() == b"someone else's"
    assert list(tmp_path.iterdir()) == [target]


def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on FAT."""

    def link(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)


@posix
def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "link.ncf").symlink_to("song.ncf")
    write(tmp_path / "link.ncf", b"new")
    assert (tmp_path / "link.ncf").is_symlink()
    assert (tmp_path / "song.ncf").read_bytes() == b"new"
    with pytest.raises(NeucodecError, match="exists"):
        write(tmp_path / "link.ncf", b"newer")


@posix
def test_a_device_is_written_directly_and_needs_no_force() -> None:
    write("/dev/null", b"gone")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@posix
def test_a_named_pipe_is_written_directly(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    write(pipe, b"through")
    reader.join()
    assert received == [b"through"]
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_full_device_raises() -> None:
    with pytest.raises(OSError, match="No space left"):
        write("/dev/full", b"x")


@pytest.mark.parametrize("name", ["n" * 250, "é" * 120, "-o", "a b\nc.ncf"])
def test_names_of_every_kind(tmp_path: Path, name: str) -> None:
    if os.name != "posix" and "\n" in name:
        pytest.skip("not a name here")
    write(tmp_path / name, b"x")
    assert (tmp_path / name).read_bytes() == b"x"
