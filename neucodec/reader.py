"""An .ncf opened as python-soundfile opens a sound file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from .decoder import DecodeOptions, Decoder, card_for, check_header
from .entropy import EntropyModel, chunk_codes, codes_of
from .entropy_models import SHARED, EntropyModels
from .errors import NeucodecError
from .failures import as_one_kind
from .formats import Chunk, Header, NcfReader
from .models.codec import Codec
from .models.registry import load

Audio = npt.NDArray[np.float32]


class NcfFile:
    """Decodes on demand: ``read``, ``seek``, ``tell`` and ``blocks`` count source samples.

    Needs a seekable file. Not safe to share between threads; open it once in each.
    """

    def __init__(
        self,
        file: str | PathLike[str] | BinaryIO,
        codec: Codec | None = None,
        device: str = "auto",
        entropy_models: EntropyModels = SHARED,
    ) -> None:
        """Open by name or by file object.

        ``codec`` saves loading the one that the file names; with a checkpoint of one's own, which
        no name leads to, it has to be given. ``entropy_models`` loads the entropy model.
        """
        self._running: tuple[int, Iterator[Audio], Audio] | None = None
        self._owned, self._path = isinstance(file, (str, PathLike)), file
        self._file: BinaryIO = (
            Path(file).open("rb")  # noqa: SIM115 - closed by close()
            if isinstance(file, (str, PathLike))
            else file
        )
        try:
            self.reader = NcfReader(self._file)
            if not self.reader.seekable:
                raise NeucodecError("not seekable: read it with Decoder, or copy it to a file")
            self.card = codec.card if codec else card_for(self.reader.header)
            check_header(self.reader.header, self.card)
            self.reader.table()
        except BaseException:
            self.close()
            raise
        self._codec, self._device = codec, device
        self._entropy_models = entropy_models
        self._position = 0

    @property
    def name(self) -> str:
        """The path, or what the file object calls itself; empty for one in memory."""
        return str(self._path if self._owned else getattr(self._file, "name", ""))

    @property
    def closed(self) -> bool:
        """Whether nothing can be read any more."""
        return self._file.closed

    def seekable(self) -> bool:
        """True: opening refuses what is not."""
        return self.reader.seekable

    @property
    def header(self) -> Header:
        """Everything that the file says of itself."""
        return self.reader.header

    @property
    def samplerate(self) -> int:
        """Hz, of the source and of what ``read`` gives."""
        return self.header.source_rate

    @property
    def channels(self) -> int:
        """Of the source and of what ``read`` gives."""
        return self.header.channels

    @property
    def frames(self) -> int:
        """Samples per channel; of a file that was cut off, those that are left."""
        if self.reader.complete and self.reader.frames is not None:
            return self.reader.frames
        header = self.header
        whole = self.chunk_count * header.chunk_stride
        left = whole * header.source_rate // header.sample_rate
        return left if header.frames is None else min(left, header.frames)

    @property
    def tags(self) -> Mapping[str, str]:
        """Vorbis comment names and their values."""
        return self.header.tags

    @property
    def codec(self) -> Codec:
        """The loaded codec, loaded at first use."""
        if self._codec is None:
            with as_one_kind():
                self._codec = load(self.card.name, self._device)
        return self._codec

    def tell(self) -> int:
        """The sample that ``read`` goes on from."""
        return self._position

    def seek(self, frames: int, whence: int = 0) -> int:
        """Move to a sample, from the start (0), here (1) or the end (2); returns where it is."""
        if whence not in (0, 1, 2):
            raise ValueError(f"whence is {whence}: give 0, 1 or 2")
        position = (0, self._position, self.frames)[whence] + frames
        if not 0 <= position <= self.frames:
            raise ValueError(f"seeks to sample {position} of {self.frames}")
        self._position = position
        return position

    def read(self, frames: int = -1) -> Audio:
        """The next samples [n, channels], float32; all that are left where ``frames`` is -1."""
        if self.closed:
            raise ValueError(f"{self.name or 'the file'} is closed")
        left = self.frames - self._position
        count = left if frames < 0 else min(frames, left)
        if self._running is None or self._running[0] != self._position:
            self._running = (self._position, self._decode_from(self._position), self._none())
        _, blocks, held = self._running
        parts, have = [held], len(held)
        while have < count:
            block = next(blocks, None)
            if block is None:  # only where a damaged file ends early
                block = np.zeros((count - have, self.channels), np.float32)
            parts.append(block)
            have += len(block)
        joined = np.concatenate(parts)
        self._position += count
        self._running = (self._position, blocks, joined[count:])
        return joined[:count]

    def blocks(self, blocksize: int, overlap: int = 0) -> Iterator[Audio]:
        """From here to the end in blocks [blocksize, channels], each sharing ``overlap`` samples
        with the one before it; the last may be shorter."""
        if not 0 <= overlap < blocksize:
            raise ValueError(f"overlap of {overlap} with blocks of {blocksize}: give less")
        held = self._none()
        while self._position < self.frames:
            block = np.concatenate([held, self.read(blocksize - len(held))])
            held = block[len(block) - overlap :]
            yield block

    def codes(self, index: int) -> npt.NDArray[np.int64] | None:
        """Codes [streams, codebooks, frames] of chunk ``index``; None if it is damaged.

        Streams that are silent in this chunk are left out.
        """
        chunk = self.reader.read_chunk(index)
        return None if chunk is None else chunk_codes(chunk, self.header, self.entropy)

    def all_codes(self) -> Iterator[npt.NDArray[np.int64] | None]:
        """`codes` of every chunk in turn, in a fraction of the time that they take one by one."""
        return codes_of(self.chunks(), self.header, self.entropy)

    def chunks(self) -> Iterator[Chunk | None]:
        """What the file holds of every chunk in turn; None for damaged ones."""
        return map(self.reader.read_chunk, range(self.chunk_count))

    @cached_property
    def entropy(self) -> EntropyModel | None:
        """What the file's codes were squeezed with."""
        return self._entropy_models.of(self.header, self.card)

    @property
    def chunk_count(self) -> int:
        """Chunks in the file, about a second each."""
        return self.reader.chunk_count or 0

    def _none(self) -> Audio:
        return np.zeros((0, self.channels), np.float32)

    def _decode_from(self, position: int) -> Iterator[Audio]:
        options = DecodeOptions(start=position / self.samplerate)
        return Decoder(self.reader, self.codec, options, self._entropy_models).blocks()

    def close(self) -> None:
        """Close the file if it was opened by name."""
        self._running = None  # ends the reading ahead
        if self._owned:
            self._file.close()

    def __enter__(self) -> NcfFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self.frames

    def __repr__(self) -> str:
        facts = f"{self.samplerate} Hz, {self.channels} ch, {self.frames} samples"
        return f"<{type(self).__name__} {self.name!r}: {facts}>"
