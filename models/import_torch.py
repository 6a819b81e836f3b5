"""Import PyTorch faster, for commands that need it at once."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from importlib.metadata import version
from types import ModuleType

_TRACING = "torch._meta_registrations"
"""Module that only compilers and exporters need (how operators act on tensors without data), and
that takes over a quarter of the time of importing torch."""
_TRIED = "2.13."
"""Versions of torch that were found to run networks without that module; others are imported
whole."""

_MALLOPT = {"MALLOC_ARENA_MAX": (-8, 1), "MALLOC_TRIM_THRESHOLD_": (-1, 1 << 30),
            "MALLOC_MMAP_THRESHOLD_": (-3, 32 << 20)}  # fmt: skip
"""Parameters of glibc's malloc and their values (mallopt(3)), by the names of the environment
variables that set the same. One heap for all threads lets each use what another has freed; freed
memory is kept, so that the system need not give it again page by page."""


def one_heap() -> None:
    """Have glibc keep one heap for the tensors of all threads; with other C libraries do nothing.

    What the environment says about a parameter stays.
    """
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
    """Import torch without what a process that only runs networks never needs.

    For commands, not for libraries: code that traces or compiles in this process later has to
    import the rest first (``torch.Generator()`` needs it, too). A worker of Dask may do others'
    work, and so imports all of torch.
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
