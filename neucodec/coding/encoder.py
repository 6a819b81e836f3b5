"""From audio to an .ncf, in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from neucodec.audio.resample import BlockResampler
from neucodec.errors import NeucodecError
from neucodec.formats import EntropyCoder, Header, LayerKind, NcfWriter
from neucodec.models import Card, Codec
from neucodec.parallel.threads import batches, in_order, threads_within
from neucodec.version import __version__

from .bitrate import codebooks_for
from .chunk_coding import SCALES, ChunkEncoder
from .chunks import ChunkSplitter, Geometry, Piece
from .entropy import EntropyModel
from .entropy_models import SHARED, EntropyModels
from .modes import RATES
from .rate import AverageRate, NominalRate, Rate

if TYPE_CHECKING:
    from neucodec.audio.source import Source


@dataclass(frozen=True)
class EncodeOptions:
    """What the caller may choose."""

    bitrate: float | None = None
    """Of the whole file, in bit/s; the card's default where neither this nor ``codebooks``."""
    codebooks: int | None = None
    rate_mode: str | None = None
    """What a bitrate means, one of `modes.RATES`. Unless given it is the average where
    there is a bitrate, codes are squeezed and the codec allows it."""
    mono: bool = False
    """Mix all channels down to one."""
    threads: int | None = None
    tags: Mapping[str, str] | None = None
    """Instead of the source's own."""
    gain_db: float | None = None
    """Change of level before encoding, stored in the file and undone by decoding."""
    entropy: str = "auto"
    """How codes are squeezed, one of `neucodec.coding.modes.ENTROPY`."""
    layer: bool = True
    """Whether chunks may have a layer beside their codes, where the codec gains by that."""


@dataclass(frozen=True)
class EncodeReport:
    """What came of it."""

    codec: str
    codebooks: float
    """Mean over chunks that are not silent."""
    samplerate: int
    channels: int
    frames: int
    rate_mode: str
    asked_kbps: float
    """What was aimed at: nominal or average."""
    file_bytes: int

    @property
    def seconds(self) -> float:
        """Length of the audio."""
        return self.frames / self.samplerate

    @property
    def kbps(self) -> float:
        """Real bitrate, from the file's size."""
        return self.file_bytes * 8 / 1000 / self.seconds if self.frames else 0.0

    @property
    def ratio(self) -> float:
        """How many times smaller than 16-bit PCM."""
        return 2 * self.frames * self.channels / self.file_bytes


def choose_codebooks(codec: Codec, channels: int, options: EncodeOptions) -> int:
    """How many codebooks the options ask for."""
    card = codec.card
    if options.codebooks is not None:
        if options.codebooks not in card.counts:
            possible = ", ".join(map(str, card.codebook_counts)) or f"1 to {card.codebooks}"
            raise NeucodecError(
                f"{card.name} has no {options.codebooks} codebooks: give {possible}"
            )
        return options.codebooks
    if options.bitrate is None:
        return card.default_codebooks
    return codebooks_for(card, channels, options.bitrate)


def averages(card: Card, options: EncodeOptions, squeezed: bool) -> bool:
    """Whether the codebooks are to be chosen chunk by chunk, for the file to average a bitrate."""
    if options.rate_mode not in (None, *RATES):
        raise NeucodecError(f"rate mode {options.rate_mode!r}: give {' or '.join(RATES)}")
    # A chunk's neighbours must have its codebooks, where decoding it takes their codes.
    possible = not card.chunk_code_context and len(card.counts) > 1
    if options.rate_mode is None:
        return possible and squeezed and options.bitrate is not None
    if options.rate_mode == "average":
        if options.codebooks is not None:
            raise NeucodecError("a fixed number of codebooks cannot average a bitrate: give either")
        if not possible:
            raise NeucodecError(
                f"chunks of {card.name} all take the same codebooks: use --rate-mode nominal"
            )
    return options.rate_mode == "average"


def _average_rate(
    card: Card, header: Header, bitrate: float, model: EntropyModel | None, header_bytes: int
) -> AverageRate:
    counts = [k for k in card.counts if model is None or k <= model.codebooks]
    return AverageRate(
        counts,
        # In the trailer a chunk has two bytes, and everything else of it takes about 24.
        budget=bitrate / 8 * header.chunk_stride / header.sample_rate - 2,
        book_bytes=header.raw_bytes(header.streams, 1, header.chunk_frames),
        left=model.left if model else 1.0,
        spent=header_bytes + 24,
    )


def encode(
    source: Source,
    target: BinaryIO,
    codec: Codec,
    options: EncodeOptions | None = None,
    progress: Callable[[float], None] | None = None,
    entropy_models: EntropyModels = SHARED,
) -> EncodeReport:
    """Encode all of ``source`` into ``target``, which need not be seekable.

    ``progress`` is called with the seconds of audio done since its last call; ``entropy_models``
    loads the entropy model. The bytes are a function of samples, model and options alone, see
    docs/determinism.md.
    """
    options = options or EncodeOptions()
    card, geometry = codec.card, Geometry.of(codec.card)
    channels = 1 if options.mono else source.channels
    codebooks = choose_codebooks(codec, channels, options)
    nominal = card.bitrate(codebooks, channels)
    model = entropy_models.choose(card, options.entropy)
    average = averages(card, options, model is not None)
    asked = options.bitrate if average and options.bitrate else nominal
    # First of all, since it refuses rates that nothing can be done with.
    resampler = BlockResampler(source.samplerate, card.sample_rate, channels)
    header = Header(
        codec=card.name,
        fingerprint=codec.fingerprint,
        sample_rate=card.sample_rate,
        source_rate=source.samplerate,
        channels=channels,
        streams=card.streams(channels),
        codebooks=card.counts[-1] if average else codebooks,
        codebook_size=card.codebook_size,
        hop=card.hop,
        chunk_frames=card.chunk_frames,
        chunk_stride=card.chunk_stride,
        overlap=geometry.overlap,
        scale_kind=SCALES[card.level],
        entropy=model.coder if model else EntropyCoder.NONE,
        entropy_model=model.name if model else "",
        entropy_fingerprint=model.fingerprint if model else b"",
        nominal_bitrate=None if average else round(nominal),
        average_bitrate=round(asked) if average else None,
        gain_db=options.gain_db,
        layer=LayerKind.MDCT if card.layer_gain and options.layer else LayerKind.NONE,
        channel_mask=None if options.mono else source.channel_mask,
        tags=dict(source.tags if options.tags is None else options.tags),
        encoder=f"neucodec {__version__}",
    )
    splitter = ChunkSplitter(geometry, channels)
    gain = np.float32(10 ** ((header.gain_db or 0) / 20))
    frames = 0

    def pieces() -> Iterator[Piece]:
        nonlocal frames
        # Short blocks, so that a pipe's first chunk goes out as soon as it has come in.
        for block in source.blocks(max(1, source.samplerate // 5)):
            frames += len(block)
            mixed = block.mean(axis=1, keepdims=True, dtype=np.float32) if options.mono else block
            if header.gain_db:
                mixed = mixed * gain
            yield from splitter.push(resampler.push(mixed).T)
        yield from splitter.push(resampler.finish().T)
        yield from splitter.finish()

    writer = NcfWriter(target, header)
    rate: Rate = NominalRate(codebooks)
    if average:
        rate = _average_rate(card, header, asked, model, writer.header_bytes)
    encoder = ChunkEncoder(codec, header, rate, model)
    used: Counter[int] = Counter()
    # What has no known end may be going on just now: then no chunk waits for another. And a choice
    # of codebooks may wait for chunks of the batch before, never of its own.
    most = 1 if source.frames is None else codec.batch
    piece_bytes = 4 * channels * geometry.width(geometry.frames)
    most = min(most, max(1, 2**26 // piece_bytes))
    threads = threads_within(options.threads, piece_bytes)
    turns = batches(encoder.in_turn(pieces()), most, rate.delay)
    for chunk in chain.from_iterable(in_order(encoder, turns, threads)):
        writer.write(chunk)
        used[chunk.codebooks] += 1
        if progress:
            progress(chunk.frames * card.hop / card.sample_rate)
    size = writer.close(frames)
    del used[0]
    return EncodeReport(
        codec=card.name,
        codebooks=sum(used.elements()) / used.total() if used else codebooks,
        samplerate=source.samplerate,
        channels=channels,
        frames=frames,
        rate_mode="average" if average else "nominal",
        asked_kbps=asked / 1000,
        file_bytes=size,
    )
