"""Make a page that plays ``.ncf`` files in any browser: one HTML file with everything in it."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files

from neucodec.errors import NeucodecError
from neucodec.formats import NcfReader
from neucodec.models import SILENT, Monitor, export_portable

MAX_BYTES = 256 * 10**6
"""Bytes of all files that a page may hold together: browsers hold all of them in memory."""


def player_page(
    title: str,
    named: Sequence[tuple[str, bytes]],
    *,
    offline: str = "",
    monitor: Monitor = SILENT,
) -> str:
    """Return the HTML of a page that plays files, given as names and bytes.

    It holds the player, the decoder as WebAssembly, the weights of the files' codecs and the files.
    ``offline`` and ``monitor`` are as in `export_portable`. Raises NcfError for what is no .ncf,
    ModelError for codecs that the portable decoder lacks, and NeucodecError where files are too
    large.
    """
    size = sum(len(data) for _, data in named)
    if size > MAX_BYTES:
        raise NeucodecError(f"{size} bytes of audio: a page holds {MAX_BYTES}; make several")
    codecs = sorted({NcfReader(io.BytesIO(data)).header.codec for _, data in named})
    weights = {name: export_portable(name, offline=offline, monitor=monitor)[1] for name in codecs}
    content = {
        "wasm": _base64(files(__package__).joinpath("player.wasm").read_bytes()),
        "weights": {name: _base64(data) for name, data in weights.items()},
        "files": [{"name": name, "bytes": _base64(data)} for name, data in named],
    }
    parts = {
        "STYLE": _text("player.css"),
        "WORKER": _text("worker.js"),
        # In a script element nothing but its end tag has a meaning.
        "DATA": json.dumps(content).replace("<", "\\u003c"),
        "SCRIPT": _text("player.js"),
    }
    return _filled(_text("player.html").replace("TITLE", html.escape(title)), parts)


def _filled(template: str, parts: Mapping[str, str]) -> str:
    """Put texts in the places of their names, each of which the template has once."""
    out = []
    for name, part in parts.items():
        before, template = template.split(f">{name}<", 1)
        out += [before, ">", part, "<"]
    return "".join([*out, template])


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
