"""Neural audio compression: encode to .ncf and decode again.

>>> import neucodec                                            # doctest: +SKIP
>>> data = neucodec.encode(audio, 48000, bitrate="8kbps")      # doctest: +SKIP
>>> audio, samplerate = neucodec.decode(data)                  # doctest: +SKIP

Importing this package is cheap: torch is loaded when something is encoded or decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .api import decode, encode, load_model, open

__all__ = ["__version__", "decode", "encode", "load_model", "open"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module 'neucodec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
