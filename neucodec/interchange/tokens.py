"""Read the codes of an .ncf as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import tee
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neucodec.arguments import Given, opened_to_read
from neucodec.coding.payloads import codes_of
from neucodec.formats import Chunk, Header, ScaleKind, byte_to_scale, coded_streams
from neucodec.loading import ModelGiven, card_of, own_codec

from .file_tokens import ABSENT, FileTokens
from .token_arrays import is_tokens, load_tokens, write_npy, write_npz
from .token_tables import arrow_table

if TYPE_CHECKING:
    from neucodec.file import NcfFile

__all__ = [
    "ABSENT",
    "MAX_CODES_IN_ROW",
    "FileTokens",
    "TokenReader",
    "arrow_table",
    "is_tokens",
    "load_tokens",
    "read_tokens",
    "write_npy",
    "write_npz",
]

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
            "gain_db": float(header.gain_db or 0.0),
            "uniform": False,
        }


def _scales(chunk: Chunk, header: Header) -> Any:
    """Return the factors of a chunk's streams; one for all where the codec has no scales."""
    if header.scale_kind == ScaleKind.NONE:
        return 1
    if header.scale_kind == ScaleKind.LOG:
        return [byte_to_scale(int(scale)) for scale in chunk.scales]
    return chunk.scales


def read_tokens(
    file: NcfFile | Given,
    *,
    model: ModelGiven | None = None,
    uniform: bool = False,
    codebooks: int | None = None,
    one_level: bool = False,
) -> FileTokens:
    """Read all codes of an .ncf into memory, or of what ``neucodec tokens`` has made of one.

    The file is opened, or given as bytes, path or open file. ``model`` is the checkpoint of one's
    own that it was made with, if it was. With ``uniform`` every frame stands for one hop, and all
    have ``codebooks`` codes, see `neucodec.interchange.uniform`; ``one_level`` is then as for
    `Model.encode`. Otherwise codes are as the file has them, and damaged chunks have `ABSENT` for
    all. Raises NeucodecError.
    """
    from neucodec.file import NcfFile

    if isinstance(file, NcfFile):
        return _read_tokens(file, uniform, codebooks, one_level)
    with opened_to_read(file, seekable=True) as there:
        if is_tokens(there):
            return load_tokens(there, card_of(model))
        with NcfFile(there, own_codec(model)) as opened:
            return _read_tokens(opened, uniform, codebooks, one_level)


def _read_tokens(
    file: NcfFile, uniform: bool, codebooks: int | None, one_level: bool
) -> FileTokens:
    from .uniform import uniform_tokens

    if uniform:
        return uniform_tokens(file, codebooks, one_level=one_level)
    reader = TokenReader(file)
    codes = np.empty(reader.shape, reader.dtype)
    at = 0
    for part in reader.parts():
        codes[:, :, at : at + part.shape[2]] = part
        at += part.shape[2]
    return FileTokens(codes=codes, **reader.fields())
