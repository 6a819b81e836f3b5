"""Audio that is read once, in blocks: PCM read here, and whatever libsndfile reads."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import BinaryIO, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from neucodec.closing import ClosesItself
from neucodec.errors import NeucodecError
from neucodec.files.byte_streams import read_up_to
from neucodec.terminal.signals import end_if_told

from . import pcm, wav_header
from .header_survey import announced, behind_flac
from .pcm import RawFormat
from .samples import audible
from .sound_parts import SoundParts
from .speakers import kept_mask

Audio = NDArray[np.float32]


class Source(Protocol):
    """What is asked of audio to be encoded: an AudioSource, or an array dressed as one."""

    @property
    def sample_rate(self) -> int:
        """Hz."""
        ...

    @property
    def channels(self) -> int:
        """How many columns the blocks have."""
        ...

    @property
    def samples(self) -> int | None:
        """Samples per channel, None where not known beforehand."""
        ...

    @property
    def tags(self) -> Mapping[str, str]:
        """Vorbis comment names to texts."""
        ...

    @property
    def channel_mask(self) -> int | None:
        """The speakers of the channels, as `Header.channel_mask` has them."""
        ...

    def blocks(self, blocksize: int = ...) -> Iterator[Audio]:
        """All of it as float32 [n, channels]."""
        ...


class AudioSource(ClosesItself):
    """Audio that is read once, from start to end; a context manager that closes it."""

    sample_rate: int
    """Hz."""
    channels: int
    samples: int | None
    """Samples per channel, None where unknown: a pipe's header may not say."""
    subtype: str | None
    """libsndfile's name for how the samples are stored, such as PCM_16 or VORBIS."""
    tags: dict[str, str]
    """Vorbis comment names, in upper case, to texts."""
    channel_mask: int | None = None
    """The speakers of the channels as WAV names them, 0 for none; None for the usual ones."""

    def __init__(self, name: str, doubts: Sequence[str] = (), *, cut_off: bool = False) -> None:
        self.name = name
        self.doubts = list(doubts)
        """What of the input is missing, left out or contradicts itself, a line each; complete
        once all has been read."""
        self.cut_off = cut_off
        """Whether its end is missing; certain once all has been read."""
        self.nonfinite = 0
        """Samples so far that were NaN or infinite, and are taken as 0."""
        self.excessive = 0
        """Samples so far that were beyond `samples.LOUDEST`, and are taken as 0."""
        self.closing = ExitStack()

    def blocks(self, blocksize: int = 65536) -> Iterator[Audio]:
        """The rest of the audio as float32 [n, channels], full scale 1.0.

        Every block has `blocksize` samples per channel but the last, and is given out as soon
        as it has come in. Raises NeucodecError where the input is damaged or cannot be read.
        """
        if blocksize < 1:
            raise ValueError(f"blocksize is {blocksize}: at least 1 is needed")
        while True:
            end_if_told()
            try:
                block = self._read(blocksize)
            except OSError as error:
                raise cannot_read(self.name, error) from error
            if not len(block):
                return
            block, nonfinite, excessive = audible(block)
            self.nonfinite += nonfinite
            self.excessive += excessive
            yield block

    @abstractmethod
    def _read(self, count: int) -> Audio:
        """The next [n, channels], n <= count; n = 0 at the end only."""

    def close(self) -> None:
        """Close what was opened here; a file handed in stays open."""
        self.closing.close()


class PcmSource(AudioSource):
    """PCM from wherever `file` stands, to its end or for `data_bytes`."""

    def __init__(
        self,
        name: str,
        file: BinaryIO,
        layout: RawFormat,
        data_bytes: int | None,
        tags: Mapping[str, str] | None = None,
        header: wav_header.WavHeader | None = None,
    ) -> None:
        """`header` is that of a WAV on a pipe, whose end is looked at when it has come."""
        super().__init__(name)
        self._file = file
        self._form = pcm.sample_format(layout.sample_format)
        self._align = layout.channels * self._form.width
        self._total = self._left = data_bytes
        self._header = header
        self._first = header.peeked if header and data_bytes != 0 else b""
        self.sample_rate = layout.sample_rate
        self.channels = layout.channels
        self.samples = None if data_bytes is None else data_bytes // self._align
        self.subtype = self._form.subtype
        self.tags = dict(tags or {})

    def _read(self, count: int) -> Audio:
        wanted = count * self._align
        if self._left is not None:
            wanted = min(wanted, self._left)
        data = self._first[:wanted]
        self._first = self._first[wanted:]
        data += read_up_to(self._file, wanted - len(data))
        if self._left is not None:
            self._left -= len(data)
        whole = len(data) - len(data) % self._align
        if cut := len(data) - whole:
            short = "1 byte at its end is" if cut == 1 else f"{cut} bytes at its end are"
            self.doubts.append(f"{short} no whole sample")
        if not whole and self._header:
            self._look_behind(self._header)
        return pcm.decode(data[:whole], self._form).reshape(-1, self.channels)

    def _look_behind(self, header: wav_header.WavHeader) -> None:
        """Take what follows on a pipe too, so that its writer does not fail."""
        self._header = None
        if self._left:
            total = self._total or 0
            self.doubts.append(announced(total, total - self._left))
            self.cut_off = True
        elif self._total is not None and not header.peeked:
            tags, left_out = wav_header.read_rest(header, self._total)
            self.doubts += [left_out] if left_out else []
            if late := [name for name in tags if tags[name] != self.tags.get(name)]:
                self.doubts.append(f"tags behind the audio ({', '.join(late)}) come too late")
        else:
            header.chunks.stream.skip(1 << 62)


class SoundFileSource(AudioSource):
    """Whatever libsndfile reads, one part after the other."""

    def __init__(self, name: str, found: SoundParts) -> None:
        super().__init__(name, found.doubts, cut_off=found.cut_off)
        self._parts = list(found.parts)
        self._part = self._parts.pop(0)
        self._sound = self._part.open()
        first = self._sound
        self.sample_rate, self.channels = first.samplerate, first.channels
        self.samples = found.samples
        self.subtype = first.subtype
        self.tags = first.vorbis_tags
        # What libsndfile has misread comes from elsewhere; else it knows best.
        self.tags |= {
            name: text
            for name, text in found.tags.items()
            if "\ufffd" in self.tags.get(name, "\ufffd")
        }
        self.channel_mask = kept_mask(self._part.layout.mask, self.channels)
        self._done = self._done_in_part = 0
        self._ended = False

    def _read(self, count: int) -> Audio:
        blocks: list[Audio] = []
        while count:
            block = self._read_part(count)
            blocks.append(block)
            count -= len(block)
            if count and not self._go_on():
                break
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def _read_part(self, count: int) -> Audio:
        block: Audio = np.empty((count, self.channels), np.float32)
        try:
            block = self._sound.read(out=block)
        except soundfile.SoundFileError as error:
            self._sound.check()
            raise self._damaged(str(error)) from error
        self._sound.check()
        self._done += len(block)
        self._done_in_part += len(block)
        expected = self._sound.known_samples
        if not len(block) and expected is not None and self._done_in_part < expected:
            raise self._damaged(f"{expected / self.sample_rate:.2f} s were announced")
        order = self._part.layout.order
        return block if order is None else block[:, order]

    def _go_on(self) -> bool:
        """With the next part, if there is one."""
        if not self._parts:
            if self._sound.format == "FLAC" and not self._ended:
                self.doubts += [left] if (left := behind_flac(self._part.section)) else []
            self._ended = True
            return False
        self._sound.close()
        self._part, self._done_in_part = self._parts.pop(0), 0
        self._sound = self._part.open()
        return True

    def close(self) -> None:
        """Close the part that is being read, too."""
        self._sound.close()
        super().close()

    def _damaged(self, reason: str) -> NeucodecError:
        seconds = self._done / self.sample_rate
        return NeucodecError(
            f"{self.name}: damaged or cut off after {seconds:.2f} s ({reason.rstrip('.')})"
        )


def cannot_read(name: str, error: OSError) -> NeucodecError:
    """How a failure of the file itself is told."""
    return NeucodecError(f"{name}: cannot be read: {error.strerror or error}")
