"""Code several chunks in one call, as a GPU wants it; on a CPU each stream by itself.

How a matrix product is summed, and so how it is rounded, depends on its shape: on how many rows it
has, above all. On a CPU a network is therefore given one stream of one chunk at a time, whatever is
coded beside it, and computes with one thread. So codes and samples are a function of the chunk
alone (docs/determinism.md).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from neucodec.models.parts.single_thread import single_thread

from .codec import AudioChunk, Codec, CodeChunk

T = TypeVar("T", AudioChunk, CodeChunk)
R = TypeVar("R")

ON_A_GPU = 8
"""How many chunks a GPU codes at once."""


def batch_for(device: torch.device, on_a_cpu: int = 1) -> int:
    """Return how many chunks are best coded at once, where they do not depend on each other."""
    return on_a_cpu if device.type == "cpu" else ON_A_GPU


def apart(batch: Tensor) -> list[Tensor]:
    """Split a batch [B, ...] into what a network is given at a time: on a CPU items [1, ...].

    Each is a copy, since kernels may also sum in another order where memory is aligned otherwise.
    """
    if batch.device.type != "cpu":
        return [batch]
    return [item.clone() for item in torch.split(batch, 1)]


def one_by_one(run: Callable[..., Tensor], *batches: Tensor) -> Tensor:
    """Run a network on every part of batches [B, ...], see `apart`; return the results [B, ...]."""
    with single_thread():
        parts = [run(*part) for part in zip(*map(apart, batches), strict=True)]
    return torch.cat(parts)


def encode_together(codec: Codec, chunks: Sequence[AudioChunk], codebooks: int) -> list[CodeChunk]:
    """Encode chunks, those of equal length in one call; return their codes in the same order."""

    def encode(group: list[AudioChunk]) -> list[CodeChunk]:
        sizes = [len(chunk.audio) for chunk in group]
        audio = torch.cat([chunk.audio for chunk in group])
        coded, _ = codec.encode(replace(group[0], audio=audio), codebooks)
        codes = torch.split(coded.codes, sizes)
        if coded.scales is None:
            return [replace(coded, codes=part) for part in codes]
        scales = torch.split(coded.scales, sizes)
        return [
            replace(coded, codes=part, scales=scale)
            for part, scale in zip(codes, scales, strict=True)
        ]

    def alike(chunk: AudioChunk) -> Hashable:
        return chunk.audio.shape[1:], chunk.before, chunk.frames

    return _in_groups(chunks, alike, encode)


def decode_together(codec: Codec, chunks: Sequence[CodeChunk]) -> list[Tensor]:
    """Decode chunks, those of equal length in one call; return their audio in the same order."""

    def decode(group: list[CodeChunk]) -> list[Tensor]:
        scales = [chunk.scales for chunk in group if chunk.scales is not None]
        together = replace(
            group[0],
            codes=torch.cat([chunk.codes for chunk in group]),
            scales=torch.cat(scales) if scales else None,
        )
        audio, _ = codec.decode(together)
        return list(torch.split(audio, [len(chunk.codes) for chunk in group]))

    def alike(chunk: CodeChunk) -> Hashable:
        form = chunk.codes.shape[1:], chunk.before, chunk.frames, chunk.scales is None
        return *form, chunk.first, chunk.last

    return _in_groups(chunks, alike, decode)


def _in_groups(
    items: Sequence[T], alike: Callable[[T], Hashable], work: Callable[[list[T]], list[R]]
) -> list[R]:
    """Do ``work`` on groups of items that are ``alike``; return the results in the items' order."""
    groups: dict[Hashable, list[int]] = {}
    for index, item in enumerate(items):
        groups.setdefault(alike(item), []).append(index)
    results: dict[int, R] = {}
    for indices in groups.values():
        results.update(zip(indices, work([items[i] for i in indices]), strict=True))
    return [results[index] for index in range(len(items))]
