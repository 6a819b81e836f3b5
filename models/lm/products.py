"""Multiply matrices of small integers, exactly in whichever way the machine does it."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from .arithmetic import recast

Products = Literal["int8", "float32", "float64"]
"""Types of number in which int8 matrices are multiplied. All give the same integers."""

EXACT = 1 << 24
"""Sums of integers below this are exact in float32."""


class Matrix:
    """An int8 matrix [outputs, inputs] to multiply rows of integers within +-127 by."""

    def __init__(self, weight: Tensor, products: Products) -> None:
        most = int(weight.abs().int().sum(-1).max()) * 127
        if most >= EXACT:
            raise ValueError(f"sums of up to {most} are not exact in float32")
        if products == "int8" and not _exact(*weight.shape, weight.device):
            products = "float32"
        self._products = products
        types = {"int8": torch.int8, "float32": torch.float32, "float64": torch.float64}
        # The shape is [inputs, outputs], but each output's weights lie side by side.
        self._weight = weight.to(types[products]).contiguous().t()

    def __call__(self, rows: Tensor) -> Tensor:
        """Multiply integers [R, inputs] to products [R, outputs], both float32."""
        if self._products == "float32":
            return rows @ self._weight
        if self._products == "float64":
            return (rows.double() @ self._weight).float()
        return recast(torch._int_mm(rows.to(torch.int8), self._weight), torch.float32)


def exact_bmm(a: Tensor, b: Tensor) -> Tensor:
    """Return the batched product of float32 integers whose sums stay below 2^24."""
    if a.device.type == "cpu" and _float32_is_itself():
        return torch.bmm(a, b)
    return torch.bmm(a.double(), b.double()).float()


def _float32_is_itself() -> bool:
    """Return whether float32 products are not made of shorter numbers, as settings allow."""
    if torch.get_float32_matmul_precision() != "highest":
        return False
    mkldnn = getattr(torch.backends.mkldnn, "matmul", None)
    return getattr(mkldnn, "fp32_precision", "none") in ("none", "ieee")


@lru_cache
def fastest(device: torch.device) -> Products:
    """Measure which kind of product is the fastest on this machine."""
    if device.type != "cpu":
        return "float32"
    weight, rows = _extremes(512, 256, device), _extremes(64, 256, device).float()
    quick, ordinary = (_seconds(Matrix(weight, kind), rows) for kind in ("int8", "float32"))
    return "int8" if quick < ordinary else "float32"


def _seconds(matrix: Matrix, rows: Tensor) -> float:
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        matrix(rows)
        best = min(best, time.perf_counter() - start)
    return best


@lru_cache
def _exact(outputs: int, inputs: int, device: torch.device) -> bool:
    """Return whether products of int8 of this size exist here, and are exact."""
    weight = _extremes(outputs, inputs, device)
    try:
        for count in (1, 17, 64, 350):
            rows = _extremes(count, inputs, device)
            product = torch._int_mm(rows, weight.t())
            if not torch.equal(product.double(), rows.double() @ weight.double().t()):
                return False
    except (RuntimeError, AttributeError):
        return False
    return True


def _extremes(rows: int, columns: int, device: torch.device) -> Tensor:
    """Return an int8 matrix of all values; a third of its rows hold the largest alone.

    Those are where eight-bit instructions of older processors saturate.
    """
    out = (torch.arange(rows * columns, device=device) * 7 % 255 - 127).view(rows, columns)
    out[::6], out[3::6] = 127, -127
    return out.to(torch.int8)
