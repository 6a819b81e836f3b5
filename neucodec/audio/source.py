"""Sources of audio, which give it once, in blocks: PCM, and all formats that libsndfile reads."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import BinaryIO, Protocol

import numpy as np
import soundfile

from neucodec.closing import ClosesItself
from neucodec.errors import NeucodecError
from neucodec.files.byte_streams import read_up_to
from neucodec.terminal.signals import end_if_told

from . import pcm, wav_header
from .header_survey import announced, behind_flac
from .pcm import RawFormat
from .samples import Audio, audible
from .sound_parts import SoundParts
from .speakers import kept_mask


class Source(Protocol):
    """Audio that can be encoded: an `AudioSource`, or an array with the same properties."""

    @property
    def sample_rate(self) -> int:
        """Return the samples per second and channel."""
        ...

    @property
    def channels(self) -> int:
        """Return the number of channels, which is the number of columns of the blocks."""
        ...

    @property
    def samples(self) -> int | None:
        """Return the samples per channel; None where they are not known beforehand."""
        ...

    @property
    def tags(self) -> Mapping[str, str]:
        """Return the tags: Vorbis comment names to texts."""
        ...

    @property
    def channel_mask(self) -> int | None:
        """Return the speakers of the channels, a WAV mask, 0 for none; None for the usual ones."""
        ...

    def blocks(self, blocksize: int = ...) -> Iterator[Audio]:
        """Give all of the audio in float32 blocks [n, channels], n <= blocksize."""
        ...


class AudioSource(ClosesItself):
    """Audio of a file or pipe, which is read once from start to end; a context manager."""

    sample_rate: int
    """Samples per second and channel."""
    channels: int
    samples: int | None
    """Samples per channel; None where they are unknown, since the header of a pipe may not say."""
    subtype: str | None
    """How samples are stored, by libsndfile's name: PCM_16 or VORBIS, say."""
    tags: dict[str, str]
    """Tags: Vorbis comment names, in upper case, to texts."""
    channel_mask: int | None = None
    """The speakers of the channels as a WAV mask, 0 for none; None for the usual ones."""

    def __init__(self, name: str, doubts: Sequence[str] = (), *, cut_off: bool = False) -> None:
        """Begin a source that messages call `name`, with what is known before reading."""
        self.name = name
        self.doubts = list(doubts)
        """One line for everything that is missing in the input, is left out or contradicts itself.
        The list is complete once all audio has been read."""
        self.tag_doubts: list[str] = []
        """One line for each tag that is left out."""
        self.cut_off = cut_off
        """Whether the end of the input is missing; certain once all audio has been read."""
        self.others = ""
        """What else is in the file, in words: pictures of a film, say. Empty where nothing is."""
        self.nonfinite = 0
        """Number of samples so far that were NaN or infinite, and were read as 0."""
        self.excessive = 0
        """Number of samples so far that were beyond `samples.LOUDEST`, and were read as 0."""
        self.closing = ExitStack()
        """What is closed with this source: files that were opened for it."""

    def blocks(self, blocksize: int = 65536) -> Iterator[Audio]:
        """Give the rest of the audio in float32 blocks [n, channels] of full scale 1.0.

        Every block but the last has `blocksize` samples per channel, and is given as soon as it has
        come in. Raises NeucodecError where the input is damaged or cannot be read.
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
        """Read the next samples, float32 [n, channels], n <= count; n is 0 only at the end."""

    def close(self) -> None:
        """Close the files that were opened for this source; one that was given stays open."""
        self.closing.close()


class PcmSource(AudioSource):
    """PCM from where `file` stands, for `data_bytes` or, if that is None, to its end."""

    def __init__(
        self,
        name: str,
        file: BinaryIO,
        layout: RawFormat,
        data_bytes: int | None,
        tags: Mapping[str, str] | None = None,
        header: wav_header.WavHeader | None = None,
    ) -> None:
        """Begin at the first sample.

        `header` is given for a WAV on a pipe, whose end is checked when it has come in.
        """
        super().__init__(name)
        self._file = file
        self._form = pcm.sample_format(layout.sample_format)
        self._align = layout.channels * self._form.width
        self._total = self._remaining = data_bytes
        self._header = header
        self._first = header.peeked if header and data_bytes != 0 else b""
        self.sample_rate = layout.sample_rate
        self.channels = layout.channels
        self.samples = None if data_bytes is None else data_bytes // self._align
        self.subtype = self._form.subtype
        self.tags = dict(tags or {})

    def _read(self, count: int) -> Audio:
        wanted = count * self._align
        if self._remaining is not None:
            wanted = min(wanted, self._remaining)
        data = self._first[:wanted]
        self._first = self._first[wanted:]
        data += read_up_to(self._file, wanted - len(data))
        if self._remaining is not None:
            self._remaining -= len(data)
        whole = len(data) - len(data) % self._align
        if cut := len(data) - whole:
            short = "1 byte at its end is" if cut == 1 else f"{cut} bytes at its end are"
            self.doubts.append(f"{short} no whole sample")
        if not whole and self._header:
            self._read_rest(self._header)
        return pcm.decode(data[:whole], self._form).reshape(-1, self.channels)

    def _read_rest(self, header: wav_header.WavHeader) -> None:
        """Read what follows the audio on a pipe, so that its writer does not fail; add doubts."""
        self._header = None
        if self._remaining:
            total = self._total or 0
            self.doubts.append(announced(total, total - self._remaining))
            self.cut_off = True
        elif self._total is not None and not header.peeked:
            tags, left_out = wav_header.read_rest(header, self._total)
            self.doubts += [left_out] if left_out else []
            if late := [name for name in tags if tags[name] != self.tags.get(name)]:
                self.doubts.append(f"tags behind the audio ({', '.join(late)}) come too late")
        else:
            header.chunks.stream.skip(1 << 62)


class SoundFileSource(AudioSource):
    """Audio that libsndfile decodes, one part of the file after the other."""

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
        # Only tags that libsndfile lacks, or has misread, are taken from elsewhere.
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
            if count and not self._open_next():
                break
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def _read_part(self, count: int) -> Audio:
        """Read up to `count` samples per channel of the current part; none at its end."""
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

    def _open_next(self) -> bool:
        """Go on to the next part; return False where there is none."""
        if not self._parts:
            if self._sound.format == "FLAC" and not self._ended:
                left_out = behind_flac(self._part.section)
                self.doubts += [left_out] if left_out else []
            self._ended = True
            return False
        self._sound.close()
        self._part, self._done_in_part = self._parts.pop(0), 0
        self._sound = self._part.open()
        return True

    def close(self) -> None:
        """Close the current part, and the files that were opened for this source."""
        self._sound.close()
        super().close()

    def _damaged(self, reason: str) -> NeucodecError:
        """Return the error of audio that ends too early."""
        seconds = self._done / self.sample_rate
        return NeucodecError(
            f"{self.name}: damaged or cut off after {seconds:.2f} s ({reason.rstrip('.')})"
        )


def cannot_read(name: str, error: OSError) -> NeucodecError:
    """Return the error that tells of a failure to read the file `name`."""
    return NeucodecError(f"{name}: cannot be read: {error.strerror or error}")
