"""The entropy models in plain integers, one chunk at a time, as models/lm/INTEGER.md has them.

Nothing here rounds but where it says so: arrays are of int64 or of Python's integers, fractions are
pairs of an integer and a power of two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

Integers = Any  # arrays of int64 or of Python's own integers, whose types NumPy cannot tell
LIMIT = 1 << 21


def times_power(x: Integers, exponent: Integers) -> Integers:
    """round(x * 2^exponent), halves to even, exponents of either sign."""
    up = np.maximum(exponent, 0)
    down = np.maximum(-np.asarray(exponent), 0)
    x = np.left_shift(x, up)
    whole = np.right_shift(x, down)
    rest = 2 * (x - np.left_shift(whole, down))
    one = np.left_shift(1, down)
    return whole + ((rest > one) | ((rest == one) & (whole % 2 == 1)))


def divided(a: int, b: int) -> int:
    """round(a / b), halves to even."""
    return round(Fraction(a, b))


def quantise(x: Integers) -> tuple[Integers, int]:
    largest = max(1, int(np.abs(x).max()))
    s = -7
    while Fraction(largest) >= Fraction(255, 2) * Fraction(2) ** s:
        s += 1
    return times_power(x, -s), s


def linear(x: Integers, part: Mapping[str, Integers]) -> Integers:
    q, s = quantise(x)
    return times_power(part["weight"] @ q, s + part["exponent"]) + part["bias"]


def twelve_bits(a: int, b: int, root: bool = False) -> tuple[int, int]:
    """(m, k): m * 2^k is a / b, or its root, cut down to 2^11 <= m < 2^12."""
    k = 40
    while True:
        # a / b in units of 2^k (of 2^2k if the root of it is wanted)
        shift = 2 * k if root else k
        whole = (a << max(-shift, 0)) // (b << max(shift, 0))
        whole = math.isqrt(whole) if root else whole
        if whole >= 1 << 11:
            return whole, k
        k -= 1


def norm(x: Integers, gain: Integers = None, bias: Integers = None) -> Integers:
    n = len(x)
    c = x - divided(int(x.sum()), n)
    power = int((c * c).sum()) + 168 * n
    spare = max(power.bit_length() - 24, 0)
    power = power >> spare << spare
    m, k = twelve_bits(n, power, root=True)
    if gain is None:
        return times_power(c * m, k + 10)
    return clamp(times_power(c * m * gain, k) + bias)


def clamp(x: Integers, limit: int = LIMIT) -> Integers:
    return np.clip(x, -limit, limit)


@lru_cache
def gelu_of(x: int) -> int:
    """round(2^10 y Phi(y)) for y = x / 2^6, by whole numbers of 2^-200."""
    one = 1 << 200
    y = abs(x) * one // 64
    half = Fraction(1, 2)
    if abs(x) < 64 * 9:
        total = term = y
        k = 1
        while term:
            k += 2
            term = term * y // one * y // one // k
            total += term
        above = exponential(-Fraction(x * x, 2 * 64 * 64)) * total / root_of_two_pi() / one
    else:
        above = half
    upper = half + (above if x >= 0 else -above)
    return round(1024 * Fraction(x, 64) * upper)


def exponential(x: Fraction) -> Fraction:
    """e^x, from e^(x / 64) by its series."""
    one = 1 << 200
    part = (x / 64).numerator * one // (x / 64).denominator
    total = term = one
    k = 0
    while term not in (0, -1):
        k += 1
        term = term * part // one // k
        total += term
    for _ in range(6):
        total = total * total // one
    return Fraction(total, one)


def root_of_two_pi() -> Fraction:
    one = 1 << 200
    # Machin's formula for pi.
    pi = 4 * (4 * arctangent(5, one) - arctangent(239, one))
    return Fraction(math.isqrt(2 * pi * one), one)


def arctangent(inverse: int, one: int) -> int:
    total, power, k = 0, one // inverse, 0
    while power:
        total += (-1) ** k * (power // (2 * k + 1))
        power //= inverse * inverse
        k += 1
    return total


def gelu(x: Integers) -> Integers:
    return np.array([gelu_of(int(v)) for v in np.clip(x, -2048, 2047)])


def weights(scores: Integers, total: int) -> tuple[Integers, int, int]:
    """w in units of 2^-22, and their factor m * 2^k."""
    d = np.maximum(scores - scores.max(), -25 << 11)
    octave, rest = d >> 11, d & 2047
    w = ((1 << 11) + rest) << (25 + octave)
    m, k = twelve_bits(total, int(times_power(w, -22).sum()))
    return w, m, k


def attention(rows: Integers, part: Mapping[str, Any]) -> Integers:
    """The last of these rows, which has seen them all."""
    heads = len(part["exponent"])
    qkv = np.array([linear(row, part["qkv"]) for row in rows]).reshape(len(rows), 3, heads, -1)
    query, keys, values = clamp(qkv[-1, 0], 511), clamp(qkv[:, 1], 127), clamp(qkv[:, 2], 127)
    seen = []
    for head in range(heads):
        products = keys[:, head] @ query[head]
        w, m, k = weights(clamp(times_power(products, part["exponent"][head])), 1 << 16)
        seen.append(times_power(w * m, k - 22) @ values[:, head])
    return linear(np.concatenate(seen), part["merge"])


def network(x: Integers, part: Mapping[str, Any]) -> Integers:
    return linear(gelu(linear(x, part["expand"])), part["reduce"])


def frequencies(scores: Integers) -> Integers:
    scores = clamp(scores)
    w, m, k = weights(scores, (1 << 24) - len(scores))
    out = (w * m >> 22 - k) + 1
    out[scores.argmax()] += (1 << 24) - out.sum()
    return out


def tree(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors with dotted names as dictionaries in dictionaries of int64 arrays."""
    out: dict[str, Any] = {}
    for name, tensor in tensors.items():
        *path, last = name.split(".")
        at = out
        for step in path:
            at = at.setdefault(step, {})
        at[last] = np.asarray(tensor).astype(np.int64)
    return out


def code_transformer(tensors: Mapping[str, Any], codes: Integers) -> Integers:
    """Codes [K, F] to frequencies [F, K, size]."""
    model = tree(tensors)
    books, frames = codes.shape
    layers: Sequence[Any] = [model["layers"][str(i)] for i in range(len(model["layers"]))]
    inputs: list[list[Integers]] = [[] for _ in layers]
    out = []
    for t in range(frames):
        x = model["position"][t] + model["count"][books]
        for k in range(books if t else 0):
            x = x + embedding(model["past"][str(k)], codes[k, t - 1])
        x = clamp(x)
        for layer, before in zip(layers, inputs, strict=True):
            before.append(norm(x))
            x = clamp(x + attention(np.array(before), layer["attention"]))
            x = clamp(x + network(norm(x), layer["feed"]))
        rows = []
        for k in range(books):
            rows.append(frequencies(network(norm(x), model["heads"][str(k)])))
            x = clamp(x + embedding(model["present"][str(k)], codes[k, t]))
        out.append(rows)
    return np.array(out)


def encodec_lm(tensors: Mapping[str, Any], positions: Integers, codes: Integers) -> Integers:
    """Codes [K, F] to frequencies [F, K, size]; positions [F, width] in units of the stream."""
    model = tree(tensors)
    books, frames = codes.shape
    layers: Sequence[Any] = [model["layers"][str(i)] for i in range(len(model["layers"]))]
    inputs = [[np.zeros_like(positions[0])] for _ in layers]
    out = []
    for t in range(frames):
        before = codes[:, t - 1] + 1 if t else np.zeros(books, dtype=np.int64)
        x = clamp(sum(model["past"][str(k)][before[k]] for k in range(books)))
        x = clamp(norm(x, **model["input_norm"]) + positions[t])
        for layer, seen in zip(layers, inputs, strict=True):
            seen.append(x)
            x = clamp(x + attention(np.array(seen), layer["attention"]))
            x = norm(x, **layer["attention_norm"])
            x = norm(clamp(x + network(x, layer["feed"])), **layer["feed_norm"])
        out.append([frequencies(linear(x, model["heads"][str(k)])) for k in range(books)])
    return np.array(out)


def embedding(part: Mapping[str, Integers], code: int) -> Integers:
    products = part["project"] @ part["codes"][code]
    return times_power(products, part["codes_exponent"][code] + part["exponent"])
