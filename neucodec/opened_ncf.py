"""Read an open .ncf: what it says of itself, its chunks and its codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from os import PathLike
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from neucodec.coding.entropy import EntropyModel
from neucodec.coding.entropy_models import SHARED, EntropyModels
from neucodec.coding.file_codec import card_for
from neucodec.coding.integrity import length_of, surplus_of
from neucodec.coding.payloads import chunk_codes, codes_of
from neucodec.formats import Chunk, EntropyCoder, Header, NcfReader
from neucodec.models import Card, Codec, card_names

from .arguments import Given, opened, opened_by_name, path_of, whole_number
from .closing import ClosesItself
from .errors import GivenIndexError, GivenValueError, NeucodecError


class OpenedNcf(ClosesItself):
    """Reads an .ncf without decoding it to audio. Needs a seekable file."""

    def __init__(
        self,
        file: Given,
        codec: Codec | None = None,
        entropy_models: EntropyModels = SHARED,
        *,
        strict: bool = False,
        card: Card | None = None,
    ) -> None:
        """Open by name, by file object, or what the file holds.

        ``codec`` saves loading the one that the file names; with a checkpoint of one's own, which
        no name leads to, it has to be given, or its ``card`` where nothing is decoded.
        ``entropy_models`` loads the entropy model. With ``strict``, damage raises where it would be
        silent and warn.
        """
        self._strict, self._unsaid = strict, ""
        self._owned = not hasattr(file, "read")
        self._path = ""
        if isinstance(file, (str, PathLike)):
            self._path = path_of(file)
            self._file: BinaryIO = opened_by_name(self._path)
        else:
            self._file = opened(file)
        try:
            self.reader = NcfReader(self._file)
            if not self.reader.seekable:
                raise NeucodecError("not seekable: read it with Decoder, or copy it to a file")
            self._own_card = codec.card if codec else card
            if self._own_card or self.reader.header.codec in card_names():
                card_for(self.reader.header, self._own_card)  # which checks the header
            self.reader.locate()
            self._check_end()
        except BaseException:
            self.close()
            raise
        self.entropy_models = entropy_models
        """What loads the entropy model."""

    @property
    def name(self) -> str:
        """Return the path, or what the file object calls itself; empty for one in memory."""
        return self._path if self._owned else str(getattr(self._file, "name", ""))

    @property
    def closed(self) -> bool:
        """Tell whether nothing can be read any more."""
        return bool(getattr(self._file, "closed", False))

    def seekable(self) -> bool:
        """Return True: opening refuses what is not."""
        return self.reader.seekable

    @cached_property
    def card(self) -> Card:
        """Return the card of the codec. Raises NeucodecError for a checkpoint of one's own that was
        not given, without which codes can be read and no audio."""
        return card_for(self.header, self._own_card)

    @property
    def header(self) -> Header:
        """Return everything that the file says of itself."""
        return self.reader.header

    @property
    def samplerate(self) -> int:
        """Return the sample rate in Hz of the source and of what ``read`` gives."""
        return self.header.source_rate

    @property
    def channels(self) -> int:
        """Return the number of channels of the source and of what ``read`` gives."""
        return self.header.channels

    @property
    def frames(self) -> int:
        """Return the samples per channel; of a file that was cut off, those that are left."""
        if self.reader.complete and self.reader.frames is not None:
            return self.reader.frames
        header = self.header
        whole = self.chunk_count * header.chunk_stride
        left = whole * header.source_rate // header.sample_rate
        return left if header.frames is None else min(left, header.frames)

    @property
    def tags(self) -> Mapping[str, str]:
        """Return the Vorbis comments, names and their values."""
        return self.header.tags

    @property
    def chunk_count(self) -> int:
        """Return the number of chunks in the file, about a second each."""
        return self.reader.chunk_count or 0

    def codes(self, index: int) -> npt.NDArray[np.int64] | None:
        """Return the codes [streams, codebooks, frames] of chunk ``index``; None if it is damaged.

        Streams that are silent in this chunk are left out. Raises GivenIndexError, an IndexError,
        where there is no such chunk.
        """
        self._check_open()
        number = whole_number("chunk", index, -(1 << 63))
        if not 0 <= number < self.chunk_count:
            have = f"0 to {self.chunk_count - 1}" if self.chunk_count else "none"
            raise GivenIndexError(f"chunk {number} of a file with {self.chunk_count}: {have}")
        chunk = self.reader.read_chunk(number)
        return None if chunk is None else chunk_codes(chunk, self.header, self.entropy)

    def all_codes(self) -> Iterator[npt.NDArray[np.int64] | None]:
        """Give the `codes` of every chunk in turn, in a fraction of the time that they take one by
        one.
        """
        return codes_of(self.chunks(), self.header, self.entropy)

    def chunks(self) -> Iterator[Chunk | None]:
        """Give what the file holds of every chunk in turn; None for damaged ones."""
        return map(self.reader.read_chunk, range(self.chunk_count))

    @cached_property
    def entropy(self) -> EntropyModel | None:
        """Return what the file's codes were squeezed with."""
        if self.header.entropy != EntropyCoder.LM:
            return self.entropy_models.of(self.header)
        return self.entropy_models.of(self.header, self.card)

    def _check_open(self) -> None:
        if self.closed:
            raise GivenValueError(f"{self.name or 'the file'} is closed")

    def _check_end(self) -> None:
        """Find out what is wrong with the file's end, which is known from the start."""
        self._unsaid = surplus_of(self.reader)
        if not self.reader.complete:
            self._unsaid = f"cut off, or its end damaged, after {length_of(self.reader):.1f} s"
        if self._unsaid and self._strict:
            raise NeucodecError(f"{self._unsaid}: open it without strict to get what is there")

    def close(self) -> None:
        """Close the file if it was opened by name."""
        if self._owned:
            self._file.close()

    def __len__(self) -> int:
        return self.frames

    def __repr__(self) -> str:
        facts = f"{self.samplerate} Hz, {self.channels} ch, {self.frames} samples"
        return f"<{type(self).__name__} {self.name!r}: {facts}>"
