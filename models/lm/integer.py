"""Run entropy models in integers: what all kinds share, and the embedded codecs' own kind."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save as serialised
from torch import Tensor

from neucodec.models.errors import ModelError
from neucodec.models.parts.state_dict import read_checkpoint

from . import arithmetic as exact
from .blocks import Gelu, Layer, Network, Norm, Past, Weights, add, power_of_two
from .products import Products, fastest

ARITHMETIC = 1
"""Version of INTEGER.md, which all frequencies depend on."""
_METADATA = {"kind": "code-transformer", "arithmetic": str(ARITHMETIC)}


class IntegerModel(ABC):
    """A transformer over the frames of a chunk, then a row of frequencies for each codebook.

    Subclasses say what goes into the layers and how their results become log-odds.
    """

    kind: str
    """Kind of model, which goes into the fingerprint."""

    def __init__(
        self,
        name: str,
        tensors: Mapping[str, Tensor],
        shape: tuple[int, int, int],
        width: int,
        *,
        norm_first: bool,
        device: torch.device,
        products: Products | None,
    ) -> None:
        self.name = name
        self.codebooks, self.codebook_size, self.frames = shape
        self.fingerprint = fingerprint(tensors, self.kind, shape)
        self.device = device
        self.weights = Weights(tensors, products or fastest(device), device)
        _keep_memory()
        self.gelu = Gelu(device)
        layers = sum(name.endswith("attention.exponent") for name in tensors)
        self.layers = [
            Layer(self.weights.of(f"layers.{i}"), self.gelu, width, norm_first)
            for i in range(layers)
        ]

    @abstractmethod
    def inputs(self, before: Tensor, start: int, having: Sequence[int]) -> Tensor:
        """Return the input [B, T, width] of the layers, in units of the stream.

        before [B, K, T] holds, for each frame, the codes of the frame before it, plus 1, and 0
        where there is none; start is the number of the first frame. Of the chunks the first
        having[k] have codebook k.
        """

    @abstractmethod
    def logits(self, book: int, states: Tensor) -> Tensor:
        """Return log-odds [R, size] of a codebook's codes, from states [R, width]."""

    @abstractmethod
    def given(self, book: int, states: Tensor, codes: Tensor) -> Tensor:
        """Return states [R, width] for the next codebooks, this one's codes [R] now being known."""

    def past(self, batch: int) -> list[Past]:
        """Return the past of each layer before the first frame."""
        return [layer.attention.past(batch, self.device) for layer in self.layers]

    def states(self, x: Tensor, past: list[Past]) -> Tensor:
        """Put `inputs` [B, T, width] through the layers; each frame's state knows those before."""
        for layer, seen in zip(self.layers, past, strict=True):
            x = layer(x, seen)
        return x

    def row(self, book: int, states: Tensor) -> Tensor:
        """Return frequencies int32 [R, size] of a codebook's codes, from states [R, width]."""
        logits = self.logits(book, states)
        return exact.frequencies(logits.clamp_(-exact.SCORE_LIMIT, exact.SCORE_LIMIT))

    @torch.inference_mode()
    def rows(self, codes: Tensor) -> Iterator[Tensor]:
        """Turn codes int64 [B, K, F] into frequencies int32 [B, F, size] for each codebook.

        See `FrequencyModel`. Raises ValueError for more codebooks or frames, or larger codes, than
        the model takes.
        """
        batch, books, frames = codes.shape
        self._check(books, frames)
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < self.codebook_size:
            raise ValueError(f"codes must be from 0 to {self.codebook_size - 1}")
        codes = codes.to(self.device)
        before = torch.zeros_like(codes)
        before[..., 1:] = codes[..., :-1] + 1
        x = self.inputs(before, 0, [batch] * books)
        states = self.states(x, self.past(batch)).view(batch * frames, -1)
        for book in range(books):
            yield self.row(book, states).view(batch, frames, -1)
            if book + 1 < books:
                states = self.given(book, states, codes[:, book].reshape(-1))

    @torch.inference_mode()
    def stepper(self, counts: Sequence[int]) -> IntegerStepper:
        """Give the same rows for chunks whose codes are yet to be decoded: see `FrequencyModel`."""
        self._check(max(counts), 1)
        return IntegerStepper(self, counts)

    def _check(self, books: int, frames: int) -> None:
        if not 1 <= books <= self.codebooks:
            raise ValueError(f"{books} codebooks, {self.name} takes 1 to {self.codebooks}")
        if frames > self.frames:
            raise ValueError(f"{frames} frames, {self.name} takes at most {self.frames}")


class IntegerStepper:
    """The rows of a batch of chunks, one symbol at a time: see `Stepper`."""

    def __init__(self, model: IntegerModel, counts: Sequence[int]) -> None:
        self._model = model
        self._past = model.past(len(counts))
        self._having = [sum(count > book for count in counts) for book in range(counts[0])]
        # Zero, no code, where a chunk has fewer codebooks.
        shape = len(counts), len(self._having), 1
        self._codes = torch.zeros(shape, dtype=torch.long, device=model.device)
        self._frame = self._book = 0
        self._state: Tensor | None = None
        self._row: Tensor | None = None

    @torch.inference_mode()
    def row(self) -> Tensor:
        """Return frequencies int32 [n, size] of the next symbol."""
        if self._row is None:
            self._row = self._model.row(self._book, self._present())
        return self._row

    @torch.inference_mode()
    def push(self, codes: Tensor) -> None:
        """Take the symbols int64 [n] that were decoded by the last `row`."""
        codes, state = codes.to(self._codes.device), self._present()
        torch.add(codes, 1, out=self._codes[: len(codes), self._book, 0])
        self._row = None
        self._book += 1
        if self._book < len(self._having):
            going_on = self._having[self._book]
            given = state[:going_on], codes[:going_on]
            self._state = self._model.given(self._book - 1, *given)
        else:
            self._book, self._frame, self._state = 0, self._frame + 1, None

    def _present(self) -> Tensor:
        """Return states [n, width] of the chunks that have the next symbol's codebook."""
        if self._state is None:
            model = self._model
            if self._frame == model.frames:
                raise ValueError(f"{model.name} takes at most {self._frame} frames")
            x = model.inputs(self._codes, self._frame, self._having)
            self._state = model.states(x, self._past)[:, 0]
        return self._state


class IntegerTransformer(IntegerModel):
    """`CodeTransformer` in integers, from the tensors that `quantise` makes of it."""

    kind = "code-transformer"

    def __init__(
        self,
        name: str,
        tensors: Mapping[str, Tensor],
        device: torch.device | str = "cpu",
        products: Products | None = None,
    ) -> None:
        if {"position", "count", "past.0.codes"} - tensors.keys():
            raise ModelError(f"{name}: these are not the integers of an entropy model")
        frames, width = tensors["position"].shape
        codebooks = tensors["count"].shape[0] - 1
        size = tensors["past.0.codes"].shape[0]
        shape = codebooks, size, frames
        where = torch.device(device)
        super().__init__(
            name, tensors, shape, width, norm_first=True, device=where, products=products
        )
        weights, books = self.weights, range(codebooks)
        self._position = weights.get("position", frames, width).float()
        self._count = weights.get("count", codebooks + 1, width).float()
        # Code 0 in `inputs` is no code at all: nothing to add.
        none = torch.zeros(1, width, device=where)
        past = [embedding(weights.of(f"past.{k}"), size, width) for k in books]
        self._past_codes = [torch.cat([none, codes]) for codes in past]
        self._present_codes = [embedding(weights.of(f"present.{k}"), size, width) for k in books]
        self._norm = Norm(weights.of("heads"), width)
        self._heads = [Network(weights.of(f"heads.{k}"), self.gelu, width, size) for k in books]
        weights.all_read()

    @classmethod
    def load(cls, path: Path, name: str, device: torch.device | str = "cpu") -> IntegerTransformer:
        """Read a file of `serialise`; ModelError where it is something else."""
        checkpoint = read_checkpoint(path)
        told = {key: checkpoint.metadata.get(key) for key in _METADATA}
        if told != _METADATA:
            raise ModelError(f"{path.name} is no entropy model of this version: {told}")
        return cls(name, checkpoint.tensors, device)

    def inputs(self, before: Tensor, start: int, having: Sequence[int]) -> Tensor:
        """See `IntegerModel`."""
        batch, _, frames = before.shape
        x = self._position[start : start + frames].repeat(batch, 1, 1)
        for k, (count, more) in enumerate(zip(having, [*having[1:], 0], strict=True)):
            x[more:count] += self._count[k + 1]
            codes = self._past_codes[k].index_select(0, before[:count, k].reshape(-1))
            x[:count] += codes.view(count, frames, -1)
        return x.clamp_(-exact.VALUE_LIMIT, exact.VALUE_LIMIT)

    def logits(self, book: int, states: Tensor) -> Tensor:
        """See `IntegerModel`."""
        return self._heads[book](self._norm(states))

    def given(self, book: int, states: Tensor, codes: Tensor) -> Tensor:
        """See `IntegerModel`."""
        return add(states, self._present_codes[book].index_select(0, codes))


def embedding(weights: Weights, size: int, width: int) -> Tensor:
    """Return an embedding float32 [size, width] from its two factors, in units of the stream."""
    codes, project = weights.get("codes", size, -1), weights.get("project", width, -1)
    codes = codes * power_of_two(weights.get("codes_exponent", size))[:, None]
    project = project * power_of_two(weights.get("exponent", width))[:, None]
    return (codes.double() @ project.double().t()).round_().float()


def serialise(integers: Mapping[str, Tensor]) -> bytes:
    """Return the integers that `quantise` made, as the bytes of a safetensors file."""
    return serialised(dict(integers), _METADATA)


def _keep_memory() -> None:
    """Make the C library keep freed memory.

    That of Linux gives freed memory back to the system at once, and takes it again page by page, if
    it is more than twice the largest block that was freed before (up to 32 MiB). Steps that wait
    for pages are three times as slow. So a block of 30 MiB is freed here once.
    """
    torch.empty(30 << 20, dtype=torch.int8)


def fingerprint(tensors: Mapping[str, Tensor], kind: str, shape: tuple[int, int, int]) -> bytes:
    """Return 8 bytes of SHA-256 over a model's integers, their names, and how they are used."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, list(tensor.shape)]).encode())
        digest.update(tensor.cpu().numpy().astype("<i4").tobytes())
    digest.update(json.dumps([kind, ARITHMETIC, *shape]).encode())
    return digest.digest()[:8]
