"""Run the entropy models of EnCodec's authors (arXiv 2210.13438, section 3.3) in integers.

A transformer over frames with norms after each addition; the codes of all codebooks of a frame are
foreseen at once, from the frames before. The checkpoints hold floating-point weights, which become
integers each time they are loaded, the same ones everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neucodec.models.errors import ModelError
from neucodec.models.parts.state_dict import read_checkpoint

from . import arithmetic as exact
from . import quantise as q
from .arithmetic import GELU_BITS, UNIT_BITS, VALUE_BITS
from .blocks import Linear, Norm, Past
from .integer import IntegerModel
from .products import Products

HEADS = 8
"""Number of heads of attention, which cannot be told from the weights."""


class EncodecLm(IntegerModel):
    """`encodec.model.LMModel` in integers, from what `quantise` makes of its weights."""

    kind = "encodec-lm"

    def __init__(
        self,
        name: str,
        tensors: Mapping[str, Tensor],
        frames: int,
        device: torch.device | str = "cpu",
        products: Products | None = None,
    ) -> None:
        codebooks = sum(name.startswith("past.") for name in tensors)
        starts, width = tensors["past.0"].shape
        size = starts - 1
        where = torch.device(device)
        super().__init__(
            name,
            tensors,
            (codebooks, size, frames),
            width,
            norm_first=False,
            device=where,
            products=products,
        )
        weights = self.weights
        self._past_codes = [
            weights.get(f"past.{k}", size + 1, width).float() for k in range(codebooks)
        ]
        self._position = exact.sinusoids(frames, width).to(where)
        self._norm = Norm(weights.of("input_norm"), width)
        self._heads = [Linear(weights.of(f"heads.{k}"), width, size) for k in range(codebooks)]
        weights.all_read()

    @classmethod
    def load(
        cls, path: Path, name: str, frames: int, device: torch.device | str = "cpu"
    ) -> EncodecLm:
        """Read a published checkpoint; ModelError where the file is something else.

        frames is the most that a chunk has. It must not exceed what the model looks back, 3.5
        seconds.
        """
        return cls(name, quantise(read_checkpoint(path).tensors, path.name), frames, device)

    def inputs(self, before: Tensor, start: int, having: Sequence[int]) -> Tensor:
        """See `IntegerModel`."""
        batch, _, frames = before.shape
        x = self._position.new_zeros(batch, frames, self._position.shape[1])
        for k, count in enumerate(having):
            codes = self._past_codes[k].index_select(0, before[:count, k].reshape(-1))
            x[:count] += codes.view(count, frames, -1)
        x = self._norm(x.clamp_(-exact.VALUE_LIMIT, exact.VALUE_LIMIT))
        x += self._position[start : start + frames]
        return x.clamp_(-exact.VALUE_LIMIT, exact.VALUE_LIMIT)

    def past(self, batch: int) -> list[Past]:
        """Return pasts that hold a frame of zeros, which is attended to like any other."""
        past = super().past(batch)
        for layer, seen in zip(self.layers, past, strict=True):
            layer.attention.see(self._position.new_zeros(batch, 1, self._position.shape[1]), seen)
        return past

    def logits(self, book: int, states: Tensor) -> Tensor:
        """See `IntegerModel`."""
        return self._heads[book](states)

    def given(self, book: int, states: Tensor, codes: Tensor) -> Tensor:
        """Return the same states: codebooks of a frame know nothing of each other."""
        return states


def quantise(state: Mapping[str, Tensor], source: str = "checkpoint") -> q.Integers:
    """Make the integers of an `LMModel` from its state dict.

    Raises ModelError where a tensor is missing, superfluous or of another shape.
    """
    if "emb.0.weight" not in state or state["emb.0.weight"].dim() != 2:
        raise ModelError(f"{source} is no entropy model of EnCodec")
    width = state["emb.0.weight"].shape[1]
    layers = sum(name.endswith(".norm1.weight") for name in state)
    books = sum(name.startswith("emb.") for name in state)
    float64 = _fitting(state, _shapes(state, layers, books, width), source)
    out = _norm(float64, "transformer.norm_in", "input_norm")
    for k in range(books):
        out[f"past.{k}"] = q.stream(float64[f"emb.{k}.weight"], f"emb.{k}")
        head = float64[f"linears.{k}.weight"], float64[f"linears.{k}.bias"]
        out |= q.logits(f"heads.{k}", *head, VALUE_BITS)
    before = "transformer.norm_in"
    for i in range(layers):
        theirs = f"transformer.layers.{i}"
        # cos² + sin² = 1, for each of width / 2 pairs.
        out |= _layer(float64, theirs, f"layers.{i}", before, 0 if i else math.sqrt(width / 2))
        before = f"{theirs}.norm2"
    return out


def _layer(
    float64: Mapping[str, q.Array], theirs: str, ours: str, before: str, position: float
) -> q.Integers:
    """Make the integers of a layer.

    It follows the norm ``before``, to whose output vectors of length ``position`` are added.
    """
    gain, offset = float64[f"{before}.weight"], float64[f"{before}.bias"]
    weight = float64[f"{theirs}.self_attn.in_proj_weight"]
    bias = float64[f"{theirs}.self_attn.in_proj_bias"]
    reach = []
    for row, b in zip(weight, bias, strict=True):
        spread = math.sqrt(len(gain)) * q.length(row * gain) + position * q.length(row)
        # Of the frame of zeros, the bias is all.
        reach.append(max(spread + abs(math.fsum([b, *(row * offset)])), abs(b)))
    out, shares = q.attention(weight, bias, reach, HEADS, f"{ours}.attention", VALUE_BITS)
    merge = float64[f"{theirs}.self_attn.out_proj.weight"] * shares
    bias = float64[f"{theirs}.self_attn.out_proj.bias"]
    out |= q.linear(f"{ours}.attention.merge", merge, bias, exact.ATTENTION_BITS, VALUE_BITS)
    out |= _norm(float64, f"{theirs}.norm1", f"{ours}.attention_norm")
    expand = float64[f"{theirs}.linear1.weight"], float64[f"{theirs}.linear1.bias"]
    out |= q.linear(f"{ours}.feed.expand", *expand, VALUE_BITS, GELU_BITS)
    reduce = float64[f"{theirs}.linear2.weight"], float64[f"{theirs}.linear2.bias"]
    out |= q.linear(f"{ours}.feed.reduce", *reduce, UNIT_BITS, VALUE_BITS)
    return out | _norm(float64, f"{theirs}.norm2", f"{ours}.feed_norm")


def _norm(float64: Mapping[str, q.Array], theirs: str, ours: str) -> q.Integers:
    return {
        f"{ours}.gain": q.stream(float64[f"{theirs}.weight"], theirs, exact.GAIN_LIMIT),
        f"{ours}.bias": q.stream(float64[f"{theirs}.bias"], theirs),
    }


def _shapes(
    state: Mapping[str, Tensor], layers: int, books: int, width: int
) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor that there should be, by name."""
    size = state["emb.0.weight"].shape[0] - 1
    hidden = state.get("transformer.layers.0.linear1.bias", torch.empty(0)).shape[0]
    shapes: dict[str, tuple[int, ...]] = {}

    def pair(name: str, *shape: int, join: str = ".") -> None:
        shapes[f"{name}{join}weight"], shapes[f"{name}{join}bias"] = shape, shape[:1]

    pair("transformer.norm_in", width)
    for i in range(layers):
        layer = f"transformer.layers.{i}"
        pair(f"{layer}.self_attn.in_proj", 3 * width, width, join="_")
        pair(f"{layer}.self_attn.out_proj", width, width)
        pair(f"{layer}.linear1", hidden, width)
        pair(f"{layer}.linear2", width, hidden)
        pair(f"{layer}.norm1", width)
        pair(f"{layer}.norm2", width)
    for k in range(books):
        shapes[f"emb.{k}.weight"] = size + 1, width
        pair(f"linears.{k}", size, width)
    return shapes


def _fitting(
    state: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], source: str
) -> dict[str, q.Array]:
    """Return the tensors as float64; ModelError unless they are exactly those of ``shapes``."""
    for name in sorted(shapes.keys() ^ state.keys()):
        verb = "lacks" if name in shapes else "has, and EnCodec's entropy model does not,"
        raise ModelError(f"{source} {verb} {name}")
    for name, shape in shapes.items():
        if state[name].shape != shape:
            has = tuple(state[name].shape)
            raise ModelError(f"{source}: {name} has shape {has}, {shape} is needed")
    return {name: t.detach().cpu().numpy().astype(np.float64) for name, t in state.items()}
