"""Servers of files on this machine, honest and otherwise: plain HTTP, and the Hub's protocol."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from conftest import PATIENCE

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Request(NamedTuple):
    """What a client asked for."""

    method: str
    path: str
    range: str


@dataclass
class Server:
    """Serves ``files`` by path, with ranges; what can go wrong is chosen by the attributes."""

    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    """After how many bytes of a body the next connections end, one entry for each."""
    answers: list[int] = field(default_factory=list)
    """Statuses that the next requests get instead of a file."""
    redirects: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    marked: bool = True
    """Whether bodies come with an ETag."""
    length: int | None = None
    """What to say of the length, if not the truth."""
    gate: threading.Event = field(default_factory=threading.Event)
    """Cleared, it keeps back the second half of a body."""

    def __post_init__(self) -> None:
        self.gate.set()

    def __enter__(self) -> Server:
        handler = type("Handler", (_Handler,), {"site": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def fetched(self) -> list[str]:
        """Ranges of the bodies that were asked for, ``""`` for a whole one."""
        return [r.range for r in self.requests if r.method == "GET"]

    def find(self, path: str) -> bytes | None:
        """The file of that path."""
        return self.files.get(path)

    def headers(self, content: bytes) -> dict[str, str]:
        """What is said of a file, beside its length."""
        return {"ETag": f'"{hashlib.md5(content).hexdigest()}"'} if self.marked else {}


class Hub(Server):
    """Knows ``files`` as ``owner/name/file``, in one revision; large ones by their SHA-256."""

    told: bool = True
    """Whether it gives SHA-256, as for files in LFS, or only the git hash."""
    lie: bytes = b""
    """What it gives instead of the content that it promises."""

    def find(self, path: str) -> bytes | None:
        repository, resolve, rest = path.strip("/").partition("/resolve/")
        return self.files.get(f"{repository}/{rest.partition('/')[2]}") if resolve else None

    def headers(self, content: bytes) -> dict[str, str]:
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        found = {"X-Repo-Commit": COMMIT, "ETag": f'"{git}"'}
        if self.told:
            found["X-Linked-Etag"] = f'"{hashlib.sha256(content).hexdigest()}"'
            found["X-Linked-Size"] = str(len(content))
        return found


class Script:
    """Answers the n-th connection with the bytes that ``answer(n, request)`` gives, and ends it."""

    def __init__(self, answer: Callable[[int, bytes], bytes]) -> None:
        self.answer = answer
        self.asked = 0

    def __enter__(self) -> Script:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def _serve(self) -> None:
        with suppress(OSError):  # of the closed socket
            while True:
                connection, _ = self._socket.accept()
                with connection, suppress(OSError):
                    asked = connection.recv(1 << 16)
                    self.asked += 1
                    connection.sendall(self.answer(self.asked, asked))


class _Handler(BaseHTTPRequestHandler):
    site: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_CONNECT(self) -> None:
        """Refuse to be a proxy, but remember for whom."""
        self.site.requests.append(Request(self.command, self.path, ""))
        self._head(403, {"Content-Length": "0"})

    def _serve(self) -> None:
        site, path = self.site, unquote(urlsplit(self.path).path)
        content = site.find(path)
        if content is not None or path in site.redirects:
            wanted = self.headers.get("Range", "")
            site.requests.append(Request(self.command, path, wanted))
        if path in site.redirects:
            self._head(302, {"Location": site.redirects[path], "Content-Length": "0"})
        elif content is None:
            self._head(404, {"X-Error-Code": "EntryNotFound", "Content-Length": "0"})
        elif site.answers:
            self._head(site.answers.pop(0), {"Content-Length": "0"})
        else:
            self._give(content)

    def _give(self, content: bytes) -> None:
        site, start = self.site, 0
        headers = site.headers(content)
        given = self.headers.get("If-Range")
        if site.ranges and "Range" in self.headers and given in (None, headers.get("ETag")):
            start = int(self.headers["Range"].removeprefix("bytes=").partition("-")[0])
        size = len(content)
        if start >= size > 0:
            self._head(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
            return
        if start:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        headers["Content-Length"] = str(site.length or size - start)
        self._head(206 if start else 200, headers)
        if self.command == "GET":
            self._body((getattr(site, "lie", b"") or content)[start:])

    def _body(self, body: bytes) -> None:
        cut = self.site.cuts.pop(0) if self.site.cuts else len(body)
        middle = min(cut, len(body) // 2)
        with suppress(ConnectionError):
            self.wfile.write(body[:middle])
            self.wfile.flush()
            self.site.gate.wait(PATIENCE)
            self.wfile.write(body[middle:cut])

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def wait_for(happened: Callable[[], object]) -> None:
    """Until it has, or the test fails."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)
