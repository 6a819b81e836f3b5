"""The codes of an .ncf as arrays, for those who train on them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import tee
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from neucodec.coding.payloads import codes_of
from neucodec.formats import Chunk, Header, ScaleKind, byte_to_scale, coded_streams

if TYPE_CHECKING:
    import pyarrow

    from neucodec.file import NcfFile

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


MOST_IN_A_ROW = 2**27
"""Codes that a row of a Parquet file may hold: it is put together in memory."""


class TokenReader:
    """The codes of a file chunk by chunk, so that memory does not grow with its length.

    ``scales``, ``mid_side`` and ``layered`` of `Tokens` are complete once ``parts`` are through.
    """

    def __init__(self, file: NcfFile) -> None:
        header, count = file.header, file.chunk_count
        self._file = file
        self.dtype = np.dtype("<i4" if header.codebook_size > 1 << 15 else "<i2")
        last = file.reader.read_chunk(count - 1) if count else None
        frames = count * header.chunk_frames
        frames -= header.chunk_frames - last.frames if last else 0
        self.shape = (header.streams, header.codebooks, frames)
        self.scales = np.zeros((count, header.streams), np.float32)
        self.mid_side, self.layered = np.zeros(count, np.bool_), np.zeros(count, np.bool_)

    def parts(self) -> Iterator[npt.NDArray[np.signedinteger[Any]]]:
        """The codes [streams, codebooks, frames] of each chunk in turn; of a damaged file, those
        that are left."""
        header = self._file.header
        kept, asked = tee(self._file.chunks())
        found = codes_of(asked, header, self._file.entropy)
        for index, (chunk, codes) in enumerate(zip(kept, found, strict=True)):
            frames = header.chunk_frames if chunk is None else chunk.frames
            part = np.full((*self.shape[:2], frames), ABSENT, self.dtype, order="F")
            self.layered[index] = chunk is not None and bool(chunk.layer)
            if chunk is not None and codes is not None and chunk.codebooks:
                streams = list(coded_streams(header, chunk))
                part[streams, : chunk.codebooks] = codes
                self.mid_side[index] = chunk.mid_side
                self.scales[index] = _scales(chunk, header)
            yield part

    def fields(self) -> dict[str, Any]:
        """All of `Tokens` but its codes."""
        header = self._file.header
        return {
            "codec": header.codec,
            "sample_rate": header.sample_rate,
            "hop": header.hop,
            "codebook_size": header.codebook_size,
            "chunk_frames": header.chunk_frames,
            "chunk_stride": header.chunk_stride,
            "source_rate": header.source_rate,
            "samples": self._file.frames,
            "channels": header.channels,
            "scales": self.scales,
            "mid_side": self.mid_side,
            "layered": self.layered,
        }


def _scales(chunk: Chunk, header: Header) -> Any:
    """What the decoded audio of each stream is to be multiplied by."""
    if header.scale_kind == ScaleKind.NONE:
        return 1
    if header.scale_kind == ScaleKind.LOG:
        return [byte_to_scale(int(scale)) for scale in chunk.scales]
    return chunk.scales


def read_tokens(file: NcfFile) -> Tokens:
    """All codes of a file in memory; of a damaged one, those that are left."""
    reader = TokenReader(file)
    codes = np.empty(reader.shape, reader.dtype)
    at = 0
    for part in reader.parts():
        codes[:, :, at : at + part.shape[2]] = part
        at += part.shape[2]
    return Tokens(codes=codes, **reader.fields())


def write_npy(reader: TokenReader, file: BinaryIO) -> None:
    """The codes alone, one chunk after the other: the array stands in Fortran's order."""
    described = {"descr": reader.dtype.str, "fortran_order": True, "shape": reader.shape}
    np.lib.format.write_array_header_1_0(file, described)
    for part in reader.parts():
        file.write(np.ascontiguousarray(part.T).data)


def write_npz(reader: TokenReader, file: BinaryIO) -> None:
    """Everything, an array for every field of `Tokens`."""
    with zipfile.ZipFile(file, "w") as archive:
        with archive.open("codes.npy", "w", force_zip64=True) as member:
            write_npy(reader, cast(BinaryIO, member))
        for name, value in reader.fields().items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(value), allow_pickle=False)


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
