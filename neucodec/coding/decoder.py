"""Decode an .ncf to audio, all of it or a range, in one pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import chain

import numpy as np

from neucodec.audio.resample import BlockResampler
from neucodec.audio.samples import Audio
from neucodec.errors import NeucodecError
from neucodec.formats import Chunk, LayerKind, NcfReader
from neucodec.models import Codec
from neucodec.parallel.batches import batches
from neucodec.parallel.ordered_work import in_order
from neucodec.parallel.thread_counts import threads_within
from neucodec.terminal.timecode import MAX_SECONDS

from .chunk_decoder import ChunkDecoder, window_of
from .chunks import Geometry, OverlapAdder
from .entropy_models import SHARED, EntropyModels
from .file_codec import codec_for
from .integrity import damaged_spans, samples_to_come, surplus_of
from .options import DecodeOptions
from .unpacking import unpack_chunks
from .waveform_joiner import Joiner, WaveformJoiner

MOST_SAMPLES = 2**22
"""Of a block that comes out, over all channels."""


class Decoder:
    """Decodes one file, once. ``sample_rate``, ``channels`` and ``tags`` are those of what comes
    out.
    """

    def __init__(
        self,
        reader: NcfReader,
        codec: Codec,
        options: DecodeOptions | None = None,
        entropy_models: EntropyModels = SHARED,
    ) -> None:
        """Check that ``reader``'s file fits the codec, and find the range.

        ``entropy_models`` loads the model that the file names. Raises NeucodecError for a file that
        the codec did not make, and for a range that is not there.
        """
        self.reader, self.header = reader, reader.header
        self.options = o = options or DecodeOptions()
        header = reader.header
        self.codec = codec_for(header, codec, any_weights=o.any_weights)
        self._model = entropy_models.of(header, codec.card)
        self.geometry = Geometry.of(self.codec.card)
        self.sample_rate = o.rate or header.source_rate
        self.channels = 1 if o.mono else header.channels
        self.channel_mask = None if o.mono else header.channel_mask
        """The speakers of the channels, as in the header."""
        self.tags: Mapping[str, str] = header.tags
        self.lost_chunks: list[int] = []
        """Indices of those that are damaged or missing, so far."""
        self.truncated = False
        """Whether the file's end is missing; known after ``blocks``."""
        self.surplus = ""
        """What follows the file's end and is not decoded, see `surplus_of`; known after ``blocks``
        where these go to the end."""
        if o.start is not None and o.end is not None and o.end <= o.start:
            raise NeucodecError(f"the end, {o.end:g} s, is not after the start, {o.start:g} s")
        self._first = _position(o.start or 0.0, self.sample_rate)
        self._last = None if o.end is None else _position(o.end, self.sample_rate)
        if reader.seekable:
            reader.locate()  # finds the end, so that lengths are known from here on
        if self.samples == 0 and o.start:
            length = (self._total() or 0) / self.sample_rate
            raise NeucodecError(f"the start, {o.start:g} s, is past the end, {length:g} s")

    @property
    def damaged(self) -> list[tuple[float, float]]:
        """Return the seconds that were lost, as (start, end); complete after ``blocks``."""
        return damaged_spans(self.header, self.lost_chunks, math.inf)

    def _total(self) -> int | None:
        """Return the samples of the whole file at the rate that comes out; None while not known."""
        source = self.reader.frames if self.reader.complete else self.header.frames
        return None if source is None else -(-source * self.sample_rate // self.header.source_rate)

    @property
    def samples(self) -> int | None:
        """Return how many samples per channel will come out; None while the file's end is not
        known.
        """
        return samples_to_come(self.reader, self.sample_rate, self.options.start, self.options.end)

    def blocks(self, progress: Callable[[float], None] | None = None) -> Iterator[Audio]:
        """Give the audio as blocks [n, channels], about a second each, or less of very many
        channels.

        The way of the audio is: chunks of the file (`_chunks`), unpacked (`unpack_chunks`), decoded
        (`ChunkDecoder`), joined (`OverlapAdder`), and resampled here. ``progress`` is called with
        the seconds of audio done since its last call.
        """
        g, rate = self.geometry, self.codec.card.sample_rate
        first_block = BlockResampler.block_of(rate, self.sample_rate, self._first)
        resampler = BlockResampler(rate, self.sample_rate, self.channels, first_block)
        # Model-rate samples before this one are not needed. Where they begin, the first chunk must
        # have taken over from the one before.
        needed = resampler.first_input
        first_chunk = (needed - g.overlap + g.lead) // g.stride
        if self.header.layer == LayerKind.WAVEFORM:
            # Its first block begins within the chunk before, and that one's sound decides it.
            first_chunk = needed // g.stride - 1
        first_chunk = max(0, first_chunk)
        window = lru_cache(maxsize=2)(partial(window_of, self.codec))
        adder = OverlapAdder(g, self.header.channels, window, first_chunk)
        gain = np.float32(10 ** (-(self.header.gain_db or 0) / 20))
        surplus = needed - first_chunk * g.stride
        early = self._first - resampler.first_output
        done = self._first
        for audio in self._pieces(adder, first_chunk, progress):
            if audio is None:
                block = resampler.finish()
            else:
                audio, surplus = audio[:, surplus:], max(0, surplus - audio.shape[1])
                mixed = audio.mean(axis=0, keepdims=True) if self.options.mono else audio
                if self.header.gain_db:
                    mixed = mixed * gain
                block = resampler.push(np.ascontiguousarray(mixed.T))
            block, early = block[early:], max(0, early - len(block))
            # Only the last pieces can reach past the end, and by then the end is known.
            ends = [end for end in (self._total(), self._last) if end is not None]
            block = block[: max(0, min(ends, default=1 << 62) - done)]
            done += len(block)
            yield from _in_parts(block)
            if self._last is not None and done >= self._last:
                return
        missing = (self.samples or 0) - (done - self._first)
        while missing > 0:  # rounding of lengths, or chunks lost at the very end
            count = min(missing, self.sample_rate, MOST_SAMPLES // self.channels)
            yield np.zeros((count, self.channels), np.float32)
            missing -= count
        self.surplus = surplus_of(self.reader)
        if self.surplus and self.options.strict:
            raise NeucodecError(f"{self.surplus}: decode without --strict to get what comes before")

    def _pieces(
        self, adder: OverlapAdder, first: int, progress: Callable[[float], None] | None
    ) -> Iterator[Audio | None]:
        """Give the joined audio [channels, n] at the model's rate, then None at its end."""
        g, last = self.geometry, self._last_chunk()
        chunks = self._chunks(max(0, first - g.history), last)
        decoder = ChunkDecoder(self.codec, self.header, g)
        layered = self.header.layer == LayerKind.WAVEFORM
        joiner = WaveformJoiner(adder, self.header, first) if layered else Joiner(adder)
        bytes_ = 4 * self.header.channels * g.width(g.frames)
        threads = threads_within(self.options.threads, bytes_)
        ready = unpack_chunks(chunks, self.header, g.code_context, self._model, threads)
        wanted = (
            coded
            for coded in ready
            if g.sequential or (coded.index >= first and (last is None or coded.index <= last))
        )
        # What comes through a pipe may be going on just now: then no chunk waits for another.
        most = self.codec.batch if self.reader.seekable else 1
        most = min(most, max(1, 2**26 // bytes_))
        turns = batches(decoder.with_state(wanted), most)
        for coded, audio in chain.from_iterable(in_order(decoder, turns, threads)):
            if coded.index < first:
                continue
            if coded.chunk is None:
                self._lost(coded.index)
            yield joiner.push(coded, audio)
            if progress:
                progress(coded.frames * g.hop / self.codec.card.sample_rate)
        yield joiner.finish()
        yield None

    def _chunks(self, first: int, last: int | None) -> Iterator[tuple[int, Chunk | None]]:
        """Give every chunk from ``first`` on without gaps, None for those that are lost; up to
        ``last`` and as far beyond as decoding that one takes.
        """
        reader, expected = self.reader, first
        if last is not None:
            last += self.geometry.code_context > 0
        if reader.seekable:
            count = reader.chunk_count or 0
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
        """Return the index of the last chunk that the range needs; None for all."""
        if self._last is None:
            return None
        margin = self.geometry.lead + BlockResampler.reach(
            self.codec.card.sample_rate, self.sample_rate
        )
        samples = -(-self._last * self.codec.card.sample_rate // self.sample_rate)
        # A chunk's last block goes on into the next one.
        further = int(self.header.layer == LayerKind.WAVEFORM)
        return (samples + margin) // self.geometry.stride + further

    def _at_end(self, count: int) -> None:
        self.truncated = not self.reader.complete
        if self.truncated and self.options.strict:
            seconds = count * self.geometry.stride / self.codec.card.sample_rate
            raise NeucodecError(f"cut off after {seconds:.0f} s: decode without --strict to get it")

    def _lost(self, index: int) -> None:
        self.lost_chunks.append(index)
        if self.options.strict:
            second = self.geometry.stride / self.codec.card.sample_rate
            start, end = index * second, (index + 1) * second
            raise NeucodecError(
                f"damaged from {start:.1f} to {end:.1f} s: decode without --strict to get the rest"
            )


def _position(seconds: float, sample_rate: int) -> int:
    """Return the sample at a time. Raises NeucodecError for one that no file can have."""
    if seconds < 0:
        raise NeucodecError(f"{seconds:g} s is before the start: give 0 or more")
    if not seconds <= MAX_SECONDS:
        raise NeucodecError(f"a time of {seconds:g} s: at most {MAX_SECONDS:g} s are possible")
    return round(seconds * sample_rate)


def _in_parts(block: Audio) -> Iterator[Audio]:
    """Cut a block [n, channels] of very many channels into parts.

    So what is made of each takes no more memory than the block itself.
    """
    step = MOST_SAMPLES // block.shape[1]
    return (block[start : start + step] for start in range(0, len(block), step))
