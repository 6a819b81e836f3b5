"""Hostile servers on this machine: answers that make no sense, stall, lie, redirect, never end."""

from __future__ import annotations

import random
import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fuzz_mutations import INTEGERS, bytes_at_random

from neucodec.files import remote, web
from neucodec.jobs.input_files import find_files
from neucodec.jobs.input_kinds import Kind
from neucodec.models.catalogue import download as downloads
from neucodec.models.catalogue.download import download

_MOST_READ = 1 << 20
_WAVS = Kind("audio files", frozenset({".wav"}))
_STATUS = (
    b"200 OK", b"206 Partial Content", b"302 Found", b"301 Moved", b"404 Not Found", b"416 R",
    b"500 Error", b"503 Busy", b"204 None", b"100 Continue", b"999", b"0", b"-1", b"200",
    b"200 \x1b]0;title\x07", b"500 \x1b[2J\n", b"\xff\xfe", b"20 OK", b"",
)  # fmt: skip
_PLACES = (
    b"/w.pth", b"/a", b"//", b"http://[::1", b"http://h:99999/", b"ftp://h/", b"file:///etc/passwd",
    b"http://\xff/", b"javascript:1", b"", b"?", b"http://0/", b"/" + b"a" * 5000, b"\x1b[2J",
    b"https://127.0.0.1:1/", b"http://127.0.0.1:1/", b"data:,x", b"/../../etc/passwd",
)  # fmt: skip
_LINKS = (
    "../", "x/../../../evil/", "%2e%2e/", "..%2f..%2fevil.wav", "/evil/", "http://127.0.0.1:1/e.wav",
    "?C=N", "http://[", "a.wav", "b/", "b%20c.wav", "./a/./b.wav", "a//b.wav", "a.wav?x", "a.wav#x",
    "..", ".", "", "/", "//127.0.0.1/e.wav", "\\..\\e.wav", "c:\\e.wav", "a\0.wav", "\x1b[2J.wav",
    "javascript:e.wav", "d/" * 50, "a.wav/", "&#46;&#46;/e.wav", "%00.wav", "é.wav", "%ff.wav",
    "%2Fe.wav", "%5c..%5ce.wav", "...wav", "a" * 5000 + ".wav", "http://é/", "http:a.wav", "//",
)  # fmt: skip


class Hostile:
    """A server that answers each connection by a script of the case's."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.answer: Callable[[bytes], bytes] = lambda request: b""
        self.asked = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection, suppress(OSError):
                connection.settimeout(2)
                request = connection.recv(1 << 16)
                self.asked += 1
                connection.sendall(self.answer(request))


def _number(rng: random.Random) -> bytes:
    if rng.random() < 0.1:
        return rng.choice((b"9" * 5000, b"-1", b"1e9", b"0x10", b"\xb2", b"", b" 5 ", b"5,5", b"*"))
    return str(rng.choice((*INTEGERS, 10, 100, 1000))).encode()


def _headers(rng: random.Random, body: bytes) -> list[bytes]:
    size = str(len(body)).encode()
    made = [
        b"Content-Length: " + (size if rng.random() < 0.6 else _number(rng)),
        b"Content-Range: bytes " + _number(rng) + b"-" + _number(rng) + b"/" + _number(rng),
        b"Content-Range: bytes 0-" + size + b"/" + size,
        b"ETag: " + rng.choice((b'"a"', b'"b"', b"W/\"a\"", b"a", b'"\xff"', b'"' + b"x" * 900)),
        b"Last-Modified: " + rng.choice((b"Mon, 1 Jan 2024 00:00:00 GMT", b"never", b"\x1b[2J")),
        b"Location: " + rng.choice(_PLACES),
        b"Transfer-Encoding: " + rng.choice((b"chunked", b"gzip", b"x", b"chunked, chunked")),
        b"Content-Encoding: " + rng.choice((b"gzip", b"br", b"deflate", b"identity")),
        b"Accept-Ranges: " + rng.choice((b"bytes", b"none")),
        b"Content-Type: " + rng.choice((b"text/html", b"audio/wav", b"text/html; charset=utf-7")),
        b"Set-Cookie: a=b; Domain=" + rng.choice((b"\xff", b"127.0.0.1", b"")),
        b"A: b\r\n" * rng.choice((1, 50, 300)), b"no colon", b": empty", b" folded", b"A:\0b",
    ]  # fmt: skip
    return rng.sample(made, rng.randint(0, 6))


def _script(rng: random.Random, bodies: list[bytes]) -> Callable[[bytes], bytes]:
    """A few answers, given in turn, the last ones over and over."""
    answers = []
    for _ in range(rng.choice((1, 1, 2, 4))):
        body = rng.choice(bodies)
        status = rng.choice(_STATUS[:8] if rng.random() < 0.8 else _STATUS)
        if rng.random() < 0.3:
            status = b"200 OK"
        if rng.random() < 0.2:
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (rng.choice((len(body), 1 << 40, 0)), body)
        data = b"HTTP/1.1 " + status + b"\r\n"
        data += b"".join(line + b"\r\n" for line in _headers(rng, body)) + b"\r\n" + body
        if rng.random() < 0.2:
            data = bytes_at_random(data, rng)
        answers.append(data[: rng.randint(0, len(data))] if rng.random() < 0.1 else data)
    turn = iter(answers * 50)
    return lambda request: next(turn, answers[-1])


def server_cases() -> Callable[[random.Random], tuple[bytes, Callable[[], str]]]:
    """Downloads of weights, and files at URLs."""
    downloads.PAUSE, downloads.TIMEOUT = 0.0, 0.3
    downloads.MOST_TRIES = 40
    web.CONNECT_SECONDS = web.SILENT_SECONDS = 0.3
    web.ANSWER_SECONDS = 1.0
    hostile, folder = Hostile(), Path(tempfile.mkdtemp())
    bodies = [b"", b"x", bytes(1000), bytes(range(256)) * 20]

    def case(rng: random.Random) -> tuple[bytes, Callable[[], str]]:
        script = _script(rng, bodies)
        way, known = rng.randrange(4), rng.choice(("", "0" * 8))
        said = [script(b"")]

        def answer(request: bytes) -> bytes:
            return said.pop() if said else script(request)

        def run() -> str:
            hostile.answer, hostile.asked = answer, 0
            for path in folder.iterdir():
                path.unlink()
            try:
                if way < 2:
                    download(f"{hostile.url}/w.pth", folder / "w.pth", known)
                elif way == 2:
                    remote.state(f"{hostile.url}/a.wav")
                else:
                    with remote.open_to_read(f"{hostile.url}/a.wav") as file:
                        file.read(10)
                        file.read(_MOST_READ)
            finally:
                assert hostile.asked <= downloads.MOST_TRIES * 12, "asked again and again"
            return "done"

        return said[0], run

    return case


def listing_cases() -> Callable[[random.Random], tuple[bytes, Callable[[], str]]]:
    """Directories at URLs."""
    web.CONNECT_SECONDS = web.SILENT_SECONDS = 0.3
    web.ANSWER_SECONDS = 1.0
    web.MAX_FOLDERS = 100
    hostile = Hostile()

    def case(rng: random.Random) -> tuple[bytes, Callable[[], str]]:
        pages = [_page(rng) for _ in range(rng.randint(1, 3))]
        data = b"".join(pages)

        def answer(request: bytes) -> bytes:
            page = pages[hostile.asked % len(pages)]
            return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b" % (
                len(page), page,
            )  # fmt: skip

        def run() -> str:
            hostile.answer, hostile.asked = answer, 0
            root = f"{hostile.url}/d/"
            found = find_files([root], _WAVS)
            for name, place in found.files:
                assert name == f"{root}{place.as_posix()}", "a file at another URL"
                assert not place.is_absolute() and ".." not in place.parts, "a place outside"
                assert "\0" not in name and "%2f" not in name.lower()[len(root) :], (
                    "a place outside"
                )
            assert hostile.asked <= web.MAX_FOLDERS, "asked again and again"
            assert all(len(reason) < 1000 for _, reason in found.failures)
            return "listed" if found.files else "nothing found"

        return data, run

    return case


def _page(rng: random.Random) -> bytes:
    """A page with links, some of them mended into nonsense."""
    links = "".join(
        rng.choice(('<a href="%s">', "<A HREF='%s'>", "<a href=%s>", '<a x href = "%s" y>', "%s"))
        % rng.choice(_LINKS)
        for _ in range(rng.choice((1, 5, 40)))
    )
    noise = rng.choice(("", "<a " * 500, "<!--" * 500, "<a href=" * 500, "<a " + " " * 5000))
    data = (links + noise if rng.random() < 0.5 else noise + links).encode()
    return bytes_at_random(data, rng) if rng.random() < 0.3 else data
