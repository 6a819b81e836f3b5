"""Define the sizes of an entropy model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LmConfig:
    """Constructor arguments of a `CodeTransformer`, as they stand beside its weights."""

    codebooks: int = 16
    codebook_size: int = 1024
    """How many entries each codebook has."""
    frames: int = 86
    """Frames of the longest chunk."""
    width: int = 256
    """Numbers that stand for a frame between the layers."""
    layers: int = 5
    heads: int = 8
    hidden: int = 1024
    """Units of each layer's feed-forward network."""
    code_rank: int = 32
    """Inner dimension of the code embeddings, each a table [codebook_size, code_rank] times a
    matrix [code_rank, width]."""
    head_hidden: int = 128
    """Units between a codebook's input and its logits."""
