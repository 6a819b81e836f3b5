"""From audio to an .ncf, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np

from . import __version__
from .bitrate import codebooks_for
from .chunks import Audio, ChunkSplitter, Geometry, Piece
from .coding import SCALES, ChunkEncoder
from .errors import NeucodecError
from .formats import EntropyCoder, Header, NcfWriter
from .models.codec import Codec
from .resample import BlockResampler
from .workers import in_order


class Source(Protocol):
    """What is asked of audio to be encoded: an AudioSource, or an array dressed as one."""

    @property
    def samplerate(self) -> int:
        """Hz."""
        ...

    @property
    def channels(self) -> int:
        """How many columns the blocks have."""
        ...

    @property
    def frames(self) -> int | None:
        """Samples per channel, None where not known beforehand."""
        ...

    @property
    def tags(self) -> Mapping[str, str]:
        """Vorbis comment names to texts."""
        ...

    def blocks(self, blocksize: int = ...) -> Iterator[Audio]:
        """All of it as float32 [n, channels]."""
        ...


@dataclass(frozen=True)
class EncodeOptions:
    """What the caller may choose."""

    bitrate: float | None = None
    """Of the whole file, in bit/s; the card's default where neither this nor ``codebooks``."""
    codebooks: int | None = None
    mono: bool = False
    """Mix all channels down to one."""
    threads: int | None = None
    tags: Mapping[str, str] | None = None
    """Instead of the source's own."""
    gain_db: float | None = None
    """Change of level before encoding, stored in the file and undone by decoding."""


@dataclass(frozen=True)
class EncodeReport:
    """What came of it."""

    codec: str
    codebooks: int
    samplerate: int
    channels: int
    frames: int
    nominal_kbps: float
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


def encode(
    source: Source,
    target: BinaryIO,
    codec: Codec,
    options: EncodeOptions | None = None,
    progress: Callable[[float], None] | None = None,
) -> EncodeReport:
    """Encode all of ``source`` into ``target``, which need not be seekable.

    ``progress`` is called with the seconds of audio done since its last call. The bytes are a
    function of input, model and options alone, whatever the number of threads.
    """
    options = options or EncodeOptions()
    card, geometry = codec.card, Geometry.of(codec.card)
    channels = 1 if options.mono else source.channels
    codebooks = choose_codebooks(codec, channels, options)
    nominal = card.bitrate(codebooks, channels)
    header = Header(
        codec=card.name,
        fingerprint=codec.fingerprint,
        sample_rate=card.sample_rate,
        source_rate=source.samplerate,
        channels=channels,
        streams=card.streams(channels),
        codebooks=codebooks,
        codebook_size=card.codebook_size,
        hop=card.hop,
        chunk_frames=card.chunk_frames,
        chunk_stride=card.chunk_stride,
        overlap=geometry.overlap,
        scale_kind=SCALES[card.level],
        entropy=EntropyCoder.NONE,
        nominal_bitrate=round(nominal),
        frames=source.frames,
        gain_db=options.gain_db,
        tags=dict(source.tags if options.tags is None else options.tags),
        encoder=f"neucodec {__version__}",
    )
    resampler = BlockResampler(source.samplerate, card.sample_rate, channels)
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
    encoder = ChunkEncoder(codec, codebooks)
    for chunk in in_order(encoder, encoder.in_turn(pieces()), options.threads):
        writer.write(chunk)
        if progress:
            progress(chunk.frames * card.hop / card.sample_rate)
    size = writer.close(frames)
    return EncodeReport(
        card.name, codebooks, source.samplerate, channels, frames, nominal / 1000, size
    )
