"""Servers that list, stall, lie and change their minds."""

from __future__ import annotations

import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, cast

import fsspec.asyn
import pytest
from conftest import MakeClip, Run
from servers import Script, Server

from neucodec.commands.batch_run import watch
from neucodec.errors import NeucodecError
from neucodec.files import remote, web
from neucodec.formats.peers.dac import MAGIC
from neucodec.interchange import peers
from neucodec.jobs.input_files import find_files
from neucodec.jobs.input_kinds import Kind
from neucodec.safety.inside import place_inside

pytestmark = pytest.mark.skipif(not find_spec("aiohttp"), reason="needs fsspec's driver, aiohttp")

WAVS = Kind(".wav files", frozenset({".wav"}))


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def page(*links: str) -> bytes:
    return "".join(f'<li><a class="x" href="{link}">y</a>' for link in links).encode()


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("a.wav", True), ("a/b c/ä.wav", True), ("..a/.b", True), ("a:b.wav", True),
        ("", False), ("/a", False), ("a//b", False), ("..", False), ("a/../b", False),
        ("a/..", False), ("./a", False), ("a\0b", False),
    ],
)  # fmt: skip
def test_a_place_is_inside_or_is_none(name: str, inside: bool) -> None:
    found = place_inside(name)
    assert (found is not None) == inside
    assert found is None or found.as_posix() == name


def test_a_place_for_every_system_has_no_drives_and_no_backslashes() -> None:
    assert place_inside("a/b.wav", portable=True)
    assert not any(place_inside(name, portable=True) for name in ("c:a", "a\\..\\b", "a?b"))


def test_a_listing_leads_nowhere_but_below_itself(server: Server) -> None:
    server.files = {
        "/d/": page(
            "../", "x/../../../evil/", "%2e%2e/", "..%2fevil.wav", "/evil/", "/evil/e.wav",
            "http://127.0.0.1:1/d/e.wav", "?C=N;O=D", "http://[", "sub/e.wav", "javascript:e.wav",
            "in.wav", "b%20c.wav", "sub/", "/d/abs.wav", "./dot.wav", f"{server.url}/d/whole.wav",
        ),
        "/d/sub/": page("deep.wav", "../up.wav"),
        "/evil/": page("e.wav"),
    }  # fmt: skip
    found = find_files([f"{server.url}/d/"], WAVS)
    names = ["abs.wav", "b%20c.wav", "dot.wav", "in.wav", "whole.wav", "sub/deep.wav"]
    assert [place.as_posix() for _, place in found.files] == names
    assert [name for name, _ in found.files] == [f"{server.url}/d/{name}" for name in names]
    assert found.failures == []


def test_nothing_is_written_outside_of_the_outputs(
    server: Server, run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    sound = clip("a.wav").read_bytes()
    server.files = {"/d/": page("a.wav", "x/../../../evil/"), "/d/a.wav": sound}
    # Servers give a directory under its name without a slash, too.
    server.files |= {"/evil": page("a.wav"), "/evil/": page("a.wav"), "/evil/a.wav": sound}
    assert run("encode", f"{server.url}/d/", "-o", f"{tmp_path}/o/out/").code == 0
    assert list(tmp_path.rglob("*.ncf")) == [tmp_path / "o/out/a.ncf"]


def test_an_endless_listing_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "find", lambda path: page("down/"))
    ((_, reason),) = find_files([f"{server.url}/d/"], WAVS).failures
    assert reason.startswith("more than 10000 directories or 32 levels of them are listed")
    assert len(server.requests) < 40
    monkeypatch.setattr(web, "MAX_LISTING_BYTES", 100)
    monkeypatch.setattr(server, "find", lambda path: page("a.wav") + bytes(1000))
    ((_, reason),) = find_files([f"{server.url}/d/"], WAVS).failures
    assert "more than 100 bytes came where few were due" in reason


def test_a_listing_costs_in_proportion_to_its_bytes(server: Server) -> None:
    hostile = [b"<a " + b" " * 9000, b"<a href=" * 3000, b"<a href='" * 3000, b"<!--" * 6000]
    for text in hostile:
        server.files["/d/"] = text + page("a.wav")
        began = time.process_time()
        find_files([f"{server.url}/d/"], WAVS)
        assert time.process_time() - began < 1


def test_archives_and_stores_lead_nowhere_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("in/a.wav", "../../evil.wav"):
            archive.writestr(name, b"")
    link = f"::{tmp_path}/a.zip"
    ((_, reason),) = find_files([f"zip://{link}"], WAVS).failures
    assert "which leads out of it: nothing more is taken from there" in reason
    assert find_files([f"zip://in{link}"], WAVS).files[0][0] == f"zip://in/a.wav{link}"
    store = fsspec.filesystem("memory")
    try:
        store.pipe("/in/../evil.wav", b"")
        ((_, reason),) = find_files(["memory://in"], WAVS).failures
        assert reason.startswith("lists './..', which leads out of it")
    finally:
        store.store.clear()
        store.pseudo_dirs[:] = [""]


@pytest.mark.parametrize("url", ["http://host", "http://host/..", "https://[", "memory://a/.."])
def test_urls_that_name_no_file(url: str) -> None:
    ((_, reason),) = find_files([url], WAVS).failures
    assert reason


def reading(url: str) -> str:
    """What comes of reading a file."""
    try:
        with remote.open_to_read(url) as file:
            return file.read().decode()
    except (NeucodecError, OSError) as error:
        return str(error).removeprefix(f"{url}: ")


def test_causes_are_told_apart(server: Server) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        refused = f"http://127.0.0.1:{free.getsockname()[1]}/a.wav"
        assert reading(refused) == "cannot be reached: Connection refused"
    assert reading("http://nowhere.invalid/a.wav") == "no such host, or no network"
    assert reading("http://host:99999/a.wav") == "no URL: Port out of range 0-65535"
    server.files["/a.wav"] = b"sound"
    assert reading(f"{server.url}/b.wav") == "there is no such file"
    for status, said in ((500, "Internal Server Error"), (403, "Forbidden"), (410, "Gone")):
        server.answers = [status] * 2
        gone = "there is no such file" if status == 410 else f"the server answers {status} {said}"
        assert reading(f"{server.url}/a.wav") == gone
    server.redirects["/r.wav"] = "/r.wav"
    assert reading(f"{server.url}/r.wav") == "the server redirects without end"
    server.redirects["/q.wav"] = "http://[/"
    assert reading(f"{server.url}/q.wav").startswith("no URL, or the server redirects to none")
    assert reading(f"{server.url}/a.wav") == "sound"


def test_a_server_that_never_answers_is_given_up(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "SILENT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.wav"
        ran = run("encode", url, "-o", tmp_path / "a.ncf")
    said = "the server does not answer: nothing came for 0.2 s"
    assert ran.err == f"neucodec: {url}: {said}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_body_without_an_end_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "MAX_BODY_BYTES", 1 << 20)

    def pour(server: socket.socket) -> None:
        head = b"HTTP/1.1 206 P\r\nContent-Length: %d\r\n\r\n" % (1 << 40)
        for _ in range(2):  # HEAD, and the first range
            connection, _ = server.accept()
            with connection:
                asked = connection.recv(4096)
                connection.sendall(head)
                while not asked.startswith(b"HEAD"):
                    try:
                        connection.sendall(bytes(1 << 16))
                    except OSError:
                        break

    with socket.create_server(("127.0.0.1", 0)) as endless:
        threading.Thread(target=pour, args=(endless,), daemon=True).start()
        url = f"http://127.0.0.1:{endless.getsockname()[1]}/a.wav"
        assert "more than 1048576 bytes came where few were due" in reading(url)


def test_a_file_that_is_replaced_while_it_is_read(server: Server) -> None:
    server.files["/a.wav"] = b"one"
    unchanged = watch(f"{server.url}/a.wav")
    unchanged()
    server.files["/a.wav"] = b"two"
    with pytest.raises(NeucodecError, match="changed while it was being read"):
        unchanged()
    del server.files["/a.wav"]
    with pytest.raises(NeucodecError, match="there is no such file"):
        unchanged()


def test_half_of_each_is_never_an_output(
    server: Server, run: Run, clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [clip("a.wav", level=level).read_bytes() for level in (0.2, 0.1)]
    out = tmp_path / "out.ncf"

    def find(path: str) -> bytes:
        return both[bool(server.fetched)]

    monkeypatch.setattr(server, "find", find)
    ran = run("encode", f"{server.url}/a.wav", "-o", out)
    assert "changed while it was being read" in ran.err
    assert not out.exists()


@pytest.mark.parametrize("code", [b"500", b"404", b"302"])
def test_a_status_line_cannot_play_tricks_on_the_terminal(code: bytes, run: Run) -> None:
    answer = b"HTTP/1.1 %b \x1b]0;t\x07\r\nLocation: \x1b[2J\r\nContent-Length: 0\r\n\r\n" % code
    with Script(lambda number, request: answer) as server:
        ran = run("encode", f"{server.url}/a.wav", "-o", "-")
    assert ran.code == 1
    assert ran.err.removesuffix("\n").isprintable()


def test_a_status_line_of_a_download_cannot_either(
    run: Run, clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy's answer, when weights are to be fetched."""
    for name in ("NEUCODEC_OFFLINE", "HF_HUB_OFFLINE", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NEUCODEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("neucodec.models.catalogue.download.PAUSE", 0.0)
    with Script(lambda number, request: b"HTTP/1.1 403 \x1b]0;t\x07\r\n\r\n") as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        ran = run("encode", clip(), "-m", "encodec-24khz", "-o", tmp_path / "out.ncf")
    assert (ran.code, proxy.asked > 0) == (1, True)
    assert r"\x1b]0;t" in ran.err
    assert all(line.isprintable() for line in ran.err.splitlines())


def test_what_a_server_leaves_unfinished_is_not_printed(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.files["/a.wav"] = b"sound"
    assert reading(f"{server.url}/a.wav") == "sound"
    fsspec.asyn.get_loop().call_exception_handler({"message": "Unclosed connection"})
    assert caplog.text == ""


class Endless:
    """A file of codes that never ends."""

    def peek(self, size: int) -> bytes:
        return MAGIC + bytes(size)

    def read(self, size: int = -1) -> bytes:
        assert 0 <= size < 1 << 20
        return bytes(size)


def test_codes_without_an_end_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "MAX_BYTES", 10_000)
    with pytest.raises(NeucodecError, match="more than 10000 bytes: a day of codes has fewer"):
        peers.as_ncf(cast(BinaryIO, Endless()), lambda card: pytest.fail("no codec is due"))
