"""Write an .ncf in one pass."""

from __future__ import annotations

from typing import Any

from neucodec.formats.errors import NcfError

from .chunk import Chunk, encode_chunk
from .header import Header
from .header_bytes import encode_header
from .trailer import SOURCE_FINGERPRINT_BYTES, TrailerBuilder, frames_fit


class NcfWriter:
    """Writes header, chunks and trailer to a binary file or pipe that need not be seekable.

    The header is written at once. Nothing but the chunk table (about two bytes per chunk) is
    held. Raises NcfError for what an .ncf cannot hold, before anything of it is written. The
    file is neither flushed nor closed.
    """

    def __init__(self, file: Any, header: Header) -> None:
        self.header = header
        self.chunk_bytes = 0
        """Bytes of all chunks so far."""
        self._file = file
        self._trailer = TrailerBuilder()
        self._short = False
        self._closed = False
        self.header_bytes = self._put(encode_header(header))

    def write(self, chunk: Chunk) -> int:
        """Append a chunk, indices from 0 without a gap; return its length in bytes."""
        return self.append(chunk, encode_chunk(self.header, chunk))

    def append(self, chunk: Chunk, data: bytes) -> int:
        """Append a chunk that `encode_chunk` has made ``data`` of; return its length in bytes."""
        self._check_open()
        if chunk.index != self._trailer.count:
            raise NcfError(f"chunk {chunk.index} where chunk {self._trailer.count} is due")
        if self._short:
            raise NcfError(f"chunk {chunk.index} after a short one: only the last may be short")
        length = self._put(data)
        self._short = chunk.frames != self.header.chunk_frames
        self._trailer.add(length)
        self.chunk_bytes += length
        return length

    def close(self, frames: int, source_fingerprint: bytes = b"") -> int:
        """Append the trailer and return the length of the whole .ncf in bytes.

        ``frames`` is the exact number of source samples per channel; it must take just as many
        chunks as were written. ``source_fingerprint`` is of those samples, 16 bytes, or empty.
        """
        self._check_open()
        if len(source_fingerprint) not in (0, SOURCE_FINGERPRINT_BYTES):
            raise NcfError(f"fingerprint of {len(source_fingerprint)} bytes: 16 or none are due")
        if frames < 0 or not frames_fit(self.header, self._trailer.count, frames):
            raise NcfError(
                f"{frames} samples at {self.header.source_rate} Hz do not fit "
                f"{self._trailer.count} chunks of {self.header.chunk_stride} at "
                f"{self.header.sample_rate} Hz"
            )
        length = self._put(self._trailer.encode(frames, source_fingerprint))
        self._closed = True
        return self.header_bytes + self.chunk_bytes + length

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("the .ncf is closed")

    def _put(self, data: bytes) -> int:
        # An unbuffered pipe may take less than it is given; other writers return nothing.
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            view = view[len(view) if written is None else written :]
        return len(data)
