"""Define the parts of entropy models in integers: linear layers, attention, GELU networks, norms.

Tensors between them are float32 that hold integers, rows of the stream in its units; INTEGER.md
specifies what each part computes.
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
"""For how many streams times heads the past is multiplied at once: in float32 it then fits into a
core's cache."""
_PAST_GROWTH = 8
"""By how many frames the memory of the past grows at a time."""


class Weights:
    """Integer tensors of a part of a model, by name, with their device and kind of products.

    It remembers which tensors have been read, so that superfluous ones are noticed.
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], products: Products, device: torch.device
    ) -> None:
        self._tensors = tensors
        self._prefix = ""
        self._unread = set(tensors)
        self.products = products
        self.device = device

    def of(self, part: str) -> Weights:
        """Return the tensors of a part: those whose names begin with the part's."""
        inner = copy(self)
        inner._prefix = f"{self._prefix}{part}."
        return inner

    def get(self, name: str, *shape: int) -> Tensor:
        """Return the tensor ``name``; ModelError unless it has ``shape``, in which -1 fits all."""
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
        """Raise ModelError if there is a tensor that has not been read."""
        if self._unread:
            raise ModelError(f"entropy model: nothing is known of {sorted(self._unread)[0]}")

    def __contains__(self, name: str) -> bool:
        return self._prefix + name in self._tensors


class Linear:
    """Rows times an int8 matrix; each output has a power of two and an integer bias.

    An ``offset`` is added to every output.
    """

    def __init__(self, weights: Weights, inputs: int, outputs: int = -1, offset: int = 0) -> None:
        weight = weights.get("weight", outputs, inputs)
        self.outputs = weight.shape[0]
        self._matrix = Matrix(weight, weights.products)
        self._scale = power_of_two(weights.get("exponent", self.outputs))
        self._bias = (weights.get("bias", self.outputs) + offset).float()

    def __call__(self, x: Tensor) -> Tensor:
        """Turn rows [R, inputs] into [R, outputs], in the units that the exponents are for."""
        rows, step = exact.quantise_rows(x)
        out = self._matrix(rows).mul_(step)
        return out.mul_(self._scale).round_().add_(self._bias)


class Norm:
    """Layer norm; with a gain and a bias where the weights have them."""

    def __init__(self, weights: Weights, width: int) -> None:
        self._gain = weights.get("gain", width).double() if "gain" in weights else None
        self._bias = weights.get("bias", width).float() if "gain" in weights else None

    def __call__(self, x: Tensor) -> Tensor:
        """Normalise rows [R, n], see `arithmetic.normalise`."""
        return exact.normalise(x, self._gain, self._bias)


class Gelu:
    """GELU by a table, of numbers to which exact.GELU_LIMIT has been added."""

    def __init__(self, device: torch.device) -> None:
        self._table = exact.gelu_table().to(device)

    def __call__(self, x: Tensor) -> Tensor:
        """Return GELU of a tensor of any shape, which is overwritten."""
        x.clamp_(0, 2 * exact.GELU_LIMIT - 1)
        return self._table.index_select(0, exact.recast(x, torch.int32).view(-1)).view(x.shape)


class Network:
    """Two linear layers with GELU between them."""

    def __init__(self, weights: Weights, gelu: Gelu, inputs: int, outputs: int) -> None:
        self._expand = Linear(weights.of("expand"), inputs, offset=exact.GELU_LIMIT)
        self._reduce = Linear(weights.of("reduce"), self._expand.outputs, outputs)
        self._gelu = gelu

    def __call__(self, x: Tensor) -> Tensor:
        """Turn rows [R, inputs] into [R, outputs]."""
        return self._reduce(self._gelu(self._expand(x)))


class Past:
    """Keys and values of the frames so far, for one layer."""

    def __init__(self, batch: int, heads: int, depth: int, device: torch.device) -> None:
        self.frames = 0
        self._keys = torch.empty(batch * heads, 0, depth, dtype=torch.int8, device=device)
        self._values = torch.empty_like(self._keys)

    def extend(self, keys: Tensor, values: Tensor) -> None:
        """Add keys and values [B * H, T, D] of T frames."""
        start, self.frames = self.frames, self.frames + keys.shape[1]
        if self.frames > self._keys.shape[1]:
            room = max(self.frames, start + _PAST_GROWTH)
            self._keys = _roomier(self._keys, room)
            self._values = _roomier(self._values, room)
        self._keys[:, start : self.frames] = keys
        self._values[:, start : self.frames] = values

    def match(self, queries: Tensor) -> Tensor:
        """Return products [B * H, T, frames] of queries [B * H, T, D] and all keys."""
        return self._product(queries, self._keys, transposed=True)

    def mix(self, weights: Tensor) -> Tensor:
        """Return sums [B * H, T, D] of all values, times weights [B * H, T, frames]."""
        return self._product(weights, self._values, transposed=False)

    def _product(self, rows: Tensor, past: Tensor, transposed: bool) -> Tensor:
        parts = []
        for at in range(0, len(rows), _PAST_ROWS):
            some = slice(at, at + _PAST_ROWS)
            # The whole memory is converted: without gaps it is read several times faster.
            wide = past[some].float()[:, : self.frames]
            parts.append(exact_bmm(rows[some], wide.mT if transposed else wide))
        return torch.cat(parts)


def _roomier(past: Tensor, room: int) -> Tensor:
    """Copy a past [B * H, frames, D] into memory with room for ``room`` frames."""
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
        """Return the past before the first frame: nothing."""
        return Past(batch, self._heads, self._depth, device)

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """Turn frames [B, T, width], which follow those of the past, into [B, T, width]."""
        batch, frames, width = x.shape
        q, k, v = self._project(x)
        past.extend(k, v)
        visible = past.frames
        scores = past.match(q).view(batch, self._heads, frames, visible).mul_(self._scale)
        scores.round_().clamp_(-exact.SCORE_LIMIT, exact.SCORE_LIMIT)
        if frames > 1:
            # A score that is so much smaller gets no weight at all.
            future = x.new_full((frames, visible), -4.0 * exact.SCORE_LIMIT)
            scores += future.triu_(1 + visible - frames)
        weights = exact.attention_weights(scores).view(-1, frames, visible)
        out = past.mix(weights).view(batch, self._heads, frames, self._depth)
        out = out.transpose(1, 2).reshape(batch * frames, width)
        return self._merge(out).view(batch, frames, width)

    def see(self, x: Tensor, past: Past) -> None:
        """Add frames [B, T, width] to the past, without computing anything of them."""
        past.extend(*self._project(x)[1:])

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, [B * H, T, D] each."""
        batch, frames, width = x.shape
        qkv = self._qkv(x.reshape(batch * frames, width))
        torch.clamp(qkv, self._least, self._most, out=qkv)
        qkv = qkv.view(batch, frames, 3, self._heads, self._depth).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.reshape(3, batch * self._heads, frames, self._depth)
        return q, k, v


class Layer:
    """A layer of the transformer: attention, then a GELU network, each added to its input.

    Norms stand before each of them (``norm_first``), or after each addition.
    """

    def __init__(self, weights: Weights, gelu: Gelu, width: int, norm_first: bool) -> None:
        self.attention = Attention(weights.of("attention"), width)
        self._attention_norm = Norm(weights.of("attention_norm"), width)
        self._feed = Network(weights.of("feed"), gelu, width, width)
        self._feed_norm = Norm(weights.of("feed_norm"), width)
        self._norm_first = norm_first

    def __call__(self, x: Tensor, past: Past) -> Tensor:
        """Turn frames [B, T, width], which follow those of the past, into the same shape."""
        if self._norm_first:
            x = add(x, self.attention(self._attention_norm(x), past))
            return add(x, self._rows(self._feed, self._feed_norm(x)))
        x = self._attention_norm(add(x, self.attention(x, past)))
        return self._feed_norm(add(x, self._rows(self._feed, x)))

    @staticmethod
    def _rows(network: Network, x: Tensor) -> Tensor:
        return network(x.view(-1, x.shape[-1])).view(x.shape)


def add(x: Tensor, y: Tensor) -> Tensor:
    """Return the sum of rows of the stream, kept within its limits; overwrites the second."""
    return y.add_(x).clamp_(-exact.VALUE_LIMIT, exact.VALUE_LIMIT)


def power_of_two(exponent: Tensor) -> Tensor:
    """Return 2^exponent as float32, for integer exponents from -126 to 127."""
    return (exponent.int() + 127 << 23).view(torch.float32)
