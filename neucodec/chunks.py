"""Cutting a signal into overlapped chunks of about a second, and joining decoded chunks again.

Chunk ``i`` owns samples ``[i * stride, (i + 1) * stride)``. Coding it takes ``context`` real
samples more on either side, and decoding fills them, faded, so that the sum of neighbours is
the joined signal. Everything here is at the model's sample rate, float32 [channels, samples].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .models.card import Card

Audio = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Geometry:
    """Where chunks lie. All in samples but ``frames``, which counts code frames per chunk."""

    stride: int
    context: int
    hop: int
    frames: int

    @classmethod
    def of(cls, card: Card) -> Geometry:
        """The geometry that a card prescribes."""
        return cls(card.chunk_stride, card.chunk_context, card.hop, card.chunk_frames)

    def width(self, frames: int) -> int:
        """Samples that a chunk of that many frames takes, context included."""
        return frames * self.hop + 2 * self.context


class ChunkSplitter:
    """Blocks of any length in, chunks with their context out; holds about one chunk."""

    def __init__(self, geometry: Geometry, channels: int) -> None:
        self.geometry = geometry
        # Before the signal there is silence.
        self._held = np.zeros((channels, geometry.context), np.float32)
        self.samples = 0

    def push(self, block: Audio) -> Iterator[Audio]:
        """Take samples [channels, n]; give every whole chunk that they complete."""
        self.samples += block.shape[1]
        self._held = np.concatenate([self._held, block], axis=1)
        g = self.geometry
        # A chunk that ends where the signal ends is left to finish(): it may be the last.
        while self._held.shape[1] > g.width(g.frames):
            yield self._held[:, : g.width(g.frames)].copy()
            self._held = self._held[:, g.stride :]

    def finish(self) -> Iterator[Audio]:
        """Give the rest: chunks padded with silence, the last cut to the frames it needs."""
        g = self.geometry
        left = self._held.shape[1] - g.context
        while left > 0:
            frames = min(g.frames, -(-left // g.hop))
            width = g.width(frames)
            piece = self._held[:, :width]
            yield np.pad(piece, ((0, 0), (0, width - piece.shape[1])))
            self._held = self._held[:, g.stride :]
            left -= g.stride


class OverlapAdder:
    """Decoded chunks in order in, the joined signal out; a chunk that is lost leaves silence.

    Besides the sum it keeps the sum of the fades, and divides by it: one between chunks, less
    where the signal starts or ends and no neighbour fills up.
    """

    def __init__(self, geometry: Geometry, channels: int, fade: Audio, first: int = 0) -> None:
        """``fade`` [2 * context] is the fade-in of decoded chunks, one minus it their fade-out;
        ``first`` is the index of the first chunk to come."""
        self.geometry, self.fade = geometry, fade
        self.position = first * geometry.stride
        """Where the next sample that comes out belongs."""
        self._sum = np.zeros((channels, 0), np.float32)
        self._weight = np.zeros(0, np.float32)
        self._skip = geometry.context
        self._end = self.position

    def push(self, index: int, chunk: Audio | None, frames: int) -> Audio:
        """Add chunk ``index`` [channels, width], None if lost; give what is now complete.

        Where decoding starts in the middle (``first`` > 0), the first two contexts lack a
        neighbour and are only good for being thrown away.
        """
        g, width = self.geometry, self.geometry.width(frames)
        start = index * g.stride - g.context
        if chunk is not None and chunk.shape[1] != width:
            raise ValueError(f"{frames} frames decoded to {chunk.shape[1]} samples, not {width}")
        held_from = self.position - self._skip
        grow = start + width - held_from - self._sum.shape[1]
        if grow > 0:
            self._sum = np.pad(self._sum, ((0, 0), (0, grow)))
            self._weight = np.pad(self._weight, (0, grow))
        here = slice(start - held_from, start - held_from + width)
        if chunk is not None:
            self._sum[:, here] += chunk
        seam = 2 * g.context
        weight = np.ones(width, np.float32)
        weight[:seam] += self.fade - 1
        weight[width - seam :] -= self.fade
        self._weight[here] += weight
        self._end = index * g.stride + frames * g.hop
        # The next chunk reaches back by one context. A short chunk may be the last one.
        return self._take((index + (frames == g.frames)) * g.stride - g.context)

    def finish(self) -> Audio:
        """What is left of the last chunk."""
        return self._take(self._end)

    def _take(self, until: int) -> Audio:
        """Cut off and give the samples before ``until``, without those before the start."""
        count = until - (self.position - self._skip)
        if count <= self._skip:
            return self._sum[:, :0]
        total, weight = self._sum[:, :count], self._weight[:count]
        self._sum, self._weight = self._sum[:, count:], self._weight[count:]
        ready: Audio = total[:, self._skip :] / np.maximum(weight[self._skip :], np.float32(1e-3))
        self.position, self._skip = until, 0
        return ready
