"""The parts of an entropy model in integers: linear layers, attention, GELU networks, norms.

Tensors between them are float32 that hold integers, rows of the stream in its units; INTEGER.md
specifies what each part does.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

import torch
from torch import Tensor

from neucodec.models.errors import ModelError

from . import arithmetic as exact
from .products import EXACT, Matrix, Products, exact_bmm

QUERY_LIMIT = 511
"""Queries are kept within +-QUERY_LIMIT units of their head."""
PAST_LIMIT = 127
"""Keys are kept within +-PAST_LIMIT units of their head, values of their column: a byte each."""
_PAST_ROWS = 128
"""Streams times heads whose past is multiplied at once: a core's cache holds it in float32."""
_PAST_GROWTH = 8
"""Frames."""


class Weights:
    """Integer tensors of a part of a model, by name; where they are to be, and how multiplied."""

    def __init__(
        self, tensors: Mapping[str, Tensor], products: Products, device: torch.device
    ) -> None:
        self._tensors = tensors
        self._prefix = ""
        self._unread = set(tensors)
        self.products = products
        self.device = device

    def of(self, part: str) -> Weights:
        """Those whose names go on from this."""
        inner = copy(self)
        inner._prefix = f"{self._prefix}{part}."
        return inner

    def get(self, name: str, *shape: int) -> Tensor:
        """The tensor of that name; ModelError unless it has this shape, -1 standing for any."""
        full = self._prefix + name
        if full not in self._tensors:
            raise ModelError(f"entropy model: {full} is missing")
        tensor = self._tensors[full]
        if len(tensor.shape) != len(shape) or any(
            want not in (-1, has) for has, want in zip(tensor.shape, shape, strict=True)
        ):
            raise ModelError(f"entropy model: {full} has shape {tuple(tensor.shape)}, not {shape}")
        self._unread.discard(full)
        return tensor.to(self.device)

    def all_read(self) -> None:
        """ModelError if there is more than the model has a use for."""
        if self._unread:
            raise ModelError(f"entropy model: nothing is known of {sorted(self._unread)[0]}")

    def __contains__(self, name: str) -> bool:
        return self._prefix + name in self._tensors


class Linear:
    """Rows times an int8 matrix, each output with a power of two and an integer bias.

    The offset is added to every output.
    """

    def __init__(self, weights: Weights, inputs: int, outputs: int = -1, offset: int = 0) -> None:
        weight = weights.get("weight", outputs, inputs)
        self.outputs = weight.shape[0]
        self._matrix = Matrix(weight, weights.products)
        self._scale = power_of_two(weights.get("exponent", self.outputs))
        self._bias = (weights.get("bias", self.outputs) + offset).float()

    def __call__(self, x: Tensor) -> Tensor:
        """[R, inputs] to [R, outputs], in whatever units the exponents are for."""
        rows, step = exact.quantise_rows(x)
        out = self._matrix(rows).mul_(step)
        return out.mul_(self._scale).round_().add_(self._bias)


class Norm:
    """Layer norm; with a gain and a bias where the weights have them."""

    def __init__(self, weights: Weights, width: int) -> None:
        self._gain = weights.get("gain", width).double() if "gain" in weights else None
        self._bias = weights.get("bias", width).float() if "gain" in weights else None

    def __call__(self, x: Tensor) -> Tensor:
        """[R, n] to the same shape."""
        return exact.normalise(x, self._gain, self._bias)


class Gelu:
    """GELU by table, of numbers to which exact.GELU_LIMIT has been added."""

    def __init__(self, device: torch.device) -> None:
        self._table = exact.gelu_table().to(device)

    def __call__(self, x: Tensor) -> Tensor:
        """Any shape to the same; overwrites what it is given."""
        x.clamp_(0, 2 * exact.GELU_LIMIT - 1)
        return self._table.index_select(0, exact.recast(x, torch.int32).view(-1)).view(x.shape)


class Network:
    """Two linear layers with GELU between."""

    def __init__(self, weights: Weights, gelu: Gelu, inputs: int, outputs: int) -> None:
        self._expand = Linear(weights.of("expand"), inputs, offset=exact.GELU_LIMIT)
        self._reduce = Linear(weights.of("reduce"), self._expand.outputs, outputs)
        self._gelu = gelu

    def __call__(self, x: Tensor) -> Tensor:
        """[R, inputs] to [R, outputs]."""
        return self._reduce(self._gelu(self._expand(x)))


class Past:
    """Keys and values of the frames so far, for one layer."""

    def __init__(self, batch: int, heads: int, depth: int, device: torch.device) -> None:
        self.frames = 0
        self._keys = torch.empty(batch * heads, 0, depth, dtype=torch.int8, device=device)
        self._values = torch.empty_like(self._keys)

    def extend(self, keys: Tensor, values: Tensor) -> None:
        """Add [B * H, T, D] each."""
        start, self.frames = self.frames, self.frames + keys.shape[1]
        if self.frames > self._keys.shape[1]:
            room = max(self.frames, start + _PAST_GROWTH)
            self._keys = _roomier(self._keys, room)
            self._values = _roomier(self._values, room)
        self._keys[:, start : self.frames] = keys
        self._values[:, start : self.frames] = values

    def match(self, queries: Tensor) -> Tensor:
        """Products of queries [B * H, T, D] and all keys: [B * H, T, frames]."""
        return self._product(queries, self._keys, transposed=True)

    def mix(self, weights: Tensor) -> Tensor:
        """Sums of all values, times weights [B * H, T, frames]: [B * H, T, D]."""
        return self._product(weights, self._values, transposed=False)

    def _product(self, rows: Tensor, past: Tensor, transposed: bool) -> Tensor:
        parts = []
        for at in range(0, len(rows), _PAST_ROWS):
            some = slice(at, at + _PAST_ROWS)
            # All of it, as memory is read several times faster without gaps.
            wide = past[some].float()[:, : self.frames]
            parts.append(exact_bmm(rows[some], wide.mT if transposed else wide))
        return torch.cat(parts)


def _roomier(past: Tensor, room: int) -> Tensor:
    """The same with room for so many frames."""
    out = past.new_empty(past.shape[0], room, past.shape[2])
    out[:, : past.shape[1]] = past
    return out


class Attention:
    """Causal self-attention of several heads."""

    def __init__(self, weights: Weights, width: int) -> None:
        self._qkv = Linear(weights.of("qkv"), width, 3 * width)
        self._merge = Linear(weights.of("merge"), width, width)
        exponent = weights.get("exponent", -1)
        self._scale = power_of_two(exponent).view(1, -1, 1, 1)
        self._heads, self._depth = exponent.shape[0], width // exponent.shape[0]
        assert self._depth * QUERY_LIMIT * PAST_LIMIT < EXACT
        limit = torch.full(
            (3 * width,), float(QUERY_LIMIT), dtype=torch.float32, device=weights.device
        )
        limit[width:] = PAST_LIMIT
        self._least, self._most = -limit, limit

    def past(self, batch: int, device: torch.device) -> Past:
        """Nothing yet."""
        return Past(batch, self._heads, self._depth, device)

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """Frames [B, T, width] that follow those of the past to [B, T, width]."""
        batch, frames, width = x.shape
        q, k, v = self._project(x)
        past.extend(k, v)
        seen = past.frames
        scores = past.match(q).view(batch, self._heads, frames, seen).mul_(self._scale)
        scores.round_().clamp_(-exact.SCORE_LIMIT, exact.SCORE_LIMIT)
        if frames > 1:
            # What is that much less likely has no weight at all.
            future = x.new_full((frames, seen), -4.0 * exact.SCORE_LIMIT)
            scores += future.triu_(1 + seen - frames)
        weights = exact.attention_weights(scores).view(-1, frames, seen)
        out = past.mix(weights).view(batch, self._heads, frames, self._depth)
        out = out.transpose(1, 2).reshape(batch * frames, width)
        return self._merge(out).view(batch, frames, width)

    def see(self, x: Tensor, past: Past) -> None:
        """Add frames to the past, and do no more."""
        past.extend(*self._project(x)[1:])

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, [B * H, T, D] each."""
        batch, frames, width = x.shape
        qkv = self._qkv(x.reshape(batch * frames, width))
        torch.clamp(qkv, self._least, self._most, out=qkv)
        qkv = qkv.view(batch, frames, 3, self._heads, self._depth).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.reshape(3, batch * self._heads, frames, self._depth)
        return q, k, v


class Layer:
    """A layer of the transformer: attention, then a GELU network, each added to what it is given.

    Norms stand before each, or after each addition.
    """

    def __init__(self, weights: Weights, gelu: Gelu, width: int, norm_first: bool) -> None:
        self.attention = Attention(weights.of("attention"), width)
        self._attention_norm = Norm(weights.of("attention_norm"), width)
        self._feed = Network(weights.of("feed"), gelu, width, width)
        self._feed_norm = Norm(weights.of("feed_norm"), width)
        self._norm_first = norm_first

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """Frames [B, T, width] that follow those of the past to the same shape."""
        if self._norm_first:
            x = add(x, self.attention(self._attention_norm(x), past))
            return add(x, self._rows(self._feed, self._feed_norm(x)))
        x = self._attention_norm(add(x, self.attention(x, past)))
        return self._feed_norm(add(x, self._rows(self._feed, x)))

    @staticmethod
    def _rows(network: Network, x: Tensor) -> Tensor:
        return network(x.view(-1, x.shape[-1])).view(x.shape)


def add(x: Tensor, y: Tensor) -> Tensor:
    """Sum of rows of the stream, within its limits; overwrites the second."""
    return y.add_(x).clamp_(-exact.VALUE_LIMIT, exact.VALUE_LIMIT)


def power_of_two(exponent: Tensor) -> Tensor:
    """2^exponent as float32; exponents from -126 to 127."""
    return (exponent.int() + 127 << 23).view(torch.float32)
