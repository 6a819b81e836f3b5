"""Codes of .ncf files for training: windows of them, from as many loader processes as you like.

    python examples/token_dataset.py archive/

prints the shapes of a few batches. A model of one's own would go where this prints.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

import neucodec
from neucodec.interchange.tokens import read_tokens


class TokenDataset(IterableDataset[torch.Tensor]):
    """Windows [codebooks, frames] of the codes below a directory, each file once per pass.

    Streams are taken one by one; windows with silence or damage in them (-1) are left out. The
    order of the files is another in each pass, and the loader's processes share the files out.
    """

    def __init__(self, folder: str | Path, codebooks: int, frames: int, seed: int = 0) -> None:
        super().__init__()
        self.files = sorted(Path(folder).rglob("*.ncf"))
        self.codebooks, self.frames, self.seed = codebooks, frames, seed
        self.passes = 0

    def __iter__(self) -> Iterator[torch.Tensor]:
        rng = random.Random(f"{self.seed} {self.passes}")
        self.passes += 1
        worker = get_worker_info()
        mine = slice(None) if worker is None else slice(worker.id, None, worker.num_workers)
        for path in rng.sample(self.files, len(self.files))[mine]:
            with neucodec.open(path) as file:
                codes = torch.from_numpy(read_tokens(file).codes)[:, : self.codebooks].long()
            for stream in codes[..., rng.randrange(self.frames) :]:
                for window in stream.split(self.frames, dim=1):
                    if window.shape == (self.codebooks, self.frames) and (window >= 0).all():
                        yield window.clone()


def main(folder: str) -> None:
    """Print the shapes of the first few batches."""
    dataset = TokenDataset(folder, codebooks=4, frames=64)
    for number, batch in enumerate(DataLoader(dataset, batch_size=8, num_workers=2)):
        print(f"batch {number}: {list(batch.shape)}, codes from {batch.min()} to {batch.max()}")
        if number == 3:
            return


if __name__ == "__main__":
    main(sys.argv[1])
