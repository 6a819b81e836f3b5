"""Turn floating-point weights into the integers that an entropy model computes with.

Every step is a correctly rounded one on single numbers, or a sum rounded once (`math.fsum`), so
that the same file gives the same integers on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neucodec.models.errors import ModelError

from .arithmetic import ATTENTION_BITS, GELU_BITS, OCTAVE_BITS, UNIT_BITS, VALUE_BITS, VALUE_LIMIT
from .blocks import PAST_LIMIT, QUERY_LIMIT
from .config import LmConfig

Array = npt.NDArray[np.float64]
Integers = dict[str, Tensor]

_OCTAVES_PER_NEPER = 1.4426950408889634  # 1 / ln 2


def quantise(state: Mapping[str, Tensor], config: LmConfig) -> Integers:
    """Make the integers of a `CodeTransformer` from its state dict."""
    source = {name: _float64(t) for name, t in state.items()}
    out: Integers = {
        "position": stream(source["position"], "position"),
        "count": stream(source["count"], "count"),
    }
    for k in range(config.codebooks):
        for kind in ("past", "present"):
            out |= _embedding(source, f"{kind}.{k}")
    for i in range(config.layers):
        out |= _layer(source, f"layers.{i}", config.heads)
    for k in range(config.codebooks):
        out |= _head(source, f"heads.{k}")
    return out


def _layer(source: Mapping[str, Array], at: str, heads: int) -> Integers:
    gain, offset = source[f"{at}.attention_norm.weight"], source[f"{at}.attention_norm.bias"]
    weight, bias = _fold(source, f"{at}.qkv", gain, offset)
    # Rows that are normalised have a length of sqrt(width).
    reach = [
        math.sqrt(len(gain)) * length(row) + abs(b) for row, b in zip(weight, bias, strict=True)
    ]
    out, shares = attention(weight, bias, reach, heads, f"{at}.attention")
    merge = source[f"{at}.merge.weight"] * shares
    out |= linear(
        f"{at}.attention.merge", merge, source[f"{at}.merge.bias"], ATTENTION_BITS, VALUE_BITS
    )
    gain, offset = source[f"{at}.feed_norm.weight"], source[f"{at}.feed_norm.bias"]
    weight, bias = _fold(source, f"{at}.expand", gain, offset)
    out |= linear(f"{at}.feed.expand", weight, bias, UNIT_BITS, GELU_BITS)
    reduce = source[f"{at}.reduce.weight"], source[f"{at}.reduce.bias"]
    return out | linear(f"{at}.feed.reduce", *reduce, UNIT_BITS, VALUE_BITS)


def _head(source: Mapping[str, Array], at: str) -> Integers:
    weight, bias = _fold(
        source, f"{at}.expand", source[f"{at}.norm.weight"], source[f"{at}.norm.bias"]
    )
    out = linear(f"{at}.expand", weight, bias, UNIT_BITS, GELU_BITS)
    weight, bias = source[f"{at}.output.weight"], source[f"{at}.output.bias"]
    return out | logits(f"{at}.reduce", weight, bias, UNIT_BITS)


def _fold(source: Mapping[str, Array], at: str, gain: Array, offset: Array) -> tuple[Array, Array]:
    """Return weight and bias of a layer with the gain and bias of the norm before it."""
    weight, bias = source[f"{at}.weight"], source[f"{at}.bias"]
    moved = [math.fsum([b, *(row * offset)]) for row, b in zip(weight, bias, strict=True)]
    return weight * gain, np.array(moved)


def attention(
    weight: Array, bias: Array, reach: list[float], heads: int, at: str, unit_bits: int = UNIT_BITS
) -> tuple[Integers, Array]:
    """Make the integers of queries, keys and values; return them and the unit of each value.

    weight [3 * width, width] and bias [3 * width]; reach [3 * width] says how large each output
    can get. Queries and keys of a head share a unit, each value has its own.
    """
    width = weight.shape[1]
    depth = width // heads
    weight, bias = weight.copy(), bias.copy()
    # Scores in octaves, divided by the root of the depth.
    factor = _OCTAVES_PER_NEPER / math.sqrt(depth)
    weight[:width] *= factor
    bias[:width] *= factor
    reach = [r * factor for r in reach[:width]] + reach[width:]
    exponents = []
    for first in range(0, 2 * width, depth):
        limit = QUERY_LIMIT if first < width else PAST_LIMIT
        exponents += [_exponent(max(reach[first : first + depth]), limit)] * depth
    exponents += [_exponent(r, PAST_LIMIT) for r in reach[2 * width :]]
    units = np.ldexp(1.0, np.array(exponents))
    out = linear(f"{at}.qkv", weight / units[:, None], bias / units, unit_bits, 0)
    scores = [
        exponents[h * depth] + exponents[width + h * depth] + OCTAVE_BITS for h in range(heads)
    ]
    out[f"{at}.exponent"] = torch.tensor(scores, dtype=torch.int8)
    return out, units[2 * width :]


def linear(at: str, weight: Array, bias: Array, in_bits: int, out_bits: int) -> Integers:
    """Make the integers of a linear layer from units of 2^-in_bits to units of 2^-out_bits."""
    integers, exponents = _rows(np.ldexp(weight, out_bits - in_bits), at)
    return {
        f"{at}.weight": integers,
        f"{at}.exponent": exponents,
        f"{at}.bias": _whole(np.ldexp(bias, out_bits), f"{at}.bias"),
    }


def logits(at: str, weight: Array, bias: Array, in_bits: int) -> Integers:
    """Make the integers of a linear layer for log-odds: weights give nepers, integers octaves."""
    weight, bias = weight * _OCTAVES_PER_NEPER, bias * _OCTAVES_PER_NEPER
    return linear(at, weight, bias, in_bits, OCTAVE_BITS)


def _embedding(source: Mapping[str, Array], at: str) -> Integers:
    codes, codes_exponent = _rows(source[f"{at}.table.weight"], at)
    project, exponent = _rows(np.ldexp(source[f"{at}.project.weight"], VALUE_BITS), at)
    return {
        f"{at}.codes": codes,
        f"{at}.codes_exponent": codes_exponent,
        f"{at}.project": project,
        f"{at}.exponent": exponent,
    }


def _rows(matrix: Array, at: str) -> tuple[Tensor, Tensor]:
    """Return each row as integers within +-127 and a power of two: int8 [N, K] and int8 [N]."""
    mantissas, exponents = np.frexp(np.abs(matrix).max(-1))
    # 127.5 / 128 is where rounding to 127 ends.
    exponents = np.maximum(exponents - np.where(mantissas < 127.5 / 128, 7, 6), -32)
    if not np.isfinite(matrix).all() or np.abs(exponents).max() > 60:
        raise ModelError(f"entropy model: {at} has numbers that are no sensible weights")
    integers = np.rint(np.ldexp(matrix, -exponents[:, None]))
    return torch.from_numpy(integers.astype(np.int8)), torch.from_numpy(exponents.astype(np.int8))


def _exponent(reach: float, limit: float) -> int:
    """Return the smallest s from -32 on with reach < limit * 2^s, for a limit of at most 2048."""
    s = max(math.frexp(reach)[1] - 12, -32)
    while reach >= math.ldexp(limit, s):
        s += 1
    return s


def stream(values: Array, at: str, limit: int = VALUE_LIMIT) -> Tensor:
    """Round values to whole units of the stream, int32; ModelError beyond ``limit`` of them."""
    return _whole(np.ldexp(values, VALUE_BITS), at, limit)


def _whole(values: Array, at: str, limit: int = VALUE_LIMIT) -> Tensor:
    if not np.abs(values).max() <= limit:
        raise ModelError(f"entropy model: {at} has numbers that are no sensible weights")
    return torch.from_numpy(np.rint(values).astype(np.int32))


def length(row: Array) -> float:
    """Return the Euclidean length of a row, the same on every machine."""
    return math.sqrt(math.fsum(row * row))


def _float64(tensor: Tensor) -> Array:
    return tensor.detach().cpu().numpy().astype(np.float64)
