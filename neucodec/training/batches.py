"""Draw the audio of each training step from a corpus."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from . import distributed
from .codecs.system import System
from .corpus import Corpus
from .recipe import Recipe

AHEAD = 3
"""The number of batches that are prepared while the network learns from others."""


class Batches:
    """Draws batches that depend on nothing but the recipe's seed, the step and the process."""

    def __init__(self, recipe: Recipe, corpus: Corpus, system: System) -> None:
        """Take items from ``corpus``, of the length and codebook counts that ``system`` needs."""
        self.recipe, self.corpus, self.system = recipe, corpus, system

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the audio [B, C, T] and the codebook counts [B] of a step."""
        r = self.recipe
        process = [100 + distributed.rank()] if distributed.rank() else []
        rng = np.random.default_rng([r.seed, step, *process])
        length = self.system.length
        audio = np.stack([self.corpus.excerpt(length, rng, r.augment) for _ in range(r.batch)])
        counts = torch.from_numpy(self.system.counts(rng))
        return torch.from_numpy(audio).reshape(r.batch, -1, length), counts

    def starting_at(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of a step and all later ones, prepared ahead in a thread."""
        with ThreadPoolExecutor(1) as pool:
            ahead = [pool.submit(self.batch, s) for s in range(step, step + AHEAD)]
            step += AHEAD
            while True:
                yield ahead.pop(0).result()
                ahead.append(pool.submit(self.batch, step))
                step += 1

    def for_start(self, number: int) -> Tensor:
        """Return audio [B, C, T] to start codebooks from, by number.

        No step learns from it, and it is the same in all processes.
        """
        rng = np.random.default_rng([self.recipe.seed, 10_000_000 + number])
        length = self.system.length
        audio = [self.corpus.excerpt(length, rng) for _ in range(self.recipe.batch)]
        return torch.from_numpy(np.stack(audio)).reshape(self.recipe.batch, -1, length)
