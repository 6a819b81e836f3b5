"""Open an .ncf as python-soundfile opens a sound file."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neucodec.audio.samples import Audio
from neucodec.coding.decoder import Decoder
from neucodec.coding.entropy_models import SHARED, EntropyModels
from neucodec.coding.integrity import damaged_spans
from neucodec.coding.options import DecodeOptions
from neucodec.models import Card, Codec, load_codec
from neucodec.terminal.timecode import format_spans

from .arguments import Given, as_type, whole_number
from .errors import GivenValueError, NcfDamageWarning
from .opened_ncf import OpenedNcf


class _Running(NamedTuple):
    """Holds the decoding that goes on with the next read."""

    position: int
    decoder: Decoder
    blocks: Iterator[Audio]
    held: Audio


class NcfFile(OpenedNcf):
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
        card: Card | None = None,
    ) -> None:
        """Open by name, by file object, or what the file holds.

        ``codec`` saves loading the one that the file names; with a checkpoint of one's own, which
        no name leads to, it has to be given, or its ``card``. ``entropy_models`` loads the entropy
        model. With ``strict``, damage raises where it would be silent and warn.
        """
        self._running: _Running | None = None
        self.stacklevel = 3
        """Whose line warnings of damage name, as `warnings.warn` counts: that of whoever reads."""
        super().__init__(file, codec, entropy_models, strict=strict, card=card)
        self._warned = set[int]()
        self._codec, self._device = codec, device
        self._position = 0

    @property
    def codec(self) -> Codec:
        """Return the codec, loaded at first use."""
        if self._codec is None:
            self._codec = load_codec(self.card, self._device)
        return self._codec

    def tell(self) -> int:
        """Return the sample that ``read`` goes on from."""
        return self._position

    def seek(self, frames: int, whence: int = 0) -> int:
        """Move to a sample, from the start (0), here (1) or the end (2); return where it is."""
        self._check_open()
        if whence not in (0, 1, 2):
            raise GivenValueError(f"whence is {whence}: give 0, 1 or 2")
        step = whole_number("frames", frames, -(1 << 63))
        position = (0, self._position, self.frames)[whence] + step
        if not 0 <= position <= self.frames:
            raise GivenValueError(f"seeks to sample {position}: give 0 to {self.frames}")
        self._position = position
        return self._position

    def read(
        self, frames: int = -1, dtype: str = "float32", always_2d: bool = True
    ) -> npt.NDArray[Any]:
        """Return the next samples [n, channels]; all that are left where ``frames`` is -1.

        ``dtype`` is float32, float64, int32 or int16; integers clip. Without ``always_2d`` mono
        audio is [n]. What is damaged is silent; that is warned of as it is read.
        """
        audio = as_type(self._read(frames), dtype)
        self._warn()
        return audio[:, 0] if audio.shape[1] == 1 and not always_2d else audio

    def _read(self, frames: int) -> Audio:
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
        self._running = running._replace(position=self._position, held=joined[count:])
        return joined[:count]

    def blocks(
        self, blocksize: int, overlap: int = 0, dtype: str = "float32", always_2d: bool = True
    ) -> Iterator[npt.NDArray[Any]]:
        """Give blocks [blocksize, channels] from here to the end, each sharing ``overlap`` samples
        with the one before it; the last may be shorter.
        """
        size = whole_number("blocksize", blocksize, 1)
        shared = whole_number("overlap", overlap, 0, size - 1)
        flat = self.channels == 1 and not always_2d
        blocks = (as_type(block, dtype) for block in self._blocks(size, shared))
        return (block[:, 0] for block in blocks) if flat else blocks

    def _blocks(self, blocksize: int, overlap: int) -> Iterator[Audio]:
        held = self._none()
        while self._position < self.frames:
            block = np.concatenate([held, self.read(blocksize - len(held))])
            held = block[len(block) - overlap :]
            yield block

    def _none(self) -> Audio:
        return np.zeros((0, self.channels), np.float32)

    def _from_here(self) -> _Running:
        options = DecodeOptions(start=self._position / self.samplerate, strict=self._strict)
        decoder = Decoder(self.reader, self.codec, options, self.entropy_models)
        return _Running(self._position, decoder, decoder.blocks(), self._none())

    def _warn(self) -> None:
        """Say what was damaged of what has been decoded, each chunk once; and of the file's end."""
        if self._running is None:
            return
        decoder = self._running.decoder
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
        warnings.warn(NcfDamageWarning(text, spans, cut_off), stacklevel=self.stacklevel)

    def _repr_html_(self) -> str:
        """Show a player in a notebook, of the first minute, and what the file says of itself."""
        from .notebook import player

        if self.closed:
            return ""
        place = self._position
        try:
            self._position = 0
            audio = self._read(min(self.frames, 60 * self.samplerate))
        finally:
            self._position = place
        return player(self.name, audio, self.samplerate, self.frames, self.tags)

    def close(self) -> None:
        """Close the file if it was opened by name."""
        self._running = None  # ends the reading ahead
        super().close()
