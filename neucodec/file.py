"""An .ncf opened as python-soundfile opens a sound file."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from functools import cached_property
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from neucodec.audio.samples import Audio
from neucodec.coding.decoder import Decoder
from neucodec.coding.entropy import EntropyModel
from neucodec.coding.entropy_models import SHARED, EntropyModels
from neucodec.coding.file_codec import card_for
from neucodec.coding.integrity import damaged_spans, length_of, surplus_of
from neucodec.coding.options import DecodeOptions
from neucodec.coding.payloads import chunk_codes, codes_of
from neucodec.formats import Chunk, Header, NcfReader
from neucodec.models import Codec, load_codec
from neucodec.terminal.timecode import format_spans

from .arguments import Given, opened, path_of, whole_number
from .errors import GivenIndexError, GivenValueError, NcfDamageWarning, NeucodecError


class _Running(NamedTuple):
    """Decoding that goes on with the next read."""

    position: int
    decoder: Decoder
    blocks: Iterator[Audio]
    held: Audio


class NcfFile:
    """Decodes on demand: ``read``, ``seek``, ``tell`` and ``blocks`` count source samples.

    Needs a seekable file. Not safe to share between threads; open it once in each.
    """

    def __init__(
        self,
        file: Given,
        codec: Codec | None = None,
        device: str = "auto",
        entropy_models: EntropyModels = SHARED,
        *,
        strict: bool = False,
    ) -> None:
        """Open by name, by file object, or what the file holds.

        ``codec`` saves loading the one that the file names; with a checkpoint of one's own, which
        no name leads to, it has to be given. ``entropy_models`` loads the entropy model. With
        ``strict``, damage raises where it would be silent and warn.
        """
        self._running: _Running | None = None
        self._strict, self._unsaid, self._warned = strict, "", set[int]()
        self._owned = not hasattr(file, "read")
        self._path = ""
        if isinstance(file, (str, PathLike)):
            self._path = path_of(file)
            self._file: BinaryIO = Path(self._path).open("rb")  # noqa: SIM115 - closed by close()
        else:
            self._file = opened(file)
        try:
            self.reader = NcfReader(self._file)
            if not self.reader.seekable:
                raise NeucodecError("not seekable: read it with Decoder, or copy it to a file")
            self.card = card_for(self.reader.header, codec.card if codec else None)
            self.reader.locate()
            self._check_end()
        except BaseException:
            self.close()
            raise
        self._codec, self._device = codec, device
        self._entropy_models = entropy_models
        self._position = 0

    @property
    def name(self) -> str:
        """The path, or what the file object calls itself; empty for one in memory."""
        return self._path if self._owned else str(getattr(self._file, "name", ""))

    @property
    def closed(self) -> bool:
        """Whether nothing can be read any more."""
        return bool(getattr(self._file, "closed", False))

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
            self._codec = load_codec(self.card.name, self._device)
        return self._codec

    def tell(self) -> int:
        """The sample that ``read`` goes on from."""
        return self._position

    def seek(self, frames: int, whence: int = 0) -> int:
        """Move to a sample, from the start (0), here (1) or the end (2); returns where it is."""
        self._check_open()
        if whence not in (0, 1, 2):
            raise GivenValueError(f"whence is {whence}: give 0, 1 or 2")
        step = whole_number("frames", frames, -(1 << 63))
        position = (0, self._position, self.frames)[whence] + step
        if not 0 <= position <= self.frames:
            raise GivenValueError(f"seeks to sample {position}: give 0 to {self.frames}")
        self._position = position
        return self._position

    def read(self, frames: int = -1) -> Audio:
        """The next samples [n, channels], float32; all that are left where ``frames`` is -1.

        What is damaged is silent; that is warned of as it is read.
        """
        self._check_open()
        wanted = whole_number("frames", frames, -1)
        left = self.frames - self._position
        count = left if wanted < 0 else min(wanted, left)
        if self._running is None or self._running.position != self._position:
            self._running = self._from_here()
        running = self._running
        parts, have = [running.held], len(running.held)
        while have < count:
            block = next(running.blocks, None)
            if block is None:  # only where a damaged file ends early
                block = np.zeros((count - have, self.channels), np.float32)
            parts.append(block)
            have += len(block)
        joined = np.concatenate(parts)
        self._position += count
        self._warn(running.decoder)
        self._running = running._replace(position=self._position, held=joined[count:])
        return joined[:count]

    def blocks(self, blocksize: int, overlap: int = 0) -> Iterator[Audio]:
        """From here to the end in blocks [blocksize, channels], each sharing ``overlap`` samples
        with the one before it; the last may be shorter."""
        size = whole_number("blocksize", blocksize, 1)
        return self._blocks(size, whole_number("overlap", overlap, 0, size - 1))

    def _blocks(self, blocksize: int, overlap: int) -> Iterator[Audio]:
        held = self._none()
        while self._position < self.frames:
            block = np.concatenate([held, self.read(blocksize - len(held))])
            held = block[len(block) - overlap :]
            yield block

    def codes(self, index: int) -> npt.NDArray[np.int64] | None:
        """Codes [streams, codebooks, frames] of chunk ``index``; None if it is damaged.

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

    def _from_here(self) -> _Running:
        options = DecodeOptions(start=self._position / self.samplerate, strict=self._strict)
        decoder = Decoder(self.reader, self.codec, options, self._entropy_models)
        return _Running(self._position, decoder, decoder.blocks(), self._none())

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

    def _warn(self, decoder: Decoder) -> None:
        """Say what was damaged of what has been decoded, each chunk once; and of the file's end."""
        # Decoding is a little ahead of what is read.
        stride = self.header.chunk_stride / self.header.sample_rate
        heard = [k for k in decoder.lost_chunks if k * stride * self.samplerate < self._position]
        new = [index for index in heard if index not in self._warned]
        if not new and not self._unsaid:
            return
        self._warned.update(new)
        spans = damaged_spans(self.header, new, math.inf)
        problems = [f"damaged: silence at {format_spans(spans)}"] if spans else []
        problems += [self._unsaid] if self._unsaid else []
        self._unsaid = ""
        text = f"{self.name or 'an .ncf'}: {'; '.join(problems)} (strict=True raises instead)"
        cut_off = not self.reader.complete
        warnings.warn(NcfDamageWarning(text, spans, cut_off), stacklevel=3)

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
