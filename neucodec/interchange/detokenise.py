"""Make an .ncf, or audio, of codes that are arrays."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from neucodec.audio.samples import Audio
from neucodec.coding.chunks import Geometry
from neucodec.coding.entropy import EntropyModel
from neucodec.errors import NeucodecError
from neucodec.formats import (
    Chunk,
    EntropyCoder,
    Header,
    NcfReader,
    NcfWriter,
    ScaleKind,
    scale_to_byte,
)
from neucodec.models import Card
from neucodec.version import __version__

from .file_tokens import FileTokens

if TYPE_CHECKING:
    from neucodec.models import Codec

_KINDS = {"rms": ScaleKind.LOG, "codec": ScaleKind.FLOAT, "none": ScaleKind.NONE}


def at_level(tokens: FileTokens, level: float) -> FileTokens:
    """Return codes whose chunks all have one level: the RMS, full scale being 1."""
    return replace(tokens, scales=np.full_like(tokens.scales, level))


def check_model(tokens: FileTokens, card: Card) -> None:
    """Raise NeucodecError where codes cannot be those of a model."""
    stride = card.chunk_stride
    if tokens.uniform:
        stride = stride // card.hop * card.hop
    expected = (card.sample_rate, card.hop, card.codebook_size, card.chunk_frames, stride)
    found = (
        tokens.sample_rate, tokens.hop, tokens.codebook_size, tokens.chunk_frames,
        tokens.chunk_stride,
    )  # fmt: skip
    if expected != found:
        raise NeucodecError(
            f"its codes, of {tokens.codec}, do not fit {card.name}: {found} instead of {expected}"
        )
    if problem := card.no_codebooks(tokens.shape[1]):
        raise NeucodecError(problem)
    if card.streams(tokens.channels) != tokens.shape[0]:
        raise NeucodecError(
            f"{tokens.shape[0]} streams for {tokens.channels} channels: {card.name} has "
            f"{card.streams(tokens.channels)}"
        )


def write_tokens(
    tokens: FileTokens, target: BinaryIO, codec: Codec, entropy_model: EntropyModel | None = None
) -> int:
    """Write codes to ``target`` as an .ncf, and return its length in bytes.

    What is missing (-1) is silent. Raises NeucodecError where the codes are not the codec's, or
    where an .ncf cannot hold them.
    """
    from neucodec.coding.payloads import encode_payload

    card = codec.card
    check_model(tokens, card)
    if tokens.uniform and card.chunk_stride % card.hop:
        raise NeucodecError(
            f"uniform codes of {card.name} are in no .ncf, whose chunks are "
            f"{card.chunk_stride / card.hop:g} frames apart: make audio of them, as in -o x.wav"
        )
    writer = NcfWriter(target, _header(tokens, codec, entropy_model))
    for index, part in enumerate(_parts(tokens, card)):
        codes, scales = _coded(part, tokens.scales[index], card)
        if not len(codes):
            writer.write(Chunk(index=index, codebooks=0, frames=part.shape[2]))
            continue
        payload, raw = encode_payload(codes, card.code_bits, entropy_model)
        mid_side = bool(tokens.mid_side[index])
        writer.write(
            Chunk(
                index=index, codebooks=codes.shape[1], frames=part.shape[2], scales=scales,
                payload=payload, raw=raw, mid_side=mid_side,
            )
        )  # fmt: skip
    return writer.close(tokens.samples)


def audio_blocks(tokens: FileTokens, codec: Codec) -> Iterator[Audio]:
    """Give the audio that codes stand for, in blocks [n, channels] at their source's rate.

    Raises NeucodecError as `write_tokens`.
    """
    from neucodec.coding.decoder import Decoder

    if tokens.uniform and codec.card.chunk_stride % codec.card.hop:
        check_model(tokens, codec.card)
        yield _decoded(tokens, codec)
        return
    file = io.BytesIO()
    write_tokens(tokens, file, codec)
    file.seek(0)
    yield from Decoder(NcfReader(file), codec).blocks()


def _parts(tokens: FileTokens, card: Card) -> Iterator[npt.NDArray[Any]]:
    """Give the codes [streams, codebooks, frames] of each chunk."""
    from neucodec.coding.tensor_coder import chunk_spans

    spans = chunk_spans(tokens.shape[2], Geometry.of(card), tokens.uniform)
    if len(spans) != len(tokens.scales):
        raise NeucodecError(f"scales of {len(tokens.scales)} chunks for {len(spans)} of codes")
    step = card.chunk_stride // card.hop
    for start, own in spans:
        part = tokens.codes[..., start : start + own].astype(np.int64)
        # What the next chunk has of this one's sound may be damaged there alone.
        for frame in range(step, own) if tokens.uniform else ():
            lost = part[..., frame] < 0
            part[..., frame] = np.where(lost, part[..., frame - 1], part[..., frame])
        yield part


def _coded(
    part: npt.NDArray[Any], scales: npt.NDArray[np.float32], card: Card
) -> tuple[npt.NDArray[np.int64], tuple[Any, ...]]:
    """Return the codes of the streams that have any, and the scales of all as a chunk has them."""
    books = (part >= 0).all(axis=2).cumprod(axis=1).sum(axis=1)
    if card.level == "rms":
        pairs = zip(scales, books, strict=True)
        bytes_ = [scale_to_byte(float(scale)) if scale > 0 and n else 0 for scale, n in pairs]
        there = np.array(bytes_) > 0
        kept: tuple[Any, ...] = tuple(bytes_)
    else:
        there = np.full(len(part), bool(books.all()))
        kept = tuple(scales.tolist()) if card.level == "codec" else ()
    if not there.any():
        return part[:0], ()
    count = int(books[there].min())
    if problem := card.no_codebooks(count):
        raise NeucodecError(problem)
    return part[there, :count], kept


def _header(tokens: FileTokens, codec: Codec, entropy_model: EntropyModel | None) -> Header:
    card, streams = codec.card, tokens.shape[0]
    codebooks = tokens.shape[1]
    whole = bool((tokens.codes >= 0).all())
    return Header(
        codec=card.name,
        fingerprint=codec.fingerprint,
        sample_rate=card.sample_rate,
        source_rate=tokens.source_rate,
        channels=tokens.channels,
        streams=streams,
        codebooks=codebooks,
        codebook_size=card.codebook_size,
        hop=card.hop,
        chunk_frames=card.chunk_frames,
        chunk_stride=card.chunk_stride,
        overlap=Geometry.of(card).overlap,
        scale_kind=_KINDS[card.level],
        entropy=entropy_model.coder if entropy_model else EntropyCoder.NONE,
        entropy_model=entropy_model.name if entropy_model else "",
        entropy_fingerprint=entropy_model.fingerprint if entropy_model else b"",
        nominal_bitrate=round(card.bitrate(codebooks, tokens.channels)) if whole else None,
        frames=tokens.samples,
        gain_db=tokens.gain_db or None,
        encoder=f"neucodec {__version__}, from codes",
    )


def _decoded(tokens: FileTokens, codec: Codec) -> Audio:
    """Decode uniform codes that no .ncf can hold, with silence where codes are missing."""
    import torch

    from neucodec.audio.resample import BlockResampler
    from neucodec.coding.tensor_coder import TensorCoder

    card = codec.card
    levels = torch.from_numpy(tokens.scales.T.copy()) if card.level != "none" else None
    codes = torch.from_numpy(tokens.codes.astype(np.int64).clip(0))
    samples = -(-tokens.samples * card.sample_rate // tokens.source_rate)
    signal = TensorCoder(codec).decode(codes, levels, samples, uniform=True)
    lost = np.repeat((tokens.codes < 0).any(axis=(0, 1)), card.hop)[: signal.shape[1]]
    gain = np.float32(10 ** (-tokens.gain_db / 20))
    audio = np.where(lost[: signal.shape[1]], np.float32(0), signal)[: tokens.channels].T * gain
    resampler = BlockResampler(card.sample_rate, tokens.source_rate, tokens.channels)
    parts = [resampler.push(np.ascontiguousarray(audio)), resampler.finish()]
    whole: Audio = np.concatenate(parts)[: tokens.samples]
    return whole
