"""Join decoded chunks and add their waveform layers, which reach across where chunks meet."""

from __future__ import annotations

import numpy as np

from neucodec.audio.samples import Audio
from neucodec.formats import Header, waveform_grid

from .chunks import OverlapAdder
from .unpacking import UnpackedChunk
from .waveform import correction


class SpanBuffer:
    """Holds a stretch of a signal [channels, n] that comes block by block."""

    def __init__(self, channels: int, start: int = 0) -> None:
        """Begin at sample ``start`` of the signal; what is before reads as zeros."""
        self._held = np.zeros((channels, 0), np.float32)
        self._start = start

    def push(self, block: Audio) -> None:
        """Append samples."""
        self._held = np.concatenate([self._held, block], axis=1)

    def span(self, first: int, samples: int) -> Audio:
        """Return so many samples from ``first`` on, zeros where there are none."""
        out = np.zeros((len(self._held), samples), np.float32)
        low = max(first, self._start)
        high = min(first + samples, self._start + self._held.shape[1])
        if low < high:
            out[:, low - first : high - first] = self._held[
                :, low - self._start : high - self._start
            ]
        return out

    def mirrored(self, first: int, samples: int, end: int) -> Audio:
        """Return the same where the signal is mirrored at sample ``end``, as often as it takes."""
        before = self.span(first, min(samples, max(1, end - first)))
        return np.pad(before, ((0, 0), (0, samples - before.shape[1])), mode="symmetric")

    def add(self, first: int, audio: Audio) -> None:
        """Add to what is held from ``first`` on; what lies outside is dropped."""
        low = max(first, self._start)
        high = min(first + audio.shape[1], self._start + self._held.shape[1])
        if low < high:
            self._held[:, low - self._start : high - self._start] += audio[
                :, low - first : high - first
            ]

    def take(self, until: int | None = None) -> Audio:
        """Cut off and return all before sample ``until``, or everything."""
        count = self._held.shape[1] if until is None else max(0, until - self._start)
        taken, self._held = self._held[:, :count], self._held[:, count:]
        self._start += taken.shape[1]
        return taken


class Joiner:
    """Takes decoded chunks in order and gives the joined signal."""

    def __init__(self, adder: OverlapAdder) -> None:
        self._adder = adder

    def push(self, unpacked: UnpackedChunk, audio: Audio | None) -> Audio:
        """Add a chunk with its sound [channels, width], None if lost or silent; give what is now
        complete.
        """
        return self._adder.push(unpacked.index, audio, unpacked.frames)

    def finish(self) -> Audio:
        """Give what is left."""
        return self._adder.finish()


class WaveformJoiner:
    """Takes decoded chunks in order and gives the joined signal with their waveform layers.

    A chunk's layer can be added when the chunk behind it has been decoded, since its last block
    goes on into that one. A chunk that is lost counts as one that had a layer: what its neighbours
    say then fades into silence.
    """

    def __init__(self, adder: OverlapAdder, header: Header, first: int) -> None:
        """Take what joins the chunks' own sound, and the index of the first chunk to come."""
        self._adder, self._header = adder, header
        self._grid = waveform_grid(header)
        self._buffer = SpanBuffer(header.channels, first * header.chunk_stride)
        self._waiting: UnpackedChunk | None = None
        self._opened = first > 0
        """Whether a layer is open towards the chunk before the one that waits."""

    def push(self, unpacked: UnpackedChunk, audio: Audio | None) -> Audio:
        """Add a chunk with its sound [channels, width], None if lost or silent; give what is now
        complete.
        """
        self._buffer.push(self._adder.push(unpacked.index, audio, unpacked.frames))
        self._add_waiting(unpacked)
        self._waiting = unpacked
        stride = self._header.chunk_stride
        return self._buffer.take(unpacked.index * stride - self._grid.part // 2)

    def finish(self) -> Audio:
        """Give what is left."""
        self._buffer.push(self._adder.finish())
        self._add_waiting(None)
        return self._buffer.take()

    def _add_waiting(self, behind: UnpackedChunk | None) -> None:
        """Add the layer of the chunk that waited for the one ``behind`` it."""
        chunk, grid, before = self._waiting, self._grid, self._opened
        if chunk is None:
            return
        layered = chunk.waveform is not None
        ends = chunk.waveform is not None and chunk.waveform.last
        # Of a lost chunk nothing is known, and most chunks have a layer.
        open_here = layered or chunk.chunk is None
        open_behind = behind is not None and (behind.waveform is not None or behind.chunk is None)
        self._opened = open_here and open_behind and not ends
        if chunk.waveform is None or chunk.chunk is None:
            return
        blocks = grid.count(chunk.frames * self._header.hop, last=chunk.waveform.last)
        first = chunk.index * self._header.chunk_stride - grid.part // 2
        samples = blocks * grid.block + grid.part
        if chunk.waveform.last:
            end = chunk.index * self._header.chunk_stride + chunk.frames * self._header.hop
            span = self._buffer.mirrored(first, samples, end)
        else:
            span = self._buffer.span(first, samples)
        added = correction(
            span, chunk.waveform, chunk.chunk.mid_side, grid, self._header.sample_rate,
            (before, self._opened),
        )  # fmt: skip
        self._buffer.add(first, added)
