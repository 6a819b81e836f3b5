"""Uniform codes of files: one frame for every hop, and equally many codes in each.

A file's chunks share frames, use as many codebooks as their second is worth, none where it is
silent, code mid and side where that suits, and may have a layer that no code knows of. Programs
that learn from codes want none of that. So frames that two chunks share are kept once, and chunks
that lack codes, or whose codes are not all of their sound, are decoded and encoded again. All
others keep the very codes that the file has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import tee
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neucodec.arguments import whole_number
from neucodec.coding.payloads import codes_of
from neucodec.errors import GivenValueError
from neucodec.formats import Chunk, Header, LayerKind, ScaleKind, byte_to_scale, coded_streams

from .file_tokens import ABSENT, FileTokens

if TYPE_CHECKING:
    from neucodec.file import NcfFile
    from neucodec.models import Codec

Load = Callable[[], "Codec"]
"""A function that returns the loaded codec of a file."""


@dataclass
class _Frames:
    """The codes of a file, filled in chunk by chunk."""

    codes: npt.NDArray[Any]
    """[streams, codebooks, frames]; `ABSENT` where nothing is known."""
    scales: npt.NDArray[np.float32]
    """[chunks, streams]."""
    step: int
    """Frames from one chunk to the next."""

    def put(self, index: int, codes: Any, scales: Any) -> None:
        """Set the frames [streams, codebooks, frames] of a chunk, and its scales [streams]."""
        start = index * self.step
        last = index == len(self.scales) - 1
        here = self.codes[..., start : self.codes.shape[2] if last else start + self.step]
        width = min(here.shape[2], codes.shape[2])  # of damaged files they may differ
        here[..., :width] = codes[..., :width]
        self.scales[index] = scales


def uniform_tokens(
    file: NcfFile,
    codebooks: int | None = None,
    *,
    one_level: bool = False,
    load: Load | None = None,
) -> FileTokens:
    """Read the codes of a file, all frames with ``codebooks`` codes.

    Unless given they are as many as all chunks were to have, or where each has its own number the
    codec's default. Damaged chunks have `ABSENT` for all codes. With ``one_level`` all is encoded
    again, as `Model.encode` does with it. ``load`` gives the codec, which the file has unless
    given. Raises NeucodecError.
    """
    header = file.header
    count = _count(file, codebooks)
    step, chunks = header.chunk_stride // header.hop, file.chunk_count
    whole = header.chunk_stride % header.hop == 0 and not one_level
    found = _empty(file, count, step, chunks)
    lost, lacking = _stored(file, found, count) if whole else (set[int](), set(range(chunks)))
    if not whole or lacking:
        codec = load() if load else file.codec
        stream = codec.card.chunk_strategy == "stream"
        if not whole or stream:
            found, lost = _encoded_anew(file, codec, found, count, one_level)
        else:
            _fill(file, codec, found, count, lacking)
    for index in lost:
        start = index * header.chunk_stride // header.hop
        found.codes[..., start : -(-(index + 1) * header.chunk_stride // header.hop)] = ABSENT
    return FileTokens(
        codec=header.codec, sample_rate=header.sample_rate, hop=header.hop,
        codebook_size=header.codebook_size, chunk_frames=header.chunk_frames,
        chunk_stride=found.step * header.hop, source_rate=header.source_rate, samples=file.frames,
        channels=header.channels, codes=found.codes, scales=found.scales,
        mid_side=np.zeros(len(found.scales), np.bool_),
        layered=np.zeros(len(found.scales), np.bool_), gain_db=float(header.gain_db or 0.0),
        uniform=True,
    )  # fmt: skip


def _count(file: NcfFile, codebooks: int | None) -> int:
    header = file.header
    if codebooks is not None:
        count = whole_number("codebooks", codebooks, 1)
        # Of a checkpoint of one's own the card need not be there.
        if count > header.codebooks and (problem := file.card.no_codebooks(count)):
            raise GivenValueError(problem)
        return count
    return header.codebooks if header.average_bitrate is None else file.card.default_codebooks


def _empty(file: NcfFile, count: int, step: int, chunks: int) -> _Frames:
    header = file.header
    samples = -(-file.frames * header.sample_rate // header.source_rate)
    kind = np.dtype("<i4" if header.codebook_size > 1 << 15 else "<i2")
    frames = -(-samples // header.hop)
    codes = np.full((header.streams, count, frames), ABSENT, kind)
    return _Frames(codes, np.zeros((chunks, header.streams), np.float32), step)


def _stored(file: NcfFile, found: _Frames, count: int) -> tuple[set[int], set[int]]:
    """Take what the file has; return the indices of lost chunks, and of those that lack codes."""
    header, lost, lacking = file.header, set[int](), set[int]()
    kept, asked = tee(file.chunks())
    unpacked: Iterator[Any] = codes_of(asked, header, file.entropy)
    for index, (chunk, codes) in enumerate(zip(kept, unpacked, strict=True)):
        if chunk is None or codes is None:
            lost.add(index)
        elif _is_plain(chunk, header, count):
            found.put(index, codes[:, :count], _scales(chunk, header))
        else:
            lacking.add(index)
    return lost, lacking


def _is_plain(chunk: Chunk, header: Header, count: int) -> bool:
    """Tell whether a chunk's codes are enough of them, and of all of its sound.

    A waveform layer takes nothing from the codes, which an MDCT layer does.
    """
    streams = len(coded_streams(header, chunk))
    return (
        chunk.codebooks >= count and streams == header.streams
        and not (chunk.layer and header.layer == LayerKind.MDCT) and not chunk.mid_side
    )  # fmt: skip


def _scales(chunk: Chunk, header: Header) -> Any:
    if header.scale_kind == ScaleKind.NONE:
        return 1
    if header.scale_kind == ScaleKind.LOG:
        return [byte_to_scale(int(scale)) for scale in chunk.scales]
    return chunk.scales


def _fill(file: NcfFile, codec: Codec, found: _Frames, count: int, lacking: set[int]) -> None:
    """Encode chunks again that lack codes."""
    from neucodec.coding.tensor_coder import TensorCoder

    signal, _ = _decoded(file, codec)
    for index, codes, scales in TensorCoder(codec).encode_chunks(signal, count, lacking):
        found.put(index, codes.numpy(), 1 if scales is None else scales.numpy())


def _encoded_anew(
    file: NcfFile, codec: Codec, found: _Frames, count: int, one_level: bool
) -> tuple[_Frames, set[int]]:
    """Decode all of a file and encode it again; return the codes, and the lost chunks."""
    from neucodec.coding.tensor_coder import TensorCoder

    signal, lost = _decoded(file, codec)
    coder = TensorCoder(codec)
    step = coder.geometry(uniform=True).stride // file.header.hop
    if not signal.shape[1]:
        return found, lost
    codes, scales = coder.encode(signal, count, uniform=True, one_level=one_level)
    levels = np.ones((len(found.codes), 0), np.float32) if scales is None else scales.numpy()
    if scales is None:
        levels = np.ones((len(codes), len(coder.chunk_spans(codes.shape[-1], True))), np.float32)
    return _Frames(codes.numpy().astype(found.codes.dtype), levels.T.copy(), step), lost


def _decoded(file: NcfFile, codec: Codec) -> tuple[npt.NDArray[np.float32], set[int]]:
    """Decode a file to what was encoded, [streams * channels of the codec, samples] at the codec's
    rate and level; return the indices of lost chunks, too.
    """
    from neucodec.coding.decoder import Decoder
    from neucodec.coding.options import DecodeOptions

    header, card = file.header, codec.card
    options = DecodeOptions(rate=card.sample_rate)
    decoder = Decoder(file.reader, codec, options, file.entropy_models)
    parts = [np.zeros((0, header.channels), np.float32), *decoder.blocks()]
    audio = np.concatenate(parts) * np.float32(10 ** ((header.gain_db or 0.0) / 20))
    lacking = -header.channels % card.channels
    signal = np.concatenate([audio, np.repeat(audio[:, -1:], lacking, axis=1)], axis=1)
    return np.ascontiguousarray(signal.T), set(decoder.lost_chunks)
