"""Open the URLs of downloads: certificates are checked, and encryption is never left."""

from __future__ import annotations

import http.client
import importlib
import ssl
import urllib.request
from contextlib import suppress
from typing import IO

from neucodec.models.errors import UnavailableError


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from an encrypted place to one that is not."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        scheme = newurl.partition(":")[0].lower()
        if scheme != "https" and (scheme != "http" or req.type != "http"):
            raise UnavailableError(
                f"{req.full_url} leads to {newurl[:200]}, which is not encrypted"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def opener() -> urllib.request.OpenerDirector:
    """Make what opens the URLs of downloads."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not paths.capath:
        # Python's own builds for macOS know no certificates unless one runs a script of theirs.
        with suppress(ImportError):
            context.load_verify_locations(importlib.import_module("certifi").where())
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _Redirects())
