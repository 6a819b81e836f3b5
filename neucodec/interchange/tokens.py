"""Read the codes of an .ncf as arrays, and write them as NumPy or Parquet files to train on."""

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
"""The value in place of a code where there is none: in silence, in damaged chunks, and in codebooks
that a chunk does not use."""


@dataclass(frozen=True)
class FileTokens:
    """Holds the codes of a whole .ncf as arrays, and all else that its codec needs to decode them.

    Layers are not among it, see ``layered``. The chunks of a file stand one after the other,
    ``chunk_frames`` each but perhaps the last. Where ``chunk_frames * hop > chunk_stride``, the
    last frames of a chunk and the first ones of the next code the same audio.
    """

    codec: str
    """The name of the codec."""
    sample_rate: int
    """The sample rate in Hz of the codec's model."""
    hop: int
    """The number of samples that a frame stands for, at ``sample_rate``."""
    codebook_size: int
    """The number of entries in a codebook: codes are below it."""
    chunk_frames: int
    """The number of frames in a whole chunk."""
    chunk_stride: int
    """The number of samples from one chunk's start to the next one's, at ``sample_rate``."""
    source_rate: int
    """The sample rate in Hz of the audio that was encoded."""
    samples: int
    """The length of that audio, in samples per channel at ``source_rate``."""
    channels: int
    """The number of channels of that audio."""
    codes: npt.NDArray[np.signedinteger[Any]]
    """The codes [streams, codebooks, frames], int16 or, for codebooks beyond 32768, int32."""
    scales: npt.NDArray[np.float32]
    """The factors [chunks, streams] by which decoded audio is multiplied; 0 for silence and
    damage."""
    mid_side: npt.NDArray[np.bool_]
    """Whether streams 0 and 1 of each chunk [chunks] are mid and side: left = mid + side, right =
    mid - side."""
    layered: npt.NDArray[np.bool_]
    """Whether the file has an MDCT layer in each chunk [chunks]; a layer has no tokens, and the
    codes do not hold what it adds."""


MAX_CODES_IN_ROW = 2**27
"""The number of codes that a row of a Parquet file may hold: it is put together in memory."""


class TokenReader:
    """Reads the codes of a file chunk by chunk, so that memory does not grow with its length.

    The arrays ``scales``, ``mid_side`` and ``layered`` are as in `FileTokens`, and complete once
    `parts` has been read to its end; ``shape`` and ``dtype`` are those of all codes together.
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
        """Yield the codes [streams, codebooks, frames] of each chunk in turn.

        Damaged chunks have `ABSENT` for all codes.
        """
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
        """Return all fields of `FileTokens` but its codes, by name."""
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
    """Return the factors of a chunk's streams; one for all where the codec has no scales."""
    if header.scale_kind == ScaleKind.NONE:
        return 1
    if header.scale_kind == ScaleKind.LOG:
        return [byte_to_scale(int(scale)) for scale in chunk.scales]
    return chunk.scales


def read_tokens(file: NcfFile) -> FileTokens:
    """Read all codes of a file into memory; damaged chunks have `ABSENT` for all codes."""
    reader = TokenReader(file)
    codes = np.empty(reader.shape, reader.dtype)
    at = 0
    for part in reader.parts():
        codes[:, :, at : at + part.shape[2]] = part
        at += part.shape[2]
    return FileTokens(codes=codes, **reader.fields())


def write_npy(reader: TokenReader, file: BinaryIO) -> None:
    """Write the codes alone to an .npy file, chunk by chunk.

    The array is in Fortran's order, in which the frames of the next chunk follow at the end.
    """
    described = {"descr": reader.dtype.str, "fortran_order": True, "shape": reader.shape}
    np.lib.format.write_array_header_1_0(file, described)
    for part in reader.parts():
        file.write(np.ascontiguousarray(part.T).data)


def write_npz(reader: TokenReader, file: BinaryIO) -> None:
    """Write everything to an .npz file: an array for every field of `FileTokens`."""
    with zipfile.ZipFile(file, "w") as archive:
        with archive.open("codes.npy", "w", force_zip64=True) as member:
            write_npy(reader, cast(BinaryIO, member))
        for name, value in reader.fields().items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(value), allow_pickle=False)


def arrow_table(rows: list[tuple[str, FileTokens]]) -> pyarrow.Table:
    """Return a table with a row for each (name, tokens) of a file.

    Its columns are the name as ``path`` and the fields of `FileTokens`, arrays as nested lists.
    """
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

    names = list(FileTokens.__dataclass_fields__)
    paths = pyarrow.array([path for path, _ in rows])
    return pyarrow.table({"path": paths, **{name: column(name) for name in names}})
