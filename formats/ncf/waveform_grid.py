"""Say where the blocks of a waveform layer lie within a chunk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from neucodec.formats.errors import NcfError

BLOCKS_PER_SECOND = 25
PARTS = (1, 4, 16)
"""Into how many parts a block may be split, by the number of its split."""


@dataclass(frozen=True)
class WaveformGrid:
    """Divides a chunk's stride into blocks of equal length, about 25 in a second."""

    blocks: int
    """Blocks of a chunk that another follows."""
    block: int
    """Samples of a block, and integers of one of its rows at most."""

    @property
    def part(self) -> int:
        """Return the samples of a quarter of a block, and of the slope where chunks meet."""
        return self.block // PARTS[1]

    @property
    def fine(self) -> int:
        """Return the samples of a sixteenth of a block."""
        return self.block // PARTS[2]

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, chunk_stride: int, sample_rate: int) -> WaveformGrid:
        """Return the grid of chunks of ``chunk_stride`` samples at ``sample_rate`` Hz.

        Of all numbers of blocks that divide a sixteenth of the stride it takes the one nearest to
        25 in a second, of two the smaller. Raises NcfError for a stride that 16 does not divide,
        and for blocks longer than a fifth of a second, which no such number can help.
        """
        sixteenth, rest = divmod(chunk_stride, 16)
        if rest or not sixteenth:
            raise NcfError(
                f"a waveform layer over {chunk_stride} samples: a multiple of 16 is needed"
            )
        wanted = BLOCKS_PER_SECOND * chunk_stride
        divisors = (n for n in range(1, min(sixteenth, 1 << 12) + 1) if sixteenth % n == 0)
        blocks = min(divisors, key=lambda n: (abs(n * sample_rate - wanted), n))
        if 5 * chunk_stride > blocks * sample_rate:
            raise NcfError(f"a waveform layer over {chunk_stride} samples: no blocks divide them")
        return cls(blocks, chunk_stride // blocks)

    def count(self, samples: int, *, last: bool) -> int:
        """Return the blocks of a chunk: those that cover its ``samples`` own where it is the
        ``last``, else as many as every chunk has.
        """
        return -(-samples // self.block) if last else self.blocks
