"""Choose the type of number that networks compute in, and keep weights in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PRECISIONS = ("float32", "bfloat16", "auto")
"""Names of precisions; ``auto`` is bfloat16 where the device has it in hardware, else float32."""


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device multiplies bfloat16 faster than float32."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # PyTorch has no public name for this.
    query = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and query is not None and bool(query())


def in_bfloat16(precision: str, device: torch.device) -> bool:
    """Return whether a name in `PRECISIONS` means bfloat16 on a device."""
    return precision == "bfloat16" or (precision == "auto" and has_bfloat16(device))


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Make a context in which torch computes in bfloat16 where it is safe, if that is wanted.

    ``precision`` is one of `PRECISIONS`.
    """
    import torch

    return torch.autocast(device.type, torch.bfloat16, enabled=in_bfloat16(precision, device))


class _Builds:
    """How many networks are being built at this moment, and the program's own default type."""

    def __init__(self) -> None:
        self.lock, self.count = Lock(), 0
        self.default: torch.dtype | None = None


_builds = _Builds()


@contextmanager
def float32_by_default() -> Iterator[None]:
    """Make new tensors float32 while a network is built, whatever default the program has set.

    Weights are published in float32, and encoding computes in it. Several threads may be in here at
    once.
    """
    import torch

    with _builds.lock:
        if not _builds.count:
            _builds.default = torch.get_default_dtype()
            torch.set_default_dtype(torch.float32)
        _builds.count += 1
    try:
        yield
    finally:
        with _builds.lock:
            _builds.count -= 1
            if not _builds.count and _builds.default is not None:
                torch.set_default_dtype(_builds.default)
