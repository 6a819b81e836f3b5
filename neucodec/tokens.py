"""The codes of an .ncf as arrays, for those who train on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from .entropy import codes_of
from .formats import ScaleKind, byte_to_scale, coded_streams

if TYPE_CHECKING:
    import pyarrow

    from .reader import NcfFile

ABSENT = -1
"""In place of a code where there is none: silence, damage, codebooks that a chunk does not use."""


@dataclass(frozen=True)
class Tokens:
    """All that a codec needs to decode a file (but for layers), and of what codec it is.

    The chunks of a file stand one after the other, ``chunk_frames`` each but perhaps the last.
    Where ``chunk_frames * hop > chunk_stride``, the last frames of a chunk and the first ones of
    the next code the same audio.
    """

    codec: str
    sample_rate: int
    """Hz, of the codec's model."""
    hop: int
    """Samples per frame."""
    codebook_size: int
    chunk_frames: int
    chunk_stride: int
    """Samples from one chunk's start to the next one's."""
    source_rate: int
    """Hz, of the audio that was encoded."""
    samples: int
    """Per channel, of the audio that was encoded."""
    channels: int
    codes: npt.NDArray[np.signedinteger[Any]]
    """[streams, codebooks, frames], int16 or, for codebooks beyond 32768, int32."""
    scales: npt.NDArray[np.float32]
    """[chunks, streams]: what decoded audio is to be multiplied by; 0 for silence and damage."""
    mid_side: npt.NDArray[np.bool_]
    """[chunks]: streams 0 and 1 are mid and side, left = mid + side, right = mid - side."""
    layered: npt.NDArray[np.bool_]
    """[chunks]: the file has an MDCT layer here, which is no tokens and which the codes lack."""


def read_tokens(file: NcfFile) -> Tokens:
    """All codes of a file; of a damaged one, those that are left."""
    header, count = file.header, file.chunk_count
    wide = header.codebook_size > 1 << 15
    parts, frames = [], header.chunk_frames
    scales = np.zeros((count, header.streams), np.float32)
    mid_side, layered = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    chunks = list(file.chunks())
    found = zip(chunks, codes_of(chunks, header, file.entropy), strict=True)
    for index, (chunk, codes) in enumerate(found):
        frames = header.chunk_frames if chunk is None else chunk.frames
        part = np.full(
            (header.streams, header.codebooks, frames), ABSENT, np.int32 if wide else np.int16
        )
        parts.append(part)
        layered[index] = chunk is not None and bool(chunk.layer)
        if chunk is None or codes is None or not chunk.codebooks:
            continue
        streams = list(coded_streams(header, chunk))
        part[streams, : chunk.codebooks] = codes
        mid_side[index] = chunk.mid_side
        if header.scale_kind == ScaleKind.NONE:
            scales[index] = 1
        else:
            by_byte = header.scale_kind == ScaleKind.LOG
            scales[index] = [byte_to_scale(int(s)) if by_byte else s for s in chunk.scales]
    empty = np.zeros((header.streams, header.codebooks, 0), np.int32 if wide else np.int16)
    return Tokens(
        codec=header.codec,
        sample_rate=header.sample_rate,
        hop=header.hop,
        codebook_size=header.codebook_size,
        chunk_frames=header.chunk_frames,
        chunk_stride=header.chunk_stride,
        source_rate=header.source_rate,
        samples=file.frames,
        channels=header.channels,
        codes=np.concatenate([empty, *parts], axis=2),
        scales=scales,
        mid_side=mid_side,
        layered=layered,
    )


def write_npy(tokens: Tokens, file: BinaryIO) -> None:
    """The codes alone."""
    np.save(file, tokens.codes, allow_pickle=False)


def write_npz(tokens: Tokens, file: BinaryIO) -> None:
    """Everything, an array for every field of `Tokens`."""
    fields: dict[str, Any] = dict(vars(tokens))
    np.savez(file, allow_pickle=False, **fields)


def arrow_table(rows: list[tuple[str, Tokens]]) -> pyarrow.Table:
    """A row for every file: its name as ``path``, and the fields of `Tokens`, arrays as lists."""
    import pyarrow

    def column(name: str) -> Any:
        values = [getattr(tokens, name) for _, tokens in rows]
        if not isinstance(values[0], np.ndarray):
            return pyarrow.array(values)
        flat = pyarrow.array(np.concatenate([value.reshape(-1) for value in values]))
        for depth in range(values[0].ndim - 1, -1, -1):
            lengths = [np.full(int(np.prod(v.shape[:depth])), v.shape[depth]) for v in values]
            offsets = np.concatenate([[0], *lengths]).cumsum().astype(np.int32)
            flat = pyarrow.ListArray.from_arrays(pyarrow.array(offsets), flat)
        return flat

    names = list(Tokens.__dataclass_fields__)
    paths = pyarrow.array([path for path, _ in rows])
    return pyarrow.table({"path": paths, **{name: column(name) for name in names}})
