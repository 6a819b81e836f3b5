"""Compute exactly what entropy models compute, as INTEGER.md specifies.

Tensors hold integers, or integers times a power of two, in floating-point containers. Every
operation here has an exact result in its container, or one whose rounding INTEGER.md defines as an
operation on integers; so neither device nor order of summation, threads or fused multiply-add can
change a bit.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import lru_cache

import torch
from torch import Tensor

from neucodec.models.parts.argmax import argmax

from .frequencies import TOTAL_BITS

VALUE_BITS = 12
"""Values between layers (the stream of INTEGER.md) count in units of 2 ** -VALUE_BITS."""
VALUE_LIMIT = 1 << 21
"""Values between layers are kept within +-VALUE_LIMIT units."""
GAIN_LIMIT = 1 << 18
"""Gains of norms are within +-GAIN_LIMIT units of the stream."""
UNIT_BITS = 10
"""Normalised rows without a gain, and what GELU gives, count in units of 2 ** -UNIT_BITS."""
GELU_BITS = 6
"""Inputs of GELU count in units of 2 ** -GELU_BITS."""
GELU_LIMIT = 1 << 11
"""Inputs of GELU are kept from -GELU_LIMIT to GELU_LIMIT - 1 units."""
OCTAVE_BITS = 11
"""Log-odds count in units of 2 ** -OCTAVE_BITS octaves (powers of two)."""
SCORE_LIMIT = 1 << 21
"""Log-odds are kept within +-SCORE_LIMIT units."""
ATTENTION_BITS = 16
"""Weights of attention sum to about 2 ** ATTENTION_BITS."""

_PEAK = 14  # the likeliest code's weight is 2 ** _PEAK
_FLOOR = -11  # and the smallest weight that a code can have is 2 ** _FLOOR
_BIAS = 127  # of float32's exponent
_EPSILON = 168  # 1e-5 in squared units of the stream, nearly: 167.77
_EXPONENT = 0x7F800000  # the bits of float32 that hold the exponent
_KEEP_12 = -1 << 41  # of float64's 53 significant bits, the first 12
_KEEP_24 = -1 << 29


def quantise_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise rows [..., n] of integers to integers within +-127 times a power of two [..., 1].

    The power is the smallest 2^s with every |x| < 127.5 * 2^s and 1 < 127.5 * 2^s; x / 2^s is
    rounded half to even.
    """
    largest = torch.maximum(x.amax(-1, keepdim=True), x.amin(-1, keepdim=True).neg_()).clamp_min_(1)
    # 127.5 has eight significant bits: adding the eighth carries into the exponent from there on.
    exponent = largest.view(torch.int32).add_((1 << 16) - (6 << 23))
    exponent &= constant(_EXPONENT, torch.int32, x.device)
    inverse = (2 * _BIAS << 23) - exponent
    return (x * inverse.view(torch.float32)).round_(), exponent.view(torch.float32)


def normalise(x: Tensor, gain: Tensor | None, bias: Tensor | None) -> Tensor:
    """Normalise rows [..., n] in units of the stream by layer norm (arXiv 1607.06450).

    With a gain (float64 [n], in units of the stream) and a bias (float32 [n]) the result is in
    units of the stream again, without them in units of 2 ** -UNIT_BITS.
    """
    n = x.shape[-1]
    centred = x.double()
    centred -= (centred.sum(-1, keepdim=True) / n).round_()
    power = (centred * centred).sum(-1, keepdim=True).add_(_EPSILON * n)
    # With 24 bits of the one and 12 of the other, float64 cannot round across a bound.
    bits = power.view(torch.int64)
    bits &= constant(_KEEP_24, torch.int64, x.device)
    if gain is None or bias is None:
        factor = _leading_bits(_quotient(n << 2 * UNIT_BITS, power).sqrt_())
        return centred.mul_(factor).round_().float()
    factor = _leading_bits(_quotient(n, power).sqrt_())
    out = centred.mul_(factor).mul_(gain).round_().float()
    return out.add_(bias).clamp_(-VALUE_LIMIT, VALUE_LIMIT)


def exponentials(scores: Tensor, peak: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """Return powers of two of rows [..., n] of log-odds, and the factor by which they sum to total.

    peak [..., 1] is each row's largest. 2^x is taken as 2^floor(x) (1 + x - floor(x)), which is
    what the bits of a floating-point number mean, and so it is made. The weights [..., n] have 12
    significant bits, and so has the factor [..., 1]: their products are exact. Overwrites scores.
    """
    scores -= peak - ((_BIAS + _PEAK) << OCTAVE_BITS)
    scores.clamp_min_((_BIAS + _FLOOR) << OCTAVE_BITS).mul_(1 << 23 - OCTAVE_BITS)
    weights = recast(scores, torch.int32).view(torch.float32)
    whole = weights.round().sum(-1, keepdim=True)
    return weights, _leading_bits(_quotient(total, whole)).float()


def recast(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert numbers to another type of as many bytes, in the same memory, to spare the cache."""
    return x.view(dtype).copy_(x)


def _quotient(a: int, b: Tensor) -> Tensor:
    """Return a / b in float64. (PyTorch would multiply a plain number by the reciprocal of b.)"""
    return torch.div(constant(a, torch.float64, b.device), b)


def _leading_bits(x: Tensor) -> Tensor:
    """Cut positive float64 down to 12 significant bits, in place."""
    bits = x.view(torch.int64)
    bits &= constant(_KEEP_12, torch.int64, x.device)
    return x


@lru_cache
def constant(value: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a number as a tensor [1], as PyTorch takes it fastest; made once for each device."""
    return torch.tensor([value], dtype=dtype, device=device)


def frequencies(logits: Tensor) -> Tensor:
    """Turn log-odds [..., n] into int32 frequencies that sum to 2 ** TOTAL_BITS, each at least 1.

    What rounding leaves over, or takes too much, goes to the likeliest code, the first of them if
    there are several. Overwrites logits.
    """
    likeliest = argmax(logits).unsqueeze(-1)
    size = logits.shape[-1]
    peak = logits.gather(-1, likeliest)
    weights, factor = exponentials(logits, peak, (1 << TOTAL_BITS) - size)
    out = recast(weights.mul_(factor), torch.int32).add_(1)
    left = (1 << TOTAL_BITS) - out.sum(-1, keepdim=True, dtype=torch.int32)
    return out.scatter_add_(-1, likeliest, left)


def attention_weights(scores: Tensor) -> Tensor:
    """Turn rows of log-odds into whole weights that sum to about 2 ** ATTENTION_BITS (soft-max)."""
    peak = torch.amax(scores, -1, keepdim=True)
    weights, factor = exponentials(scores, peak, 1 << ATTENTION_BITS)
    return weights.mul_(factor).round_()


def gelu_table() -> Tensor:
    """Return GELU (arXiv 1606.08415) of -GELU_LIMIT and on, float32 [2 * GELU_LIMIT].

    It is x Phi(x), with Phi by its series 1/2 + phi(x) (x + x^3 / 3 + x^5 / (3 * 5) + ...), rounded
    half to even.
    """
    values = [0] * (2 * GELU_LIMIT)
    with localcontext(Context(prec=50, rounding=ROUND_HALF_EVEN)):
        density = 1 / (2 * PI).sqrt()
        for i in range(GELU_LIMIT + 1):
            x = Decimal(i) / (1 << GELU_BITS)
            upper = Decimal(1)
            if x < 8:  # beyond, it is 1 to all the digits that matter
                term = total = x
                k = 1
                while term > Decimal("1e-45"):
                    k += 2
                    term = term * x * x / k
                    total += term
                upper = Decimal("0.5") + density * (-x * x / 2).exp() * total
            if i < GELU_LIMIT:
                values[GELU_LIMIT + i] = _rounded(x * upper * (1 << UNIT_BITS))
            values[GELU_LIMIT - i] = _rounded(x * (upper - 1) * (1 << UNIT_BITS))
    return torch.tensor(values, dtype=torch.float32)


def sinusoids(frames: int, width: int) -> Tensor:
    """Return codes of positions [frames, width], in units of the stream.

    They are cosines, then sines, of t / period^e with e = i / (width / 2 - 1) and a period of 10000
    (arXiv 1706.03762, section 3.5, in EnCodec's order).
    """
    half = width // 2
    columns: list[list[int]] = [[] for _ in range(width)]
    with localcontext(Context(prec=40, rounding=ROUND_HALF_EVEN)):
        period = Decimal(10000).ln()
        for i in range(half):
            turn_cos, turn_sin = _cos_sin((-period * i / (half - 1)).exp())
            cos, sin = Decimal(1), Decimal(0)
            for _ in range(frames):
                columns[i].append(_rounded(cos * (1 << VALUE_BITS)))
                columns[half + i].append(_rounded(sin * (1 << VALUE_BITS)))
                cos, sin = cos * turn_cos - sin * turn_sin, sin * turn_cos + cos * turn_sin
    return torch.tensor(columns, dtype=torch.float32).t().contiguous()


PI = Decimal("3.14159265358979323846264338327950288419716939937511")


def _cos_sin(angle: Decimal) -> tuple[Decimal, Decimal]:
    """Return cosine and sine of an angle from 0 to 1, by their series."""
    sums = [Decimal(0), Decimal(0)]
    term, k = Decimal(1), 0
    while term > Decimal("1e-45"):
        sums[k & 1] += -term if k & 2 else term
        k += 1
        term = term * angle / k
    return sums[0], sums[1]


def _rounded(value: Decimal) -> int:
    return int(value.to_integral_value(ROUND_HALF_EVEN))
