"""Neural audio compression: encode to .ncf and decode again.

>>> import numpy as np
>>> import neucodec
>>> audio = 0.1 * np.sin(np.arange(48000) / 20)
>>> data = neucodec.encode(audio, 48000, bitrate="8kbps")
>>> decoded, samplerate = neucodec.decode(data)
>>> decoded.shape, samplerate
((48000, 1), 48000)

Importing this package is cheap: torch is loaded when something is encoded or decoded. Everything
here may be called from several threads.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .api import decode, encode, info, load_model, open, read, write
    from .errors import NcfDamageWarning, NeucodecError
    from .file import NcfFile
    from .interchange.tokens import read_tokens
    from .model import Model
    from .ncf_info import NcfInfo
    from .tokens import Tokens
    from .writer import NcfWriter

__all__ = [
    "Model",
    "NcfDamageWarning",
    "NcfFile",
    "NcfInfo",
    "NcfWriter",
    "NeucodecError",
    "Tokens",
    "__version__",
    "decode",
    "encode",
    "info",
    "load_model",
    "open",
    "read",
    "read_tokens",
    "write",
]

_HOMES = {
    "Model": "model",
    "NcfDamageWarning": "errors",
    "NcfFile": "file",
    "NcfInfo": "ncf_info",
    "NcfWriter": "writer",
    "NeucodecError": "errors",
    "Tokens": "tokens",
    "read_tokens": "interchange.tokens",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f".{_HOMES.get(name, 'api')}", __name__), name)
    raise AttributeError(f"module 'neucodec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
