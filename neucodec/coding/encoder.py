"""Encode audio into an .ncf, in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import numpy as np

from neucodec.audio.resample import BlockResampler
from neucodec.audio.tag_names import PICTURE
from neucodec.formats import EntropyCoder, Header, NcfWriter
from neucodec.models import Card, Codec
from neucodec.parallel.batches import batches
from neucodec.parallel.ordered_work import in_order
from neucodec.parallel.thread_counts import threads_within
from neucodec.version import __version__

from .chunk_encoder import SCALES, ChunkEncoder, EncodedChunk, Turn
from .chunks import ChunkSplitter, Geometry, Piece
from .entropy import EntropyModel
from .entropy_models import SHARED, EntropyModels
from .fingerprint import CodesDigest, SourceFingerprint
from .options import EncodeOptions
from .rate_target import RateTarget
from .waveform_encoder import LayerFinder, SoundingEncoder, TaskMaker
from .waveform_rate import WaveformRate

if TYPE_CHECKING:
    from neucodec.audio.source import Source

T = TypeVar("T")


@dataclass(frozen=True)
class EncodeReport:
    """Says what has come of encoding a file."""

    codec: str
    codebooks: float
    """Mean over chunks that are not silent."""
    sample_rate: int
    channels: int
    samples: int
    rate_mode: str
    asked_kbps: float
    """What was aimed at: nominal or average."""
    file_bytes: int
    codes_digest: bytes
    """What `fingerprint.codes_digest_of` gives of the file, if it holds the codes."""

    @property
    def seconds(self) -> float:
        """Return the length of the audio."""
        return self.samples / self.sample_rate

    @property
    def kbps(self) -> float:
        """Return the real bitrate, from the file's size."""
        return self.file_bytes * 8 / 1000 / self.seconds if self.samples else 0.0

    @property
    def ratio(self) -> float:
        """Return how many times smaller the file is than 16-bit PCM."""
        return 2 * self.samples * self.channels / self.file_bytes


class _PieceCutter:
    """Cuts a source into pieces at the model's sample rate."""

    def __init__(self, source: Source, card: Card, options: EncodeOptions) -> None:
        """Prepare resampling.

        Raises NeucodecError for sample rates that nothing can be done with.
        """
        self.channels = 1 if options.mono else source.channels
        self.samples = 0
        """Samples per channel that the source has given so far."""
        self.fingerprint = SourceFingerprint(source.sample_rate, source.channels)
        """That of the samples that the source has given so far."""
        self._source, self._mono = source, options.mono
        self._resampler = BlockResampler(source.sample_rate, card.sample_rate, self.channels)
        self._splitter = ChunkSplitter(Geometry.of(card), self.channels)

    def pieces(self, gain_db: float) -> Iterator[Piece]:
        """Read the source to its end; give each piece as soon as it is complete."""
        gain = np.float32(10 ** (gain_db / 20))
        # Short blocks, so that a pipe's first chunk goes out as soon as it has come in.
        for block in self._source.blocks(max(1, self._source.sample_rate // 5)):
            self.samples += len(block)
            self.fingerprint.add(block)
            mixed = block.mean(axis=1, keepdims=True, dtype=np.float32) if self._mono else block
            if gain_db:
                mixed = mixed * gain
            yield from self._splitter.push(self._resampler.push(mixed).T)
        yield from self._splitter.push(self._resampler.finish().T)
        yield from self._splitter.finish()


def encode(
    source: Source,
    target: BinaryIO,
    codec: Codec,
    options: EncodeOptions | None = None,
    progress: Callable[[float], None] | None = None,
    entropy_models: EntropyModels = SHARED,
) -> EncodeReport:
    """Encode all of ``source`` into ``target``, which need not be seekable.

    The way of the audio is: blocks of the source, pieces of about a second at the model's rate
    (`_PieceCutter`), chunks (`ChunkEncoder`), bytes (`NcfWriter`). ``progress`` is called with the
    seconds of audio done since its last call; ``entropy_models`` loads the entropy model. The bytes
    are a function of samples, model and options alone, see docs/determinism.md. Raises
    NeucodecError.
    """
    options = options or EncodeOptions()
    card, channels = codec.card, 1 if options.mono else source.channels
    RateTarget.of(card, channels, options, is_squeezed=True)  # refuses before anything is fetched
    entropy_model = entropy_models.choose(card, options.entropy)
    goal = RateTarget.of(card, channels, options, entropy_model is not None)
    cutter = _PieceCutter(source, card, options)
    header = _header(source, codec, options, entropy_model, goal)
    writer = NcfWriter(target, header)
    cover_bytes = len(header.tags.get(PICTURE, ""))  # would starve what one hears
    rate = goal.rate(card, header, entropy_model, writer.header_bytes - cover_bytes)
    encoder = ChunkEncoder(codec, header, rate, entropy_model)
    turns = encoder.with_state(cutter.pieces(header.gain_db or 0))
    used, digest = Counter[int](), CodesDigest()
    if goal.has_waveforms:
        waveform_rate = goal.waveform_rate(header, writer.header_bytes)
        chunks = _with_waveforms(encoder, turns, source, options, waveform_rate)
    else:
        chunks = _spread(encoder, encoder, turns, source, options)
    for encoded in chunks:
        writer.append(encoded.chunk, encoded.data)
        used[encoded.chunk.codebooks] += 1
        digest.add(encoded.chunk, encoded.codes)
        if progress:
            progress(encoded.chunk.frames * card.hop / card.sample_rate)
    size = writer.close(cutter.samples, cutter.fingerprint.digest())
    del used[0]
    return EncodeReport(
        codec=card.name,
        codebooks=sum(used.elements()) / used.total() if used else goal.codebooks,
        sample_rate=source.sample_rate,
        channels=channels,
        samples=cutter.samples,
        rate_mode="average" if goal.is_average else "nominal",
        asked_kbps=goal.bits_per_second / 1000,
        file_bytes=size,
        codes_digest=digest.digest(),
    )


def _header(
    source: Source,
    codec: Codec,
    options: EncodeOptions,
    entropy_model: EntropyModel | None,
    goal: RateTarget,
) -> Header:
    """Return what the file says of itself."""
    card, model = codec.card, entropy_model
    channels = 1 if options.mono else source.channels
    bitrate = round(goal.bits_per_second)
    return Header(
        codec=card.name,
        fingerprint=codec.fingerprint,
        sample_rate=card.sample_rate,
        source_rate=source.sample_rate,
        channels=channels,
        streams=card.streams(channels),
        codebooks=goal.max_codebooks,
        codebook_size=card.codebook_size,
        hop=card.hop,
        chunk_frames=card.chunk_frames,
        chunk_stride=card.chunk_stride,
        overlap=Geometry.of(card).overlap,
        scale_kind=SCALES[card.level],
        entropy=model.coder if model else EntropyCoder.NONE,
        entropy_model=model.name if model else "",
        entropy_fingerprint=model.fingerprint if model else b"",
        nominal_bitrate=None if goal.is_average else bitrate,
        average_bitrate=bitrate if goal.is_average else None,
        gain_db=options.gain_db,
        layer=goal.layer,
        channel_mask=None if options.mono else source.channel_mask,
        tags=dict(source.tags if options.tags is None else options.tags),
        encoder=f"neucodec {__version__}",
    )


def _with_waveforms(
    encoder: ChunkEncoder,
    turns: Iterator[Turn],
    source: Source,
    options: EncodeOptions,
    rate: WaveformRate,
) -> Iterator[EncodedChunk]:
    """Encode chunks, and decode what they sound like; then find their waveform layers."""
    sounding = _spread(SoundingEncoder(encoder), encoder, turns, source, options)
    tasks = TaskMaker(encoder, rate).tasks(sounding)
    threads = threads_within(options.threads, _piece_bytes(encoder))
    return in_order(LayerFinder(encoder.header), tasks, threads)


def _piece_bytes(encoder: ChunkEncoder) -> int:
    """Return how much memory a piece of audio takes."""
    geometry = Geometry.of(encoder.codec.card)
    return 4 * encoder.header.channels * geometry.width(geometry.frames)


def _spread(
    function: Callable[[list[Turn]], list[T]],
    encoder: ChunkEncoder,
    turns: Iterator[Turn],
    source: Source,
    options: EncodeOptions,
) -> Iterator[T]:
    """Give what a function of batches of turns gives, in order, worked out in as many threads and
    batches as are worth their memory.
    """
    piece_bytes = _piece_bytes(encoder)
    # What has no known end may be going on just now: then no chunk waits for another. And a choice
    # of codebooks may wait for chunks of the batch before, never of its own.
    most = 1 if source.samples is None else encoder.codec.batch
    most = min(most, max(1, 2**26 // piece_bytes))
    threads = threads_within(options.threads, piece_bytes)
    together = batches(turns, most, encoder.rate.delay)
    return chain.from_iterable(in_order(function, together, threads))
