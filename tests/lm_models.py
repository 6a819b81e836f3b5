"""Small entropy models: one of fixed integers, one that is trained in a few seconds."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from neucodec.models.lm.config import LmConfig
from neucodec.models.lm.frequencies import FrequencyModel, fixed_integers, frequencies
from neucodec.models.lm.transformer import CodeTransformer

BOOKS, SIZE, FRAMES, WIDTH, HEADS = 3, 64, 12, 32, 4


class Draw:
    """Integers that are the same for ever, other ones each time."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, shape: tuple[int, ...], low: int, high: int, dtype: torch.dtype) -> Tensor:
        self.seed += 1
        return (fixed_integers(shape, high - low + 1, self.seed) + low).to(dtype)

    def matrix(self, at: str, outputs: int, inputs: int, exponent: int) -> dict[str, Tensor]:
        """A linear layer whose outputs come out at about the size that is wanted."""
        return {
            f"{at}.weight": self((outputs, inputs), -127, 127, torch.int8),
            f"{at}.exponent": self((outputs,), exponent - 1, exponent + 1, torch.int8),
            f"{at}.bias": self((outputs,), -64, 64, torch.int32),
        }

    def network(self, at: str, hidden: int, outputs: int, exponent: int) -> dict[str, Tensor]:
        """Two layers, from normalised rows."""
        return self.matrix(f"{at}.expand", hidden, WIDTH, -13) | self.matrix(
            f"{at}.reduce", outputs, hidden, exponent
        )


def fixed_transformer(seed: int = 1) -> dict[str, Tensor]:
    """Integers of a small transformer that has learned nothing, but has opinions."""
    draw = Draw(1000 * seed)
    out = {
        "position": draw((FRAMES, WIDTH), -4096, 4096, torch.int32),
        "count": draw((BOOKS + 1, WIDTH), -4096, 4096, torch.int32),
    }
    for k in range(BOOKS):
        for kind in ("past", "present"):
            out[f"{kind}.{k}.codes"] = draw((SIZE, 8), -127, 127, torch.int8)
            out[f"{kind}.{k}.codes_exponent"] = draw((SIZE,), -2, 0, torch.int8)
            out[f"{kind}.{k}.project"] = draw((WIDTH, 8), -127, 127, torch.int8)
            out[f"{kind}.{k}.exponent"] = draw((WIDTH,), -2, 0, torch.int8)
        out |= draw.network(f"heads.{k}", 16, SIZE, -5)
    for i in range(2):
        at = f"layers.{i}"
        out |= draw.matrix(f"{at}.attention.qkv", 3 * WIDTH, WIDTH, -13)
        out |= draw.matrix(f"{at}.attention.merge", WIDTH, WIDTH, -18)
        out[f"{at}.attention.exponent"] = draw((HEADS,), -2, 0, torch.int8)
        out |= draw.network(f"{at}.feed", 64, WIDTH, -6)
    return out


def melody(batch: int, books: int, frames: int, size: int, seed: int) -> Tensor:
    """Codes int64 [B, K, F] with something to be learned, in time and between codebooks."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, books, frames)
    codes = torch.randint(size, shape, generator=generator)
    usual = torch.rand(shape, generator=generator) < 0.8
    for t in range(frames):
        for k in range(books):
            if k:
                follows = codes[:, k - 1, t] * 3 + k
            elif t:
                follows = codes[:, 0, t - 1] * 5 + 3
            else:
                continue
            codes[:, k, t] = torch.where(usual[:, k, t], follows % size, codes[:, k, t])
    return codes


@lru_cache
def trained() -> CodeTransformer:
    """A small transformer that has learned the melody, its norms with gains of all sizes."""
    config = LmConfig(
        codebooks=BOOKS, codebook_size=SIZE, frames=12, width=64, layers=2, heads=4, hidden=128,
        code_rank=32, head_hidden=64,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CodeTransformer(config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "norm.weight" in name:
                    parameter.uniform_(0.3, 2)
                elif "norm.bias" in name:
                    parameter.normal_(0, 0.2)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(120):
        codes = melody(32, BOOKS, config.frames, SIZE, seed=step)
        loss = F.cross_entropy(model(codes).flatten(0, 2), codes.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval().requires_grad_(False)


def assert_stepping_gives_the_rows(model: FrequencyModel, codes: Tensor, counts: list[int]) -> None:
    """Chunk i with the first ``counts[i]`` codebooks, all in step, beside each by itself."""
    rows = [frequencies(model, codes[i : i + 1, :count])[0] for i, count in enumerate(counts)]
    stepper = model.stepper(counts)
    for t in range(codes.shape[2]):
        for k in range(counts[0]):
            having = [i for i, count in enumerate(counts) if count > k]
            assert torch.equal(stepper.row(), torch.stack([rows[i][t, k] for i in having]))
            stepper.push(codes[: len(having), k, t])
