"""Plain downloads: resumed, checked, atomic, and one at a time."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import PATIENCE
from servers import Script, Server, wait_for

from neucodec.models.catalogue import download as module
from neucodec.models.catalogue.download import download
from neucodec.models.catalogue.download_progress import Advance, Monitor
from neucodec.models.errors import ModelError, UnavailableError

CONTENT = bytes(range(256)) * 2000  # 512 kB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Watcher(Monitor):
    """Keeps what it is told; ``stop`` ends the run at the first bytes, as Ctrl-C would."""

    def __init__(self, stop: bool = False) -> None:
        self.stop = stop
        self.said: list[str] = []
        self.bars: list[list[int | None]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def progress(self, name: str, total: int | None, done: int) -> Iterator[Advance]:
        bar: list[int | None] = [total, done, 0]
        self.bars.append(bar)

        def advance(count: int) -> None:
            bar[2] = (bar[2] or 0) + count
            if self.stop:
                raise KeyboardInterrupt

        yield advance


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server({"/w.pth": CONTENT}) as server:
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "w.pth"


def start(server: Server, target: Path) -> int:
    """Begin and be interrupted; the bytes that are there then."""
    with pytest.raises(KeyboardInterrupt):
        download(f"{server.url}/w.pth", target, monitor=Watcher(stop=True))
    server.requests.clear()
    return target.with_name("w.pth.partial").stat().st_size


def left(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()} - {"w.pth.lock"}


def test_a_file_comes_whole_with_progress(server: Server, target: Path) -> None:
    watcher = Watcher()
    assert download(f"{server.url}/w.pth", target, monitor=watcher) == SHA256
    assert target.read_bytes() == CONTENT
    assert watcher.bars == [[len(CONTENT), 0, len(CONTENT)]]
    assert left(target) == {"w.pth"}


def test_what_is_there_is_not_fetched_again(server: Server, target: Path) -> None:
    for _ in range(2):
        assert download(f"{server.url}/w.pth", target) == SHA256
    assert server.fetched == [""]


def test_a_cut_connection_is_resumed(server: Server, target: Path) -> None:
    server.cuts = [100_000, 50_000]
    watcher = Watcher()
    assert download(f"{server.url}/w.pth", target, SHA256, watcher) == SHA256
    assert server.fetched == ["", "bytes=100000-", "bytes=150000-"]
    assert [bar[:2] for bar in watcher.bars] == [
        [len(CONTENT), 0], [len(CONTENT), 100_000], [len(CONTENT), 150_000],
    ]  # fmt: skip


def test_an_earlier_run_is_continued(server: Server, target: Path) -> None:
    there = start(server, target)
    assert 0 < there < len(CONTENT)
    assert not target.exists()
    assert download(f"{server.url}/w.pth", target, SHA256) == SHA256
    assert server.fetched == [f"bytes={there}-"]
    assert left(target) == {"w.pth"}


def test_an_earlier_run_that_lacked_only_the_name(server: Server, target: Path) -> None:
    start(server, target)
    target.with_name("w.pth.partial").write_bytes(CONTENT)
    assert download(f"{server.url}/w.pth", target, SHA256) == SHA256
    assert server.fetched == [f"bytes={len(CONTENT)}-"]


def test_another_file_at_the_same_place_is_begun_anew(server: Server, target: Path) -> None:
    start(server, target)
    server.files["/w.pth"] = other = CONTENT[::-1]
    assert download(f"{server.url}/w.pth", target) == hashlib.sha256(other).hexdigest()
    assert target.read_bytes() == other


def test_a_spoilt_beginning_is_thrown_away(server: Server, target: Path) -> None:
    there = start(server, target)
    target.with_name("w.pth.partial").write_bytes(bytes(there))
    assert download(f"{server.url}/w.pth", target, SHA256) == SHA256
    assert server.fetched == [f"bytes={there}-", ""]


@pytest.mark.parametrize("lacks", ["ranges", "marked"])
def test_servers_that_cannot_resume(server: Server, target: Path, lacks: str) -> None:
    setattr(server, lacks, False)
    server.cuts = [100_000]
    assert download(f"{server.url}/w.pth", target, SHA256) == SHA256


def test_a_busy_server_is_asked_again(server: Server, target: Path) -> None:
    server.answers = [503, 429]
    assert download(f"{server.url}/w.pth", target) == SHA256


def test_a_connection_that_brings_nothing_is_given_up(server: Server, target: Path) -> None:
    server.cuts = [1000] + [0] * 100
    with pytest.raises(UnavailableError, match=r"cut at 1000 of 512000 bytes, 5 times in a row$"):
        download(f"{server.url}/w.pth", target)
    assert len(server.fetched) == 5
    server.cuts.clear()
    assert download(f"{server.url}/w.pth", target) == SHA256
    assert server.fetched[-1] == "bytes=1000-"


@pytest.mark.parametrize("known", [SHA256, SHA256[:8]])
def test_a_corrupt_file_is_refused_and_removed(server: Server, target: Path, known: str) -> None:
    server.files["/w.pth"] = wrong = CONTENT[:-1] + b"!"
    with pytest.raises(ModelError) as caught:
        download(f"{server.url}/w.pth", target, known)
    assert str(caught.value) == (
        f"{server.url}/w.pth gave a damaged or another file, which was removed: its SHA-256 is "
        f"{hashlib.sha256(wrong).hexdigest()[:16]}…, {known[:16]}… was expected"
    )
    assert not isinstance(caught.value, UnavailableError)
    assert left(target) == set()


def test_a_file_that_is_not_there(server: Server, target: Path) -> None:
    with pytest.raises(UnavailableError, match=r"/absent: the server answers 404 Not Found$"):
        download(f"{server.url}/absent", target)
    assert left(target) == set()


def test_a_server_that_is_not_there(target: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/w.pth"
        with pytest.raises(UnavailableError, match=r"w\.pth cannot be reached: \w+"):
            download(url, target)


def test_redirects_lead_to_other_servers_but_to_no_other_protocol(
    server: Server, target: Path
) -> None:
    with Server(redirects={"/a": f"{server.url}/w.pth", "/b": "ftp://127.0.0.1/w.pth"}) as front:
        server.cuts = [1000]
        assert download(f"{front.url}/a", target, SHA256) == SHA256
        target.unlink()
        with pytest.raises(UnavailableError, match="leads to ftp://127.0.0.1/w.pth, which is not"):
            download(f"{front.url}/b", target)


def elsewhere(number: int, request: bytes) -> bytes:
    """More and more bytes each time, but never from where they were asked for."""
    head = b'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nETag: "a"\r\n\r\n'
    if b"Range" in request:
        head = b'HTTP/1.1 206 P\r\nContent-Range: bytes 7-999999/1000000\r\nETag: "a"\r\n\r\n'
    return head + bytes(1000)


def test_a_server_that_resumes_elsewhere_again_and_again_is_given_up(target: Path) -> None:
    with (
        Script(elsewhere) as server,
        pytest.raises(UnavailableError, match=r"w\.pth: the \w+ .*, 5 times in a row"),
    ):
        download(f"{server.url}/w.pth", target)
    assert server.asked <= 12
    assert left(target) <= {"w.pth.partial", "w.pth.partial.mark"}


def test_tries_have_an_upper_bound(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TRIES", 8)

    def drip(number: int, request: bytes) -> bytes:
        head = b"HTTP/1.1 206 P\r\nContent-Range: bytes %d-99/100\r\n" % (number - 1)
        return (head if number > 1 else b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n") + (
            b'ETag: "a"\r\n\r\n.'
        )

    with (
        Script(drip) as server,
        pytest.raises(UnavailableError, match="not there after 8 tries"),
    ):
        download(f"{server.url}/w.pth", target)
    assert server.asked == 8


def test_a_body_without_an_end_is_cut(
    target: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 100_000)
    with pytest.raises(UnavailableError, match="more than 100000 bytes came"):
        download(f"{server.url}/w.pth", target)
    assert left(target) == set()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://host:99999999/\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe/\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://h ost/a b\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /w.pth\r\n\r\n",
        b"HTTP/1.1 302 Found\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 206 P\r\nContent-Range: bytes " + b"9" * 5000 + b"-9/9\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 999999 \x1b]0;\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ],
)
def test_answers_that_make_no_sense_are_one_line(answer: bytes, target: Path) -> None:
    with Script(lambda number, request: answer) as server, pytest.raises(UnavailableError) as error:
        download(f"{server.url}/w.pth", target)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_a_disk_without_room_is_said_before(server: Server, target: Path) -> None:
    server.length = 1 << 60
    with pytest.raises(
        ModelError, match=r"1152921504606\.8 MB are needed and \d+\.\d MB free; NEU"
    ):
        download(f"{server.url}/w.pth", target)
    assert left(target) == set()


def run_python(script: str, *args: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", script, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.skipif(os.name != "posix", reason="limits of Unix")
def test_a_disk_that_fills_up(server: Server, target: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
from neucodec.models.catalogue.download import download
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    download(sys.argv[1], Path(sys.argv[2]))
except Exception as error:
    print(type(error).__name__, error)
"""
    out, _ = run_python(script, f"{server.url}/w.pth", target).communicate(timeout=PATIENCE)
    said = f"ModelError {target} cannot be written: File too large; NEUCODEC_CACHE names another"
    assert out.decode().startswith(said)
    assert left(target) == set()


def test_a_place_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"w\.pth cannot be written: .*; NEUCODEC_CACHE names"):
        download(f"{server.url}/w.pth", tmp_path / "file" / "w.pth")
    assert server.requests == []


def test_two_processes_fetch_one_file(server: Server, target: Path) -> None:
    script = """
import sys
from pathlib import Path
from neucodec.models.catalogue.download import download
from neucodec.models.catalogue.download_progress import Monitor
class Said(Monitor):
    def say(self, text): print(text, flush=True)
print(download(sys.argv[1], Path(sys.argv[2]), monitor=Said()))
"""
    server.gate.clear()
    first = run_python(script, f"{server.url}/w.pth", target)
    wait_for(lambda: server.requests)
    second = run_python(script, f"{server.url}/w.pth", target)
    assert second.stdout and second.stdout.readline() == (
        b"another process is fetching w.pth: waiting\n"
    )
    server.gate.set()
    for process in (first, second):
        assert process.communicate(timeout=PATIENCE)[0].decode() == f"{SHA256}\n"
    assert server.fetched == [""]
    assert target.read_bytes() == CONTENT
