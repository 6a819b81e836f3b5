"""Starting PyTorch for commands that want it at once."""

from __future__ import annotations

import gc
import sys


def start_torch() -> None:
    """Import torch without collecting garbage meanwhile: a quarter of a command's start.

    Of all that is made here next to nothing is garbage, so what there is is not looked through
    later on, either.
    """
    if "torch" in sys.modules:
        return
    collects = gc.isenabled()
    gc.disable()
    try:
        import torch  # noqa: F401
    finally:
        gc.freeze()
        if collects:
            gc.enable()
