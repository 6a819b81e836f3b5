"""Cut a signal into chunks of about a second, and join decoded chunks again.

Chunk ``i`` starts at sample ``i * stride`` and owns ``frames * hop`` samples from there. How chunks
meet is the codec's to say, on its card; `Geometry` has the numbers that follow from it, and nothing
behind it asks for the strategy again. Everything here is at the model's sample rate, float32
[channels, samples].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from neucodec.audio.samples import Audio
from neucodec.models import WINDOWS, Card


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Says where chunks lie, and what coding one of them needs of its neighbours. Lengths are in
    samples unless something else is said.
    """

    hop: int
    frames: int
    """Code frames in a whole chunk."""
    stride: int
    context: int = 0
    """That encoding sees on either side of a chunk's own samples."""
    filled: bool = False
    """Whether the signal is `extended` for context beyond its ends; else there is none. With
    silence there, a file would begin and end with a start that nobody wants to hear."""
    overlap: int = 0
    """That the audio of two adjacent decoded chunks shares, fading from one to the other."""
    code_context: int = 0
    """Frames of its neighbours that decoding sees on either side of a chunk's own."""
    sequential: bool = False
    """Whether coding a chunk goes on from where coding the one before has ended."""
    warmup: int = 0
    """Chunks before the wanted one with which sequential decoding starts."""
    trim: int = 0
    """That a decoded chunk lacks of its frames' samples."""

    @classmethod
    def of(cls, card: Card) -> Geometry:
        """Return the geometry that a card prescribes."""
        frames, stride, context = card.chunk_frames, card.chunk_stride, card.chunk_context
        shared = frames * card.hop - stride
        overlaps = {"overlap": shared + 2 * context, "segments": shared}
        return cls(
            hop=card.hop,
            frames=frames,
            stride=stride,
            context=context,
            filled=card.chunk_strategy == "overlap",
            overlap=overlaps.get(card.chunk_strategy, 0),
            code_context=card.chunk_code_context,
            sequential=card.chunk_strategy == "stream",
            warmup=card.chunk_warmup,
            trim=card.chunk_trim if card.chunk_strategy == WINDOWS else 0,
        )

    @property
    def lead(self) -> int:
        """Return by how many samples the decoded audio of a chunk begins before the chunk's own
        samples.
        """
        return (self.stride + self.overlap + self.trim - self.frames * self.hop) // 2

    @property
    def history(self) -> int:
        """Return how many chunks before the wanted one decoding must read."""
        return self.warmup or int(self.code_context > 0)

    def width(self, frames: int) -> int:
        """Return how many samples a chunk of that many frames is decoded to."""
        return frames * self.hop - self.trim + 2 * self.lead


@dataclass(frozen=True)
class Piece:
    """Holds the audio of one chunk, ready to be encoded."""

    index: int
    audio: Audio
    """[channels, before + own + after]; the last chunk's own samples end where the signal does,
    unless what lies beyond is filled in."""
    before: int
    """Samples of context before the chunk's own."""
    frames: int
    """Code frames that the chunk's own samples take."""
    last: bool
    """Whether the signal ends with this chunk."""


def extended(audio: Audio, before: int, behind: int) -> Audio:
    """Extend a signal [channels, n] by ``before`` and ``behind`` samples at its ends.

    It is turned about its first and last sample, which lets a tone go on; what is too short for
    that is mirrored.
    """
    ends = ((0, 0), (before, behind))
    if audio.shape[1] > max(before, behind):
        return np.pad(audio, ends, mode="reflect", reflect_type="odd")
    return np.pad(audio, ends, mode="symmetric")


class ChunkSplitter:
    """Takes blocks of any length and gives chunks with their context. Holds about one chunk."""

    def __init__(self, geometry: Geometry, channels: int) -> None:
        self.geometry = geometry
        self._before = geometry.context if geometry.filled else 0
        self._held = np.zeros((channels, self._before), np.float32)
        self._index = 0

    def push(self, block: Audio) -> Iterator[Piece]:
        """Take samples [channels, n]; give every whole chunk that they complete."""
        self._held = np.concatenate([self._held, block], axis=1)
        g = self.geometry
        # A chunk that ends where the signal ends is left to finish(): it may be the last.
        while self._held.shape[1] > self._before + g.frames * g.hop + g.context:
            yield self._cut(g.frames, last=False)

    def finish(self) -> Iterator[Piece]:
        """Give the rest, the last chunk with no more frames than it needs."""
        g, last = self.geometry, False
        while not last and (left := self._held.shape[1] - self._before) > 0:
            frames = min(g.frames, -(-left // g.hop))
            # An .ncf holds no short chunk but the last. Where a rest within the overlap follows
            # one, the short chunk has those samples already.
            last = left <= g.stride or frames < g.frames
            yield self._cut(frames, last)

    def _cut(self, frames: int, last: bool) -> Piece:
        g, before = self.geometry, self._before
        width = before + frames * g.hop + g.context
        audio = self._held[:, :width].copy()
        if g.filled and (self._index == 0 or audio.shape[1] < width):
            lacking = before if self._index == 0 else 0
            audio = extended(audio[:, lacking:], lacking, width - audio.shape[1])
        piece = Piece(self._index, audio, before, frames, last)
        passed = max(0, before + g.stride - g.context)
        self._held = self._held[:, passed:]
        self._before += g.stride - passed
        self._index += 1
        return piece


class OverlapAdder:
    """Takes decoded chunks in order and gives the joined signal; a chunk that is lost leaves
    silence.

    Besides the sum it keeps the sum of the chunks' weights, and divides by it: one between chunks,
    less where the signal starts or ends and no neighbour fills up.
    """

    def __init__(
        self, geometry: Geometry, channels: int, window: Callable[[int], Audio], first: int = 0
    ) -> None:
        """Take ``window``, which gives the weight [width] of each sample of a decoded chunk of so
        many frames, and ``first``, the index of the first chunk to come.
        """
        self.geometry, self.window = geometry, window
        self.position = first * geometry.stride
        """Where the next sample that comes out belongs."""
        self._sum = np.zeros((channels, 0), np.float32)
        self._weight = np.zeros(0, np.float32)
        self._skip = geometry.lead
        self._end = self.position

    def push(self, index: int, chunk: Audio | None, frames: int) -> Audio:
        """Add chunk ``index`` [channels, width], None if lost; give what is now complete.

        Where decoding starts in the middle (``first`` > 0), what the chunk before would overlap
        lacks a neighbour and is only good for being thrown away.
        """
        g, width = self.geometry, self.geometry.width(frames)
        start = index * g.stride - g.lead
        if chunk is not None and chunk.shape[1] != width:
            raise ValueError(f"{frames} frames decoded to {chunk.shape[1]} samples, not {width}")
        held_from = self.position - self._skip
        grow = start + width - held_from - self._sum.shape[1]
        if grow > 0:
            new = np.zeros((len(self._sum) + 1, grow), np.float32)
            self._sum = np.concatenate([self._sum, new[1:]], axis=1)
            self._weight = np.concatenate([self._weight, new[0]])
        here = slice(start - held_from, start - held_from + width)
        if chunk is not None:
            self._sum[:, here] += chunk
        self._weight[here] += self.window(frames)
        self._end = index * g.stride + frames * g.hop - g.trim
        # Nothing follows a short chunk; else the next chunk begins a little before its own samples.
        return self._take(self._end if frames < g.frames else (index + 1) * g.stride - g.lead)

    def finish(self) -> Audio:
        """Give what is left of the last chunk."""
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
