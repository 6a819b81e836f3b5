"""From an .ncf to audio: all of it or a range, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from .chunks import Audio, Geometry, OverlapAdder
from .errors import NeucodecError
from .formats import (
    Chunk,
    EntropyCoder,
    Header,
    NcfError,
    NcfReader,
    ScaleKind,
    byte_to_scale,
    unpack_codes,
)
from .level import from_mid_side
from .models.card import Card, find_card
from .models.codec import Codec
from .models.errors import ModelError
from .resample import BlockResampler
from .workers import in_order


@dataclass(frozen=True)
class DecodeOptions:
    """What the caller may choose."""

    start: float | None = None
    """Seconds."""
    end: float | None = None
    rate: int | None = None
    """Sample rate to come out, the source's unless given."""
    mono: bool = False
    """Mix all channels down to one."""
    strict: bool = False
    """Raise where chunks are damaged or missing instead of leaving silence."""
    threads: int | None = None


def card_for(header: Header) -> Card:
    """The card of the codec that a file names, if it and its weights are the file's."""
    try:
        card = find_card(header.codec)
    except ModelError as error:
        raise NeucodecError(f"made with a codec that this version lacks: {error}") from None
    if header.fingerprint != card.fingerprint:
        raise NeucodecError(
            f"made with other weights of {header.codec} ({header.fingerprint.hex()}) than those "
            f"here ({card.fingerprint.hex()}): decode it with the version that wrote it"
            + (f" ({header.encoder})" if header.encoder else "")
        )
    expected = (
        card.sample_rate, card.hop, card.chunk_frames, card.chunk_stride,
        2 * card.chunk_context, card.codebook_size, card.streams(header.channels),
    )  # fmt: skip
    found = (
        header.sample_rate, header.hop, header.chunk_frames, header.chunk_stride,
        header.overlap, header.codebook_size, header.streams,
    )  # fmt: skip
    if expected != found or header.codebooks > card.codebooks:
        raise NeucodecError(f"its header does not fit {card.name}: {found} instead of {expected}")
    if header.scale_kind != ScaleKind.LOG:
        raise NeucodecError(f"{card.name} has no scales of kind {header.scale_kind.name}")
    if header.entropy != EntropyCoder.NONE:
        raise NeucodecError(
            f"its codes are squeezed by the entropy coder {header.entropy.name}, "
            f"which this version lacks: update neucodec"
        )
    return card


def decode_chunk(chunk: Chunk, header: Header, codec: Codec, geometry: Geometry) -> Audio:
    """The windowed audio [channels, width] of one chunk; NcfError where its codes are no good."""
    out = np.zeros((header.streams, geometry.width(chunk.frames)), np.float32)
    heard = [k for k, scale in enumerate(chunk.scales) if scale]
    if heard:
        codes = chunk_codes(chunk, header)
        decoded = codec.decode(torch.from_numpy(codes))[:, 0].numpy()
        gains = np.array([byte_to_scale(int(chunk.scales[k])) for k in heard], np.float32)
        out[heard] = decoded * gains[:, None]
    if chunk.mid_side:
        if len(out) != 2:
            raise NcfError(f"chunk {chunk.index} is mid/side with {len(out)} streams")
        out = from_mid_side(out)
    return out


def chunk_codes(chunk: Chunk, header: Header) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The codes [streams that are not silent, codebooks, frames] of one chunk."""
    streams = sum(1 for scale in chunk.scales if scale)
    return unpack_codes(chunk.payload, streams, chunk.codebooks, chunk.frames, header.codebook_size)


class Decoder:
    """Decodes one reader, once; ``samplerate``, ``channels`` and ``tags`` are of what comes out."""

    def __init__(
        self, reader: NcfReader, codec: Codec, options: DecodeOptions | None = None
    ) -> None:
        self.reader, self.codec = reader, codec
        self.options = o = options or DecodeOptions()
        self.header = header = reader.header
        self.geometry = Geometry.of(codec.card)
        self.samplerate = o.rate or header.source_rate
        self.channels = 1 if o.mono else header.channels
        self.tags: Mapping[str, str] = header.tags
        self.damaged: list[tuple[float, float]] = []
        """Seconds that were lost, as (start, end); complete after ``blocks``."""
        self.truncated = False
        """Whether the file's end is missing; known after ``blocks``."""
        if o.start is not None and o.end is not None and o.end <= o.start:
            raise NeucodecError(f"the end, {o.end:g} s, is not after the start, {o.start:g} s")
        self._first = self._position(o.start or 0.0)
        self._last = None if o.end is None else self._position(o.end)
        if reader.seekable:
            reader.table()  # finds the end, so that lengths are known from here on
        if self.frames == 0 and o.start:
            length = (self._total() or 0) / self.samplerate
            raise NeucodecError(f"the start, {o.start:g} s, is past the end, {length:g} s")

    def _position(self, seconds: float) -> int:
        if seconds < 0:
            raise NeucodecError(f"{seconds:g} s is before the start: give 0 or more")
        return round(seconds * self.samplerate)

    def _total(self) -> int | None:
        """Samples of the whole file at the rate that comes out; None while not known."""
        source = self.reader.frames if self.reader.complete else self.header.frames
        return None if source is None else -(-source * self.samplerate // self.header.source_rate)

    @property
    def frames(self) -> int | None:
        """Samples per channel that will come out; None while the file's end is not known."""
        if not self.reader.complete:
            return None
        return max(0, self._stop(self._total()) - self._first)

    def _stop(self, total: int | None) -> int:
        """Where to stop, at the rate that comes out."""
        ends = [end for end in (total, self._last) if end is not None]
        return min(ends) if ends else 1 << 62

    def blocks(self, progress: Callable[[float], None] | None = None) -> Iterator[Audio]:
        """The audio as blocks [n, channels], about a second each."""
        g, rate = self.geometry, self.codec.card.sample_rate
        first_block = BlockResampler.block_of(rate, self.samplerate, self._first)
        resampler = BlockResampler(rate, self.samplerate, self.channels, first_block)
        # Model-rate samples before this one are not needed; chunks reach one context further.
        needed = resampler.first_input
        first_chunk = max(0, (needed - g.context) // g.stride)
        adder = OverlapAdder(g, self.header.channels, self.codec.fade().numpy(), first_chunk)
        surplus = needed - first_chunk * g.stride
        early = self._first - resampler.first_output
        done = self._first
        for audio in self._pieces(adder, first_chunk, progress):
            if audio is None:
                block = resampler.finish()
            else:
                audio, surplus = audio[:, surplus:], max(0, surplus - audio.shape[1])
                mixed = audio.mean(axis=0, keepdims=True) if self.options.mono else audio
                block = resampler.push(np.ascontiguousarray(mixed.T))
            block, early = block[early:], max(0, early - len(block))
            # Only the last pieces can reach past the end, and by then the end is known.
            block = block[: max(0, self._stop(self._total()) - done)]
            done += len(block)
            if len(block):
                yield block
            if self._last is not None and done >= self._last:
                return
        missing = (self.frames or 0) - (done - self._first)
        while missing > 0:  # rounding of lengths, or chunks lost at the very end
            yield np.zeros((min(missing, self.samplerate), self.channels), np.float32)
            missing -= self.samplerate

    def _pieces(
        self, adder: OverlapAdder, first: int, progress: Callable[[float], None] | None
    ) -> Iterator[Audio | None]:
        """Joined audio [channels, n] at the model's rate, then None at its end."""
        rate = self.codec.card.sample_rate
        for index, frames, audio in in_order(
            self._decoded, self._chunks(first), self.options.threads
        ):
            if audio is None:
                self._lost(index)
            yield adder.push(index, audio, frames)
            if progress:
                progress(frames * self.geometry.hop / rate)
        yield adder.finish()
        yield None

    def _chunks(self, first: int) -> Iterator[tuple[int, Chunk | None]]:
        """Every chunk from ``first`` on without gaps, None for those that are lost."""
        reader, expected = self.reader, first
        last = self._last_chunk()
        if reader.seekable:
            count = len(reader.table())
            for index in range(first, count if last is None else min(count, last + 1)):
                yield index, reader.read_chunk(index)
            self._at_end(count)
            return
        for chunk in reader:
            for index in range(expected, chunk.index):
                yield index, None
            if chunk.index >= first:
                yield chunk.index, chunk
            expected = max(expected, chunk.index + 1)
            if last is not None and expected > last:
                return
        for index in range(expected, reader.chunk_count or 0):
            yield index, None
        self._at_end(expected)

    def _last_chunk(self) -> int | None:
        """Index of the last chunk that the range needs; None for all."""
        if self._last is None:
            return None
        margin = self.geometry.context + BlockResampler.reach(
            self.codec.card.sample_rate, self.samplerate
        )
        samples = -(-self._last * self.codec.card.sample_rate // self.samplerate)
        return (samples + margin) // self.geometry.stride

    def _at_end(self, count: int) -> None:
        self.truncated = not self.reader.complete
        if self.truncated and self.options.strict:
            seconds = count * self.geometry.stride / self.codec.card.sample_rate
            raise NeucodecError(f"cut off after {seconds:.0f} s: decode without --strict to get it")

    def _decoded(self, item: tuple[int, Chunk | None]) -> tuple[int, int, Audio | None]:
        index, chunk = item
        if chunk is None:
            return index, self.geometry.frames, None
        try:
            return index, chunk.frames, decode_chunk(chunk, self.header, self.codec, self.geometry)
        except NcfError:
            return index, chunk.frames, None

    def _lost(self, index: int) -> None:
        second = self.geometry.stride / self.codec.card.sample_rate
        start, end = index * second, (index + 1) * second
        if self.options.strict:
            raise NeucodecError(
                f"damaged from {start:.1f} to {end:.1f} s: decode without --strict to get the rest"
            )
        if self.damaged and abs(self.damaged[-1][1] - start) < 1e-6:
            start = self.damaged.pop()[0]
        self.damaged.append((start, end))
