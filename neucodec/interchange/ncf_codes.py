"""Read and write the codes of an .ncf as arrays, for conversion from and to other formats."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from neucodec.coding.chunks import Geometry
from neucodec.coding.entropy_models import SHARED, EntropyModels
from neucodec.coding.payloads import codes_of
from neucodec.errors import NeucodecError
from neucodec.formats import Chunk, Header, NcfReader, NcfWriter, ScaleKind, pack_codes
from neucodec.models import Card
from neucodec.version import __version__

if TYPE_CHECKING:
    from neucodec.coding.entropy import Codes
    from neucodec.models import Codec

Load = Callable[[Card], "Codec"]
"""A function that returns the loaded codec of a card."""
ChunkCodes = tuple["Codes", tuple[float, ...]]
"""The codes [streams, codebooks, frames] of a chunk, and the scale of each stream; no scales where
the codec has none."""

MIN_LUFS = -70.0
"""The loudness in LUFS that the package ``dac`` states for any signal that is quieter than this."""


@dataclass(frozen=True, kw_only=True)
class PeerFile:
    """Describes a file of another program, as far as the header of an .ncf needs to know."""

    kind: str
    """The file's format: ``ecdc`` or ``dac``."""
    codebooks: int
    """The number of codebooks that every chunk uses."""
    sample_rate: int
    """The rate in Hz of the audio that was encoded."""
    channels: int
    """The number of channels of the audio that was encoded."""
    samples: int
    """The length of that audio, in samples per channel at ``sample_rate``."""
    gain_db: float | None
    """The change of level that was made before encoding and that decoding undoes, in dB; None where
    there was none."""


def write_ncf(
    target: BinaryIO, card: Card, codec: Codec, source: PeerFile, chunks: Iterable[ChunkCodes]
) -> Header:
    """Write chunks to ``target`` as an .ncf with raw payloads, and return its header.

    ``card`` says how chunks lie in the signal; ``codec`` is asked for its fingerprint only.
    """
    header = _header(card, codec, source)
    writer = NcfWriter(target, header)
    for index, (codes, scales) in enumerate(chunks):
        payload = pack_codes(codes, card.code_bits)
        writer.write(
            Chunk(
                index=index,
                codebooks=source.codebooks,
                frames=codes.shape[2],
                scales=scales,
                payload=payload,
            )
        )
    writer.close(source.samples)
    return header


def _header(card: Card, codec: Codec, source: PeerFile) -> Header:
    return Header(
        codec=card.name,
        fingerprint=codec.fingerprint,
        sample_rate=card.sample_rate,
        source_rate=source.sample_rate,
        channels=source.channels,
        streams=card.streams(source.channels),
        codebooks=source.codebooks,
        codebook_size=card.codebook_size,
        hop=card.hop,
        chunk_frames=card.chunk_frames,
        chunk_stride=card.chunk_stride,
        overlap=Geometry.of(card).overlap,
        scale_kind=ScaleKind.FLOAT if card.level == "codec" else ScaleKind.NONE,
        nominal_bitrate=round(card.bitrate(source.codebooks, source.channels)),
        frames=source.samples,
        gain_db=source.gain_db,
        encoder=f"neucodec {__version__}, from .{source.kind}",
    )


def split_codes(codes: Codes, frames: int) -> list[Codes]:
    """Split codes [..., F] into pieces [..., frames]; the last one may be shorter."""
    return [codes[..., start : start + frames] for start in range(0, codes.shape[-1], frames)]


def read_chunks(reader: NcfReader, entropy_models: EntropyModels) -> list[ChunkCodes]:
    """Read the codes and scales of all chunks, which have one number of codebooks.

    Raises NeucodecError where a chunk or the end of the file is missing, where there is no audio,
    or where chunks use different numbers of codebooks: other formats can hold none of these.
    """
    header, chunks = reader.header, list(reader)
    unpacked = codes_of(chunks, header, entropy_models.of(header))
    found: list[ChunkCodes] = []
    for chunk, codes in zip(chunks, unpacked, strict=True):
        if chunk.index != len(found) or not chunk.codebooks or codes is None:
            break
        found.append((codes, tuple(float(s) for s in chunk.scales)))
    if not reader.complete or len(found) != reader.chunk_count:
        raise NeucodecError("damaged or cut off: only whole files can be carried over")
    if not found:
        raise NeucodecError("there is no audio in it, and the other formats cannot say that")
    counts = sorted({codes.shape[1] for codes, _ in found})
    if len(counts) > 1:
        raise NeucodecError(
            f"its chunks use from {counts[0]} to {counts[-1]} codebooks, and the other formats "
            f"have one number for all: encode with --rate-mode nominal"
        )
    return found


def loudness_of(reader: NcfReader, codec: Codec, entropy_models: EntropyModels = SHARED) -> float:
    """Decode an .ncf and return the loudness of its audio in LUFS, not below `MIN_LUFS`."""
    from neucodec.audio.loudness import LoudnessMeter
    from neucodec.coding.decoder import Decoder

    decoder = Decoder(reader, codec, entropy_models=entropy_models)
    meter = LoudnessMeter(decoder.sample_rate, decoder.channels)
    for block in decoder.blocks():
        meter.push(block)
    return max(meter.lufs, MIN_LUFS)
