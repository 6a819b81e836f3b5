"""Starting PyTorch for commands that want it at once."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from importlib.metadata import version
from types import ModuleType

_TRACING = "torch._meta_registrations"
"""What operators written in Python do to tensors without data, for compilers and exporters alone:
over a quarter of the time that importing torch takes."""
_TRIED = "2.13."
"""Versions that were found to do without. Others are imported whole."""

_MALLOPT = {"MALLOC_ARENA_MAX": (-8, 1), "MALLOC_TRIM_THRESHOLD_": (-1, 1 << 30),
            "MALLOC_MMAP_THRESHOLD_": (-3, 32 << 20)}  # fmt: skip
"""Of glibc's malloc (mallopt(3)), by the environment's names: one heap for all threads, so that
what one has freed serves the others, and freed memory kept, so that it need not be had again page
by page."""


def one_heap() -> None:
    """Have glibc keep one heap for the tensors of all threads; what the environment says about it
    stays. Elsewhere nothing happens."""
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return
    for name, (parameter, value) in _MALLOPT.items():
        if name not in os.environ:
            mallopt(parameter, value)


def start_torch() -> None:
    """Import torch, less what a process that only runs networks never needs.

    For commands, not for libraries: whoever traces or compiles in this process later on has to
    import the rest first (``torch.Generator()`` wants it, too). A worker of Dask may do others'
    work, and so gets all of it.
    """
    if not {"torch", "distributed", _TRACING}.isdisjoint(sys.modules):
        return
    one_heap()
    without = version("torch").startswith(_TRIED)
    if without:
        sys.modules[_TRACING] = ModuleType(_TRACING)
    collects = gc.isenabled()
    gc.disable()  # of all that is made here, next to nothing is garbage
    try:
        import torch  # noqa: F401
    finally:
        if without:
            del sys.modules[_TRACING]
        gc.freeze()
        if collects:
            gc.enable()
