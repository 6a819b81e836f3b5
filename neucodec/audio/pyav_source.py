"""Audio that FFmpeg's libraries decode, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from neucodec.errors import NeucodecError
from neucodec.files.file_section import Section

from .media_kinds import DEMUXERS, unreadable
from .media_tags import vorbis_tags
from .mp4_length import samples_of_mp4
from .samples import Audio
from .source import AudioSource
from .speakers import NOTHING_SAID, Layout, kept_mask, named_layout

_MAX_BAD_STARTS = 64
"""Packets that may be undecodable at the start: streams that were tapped begin within a frame."""
_LEEWAY = 4096
"""Samples that may be missing at the end of a file that states its length."""


class PyavSource(AudioSource):
    """The first audio track of a file."""

    def __init__(self, name: str, section: Section) -> None:
        """Open a file, and decode its first frame.

        Raises NeucodecError where it has no audio that can be decoded.
        """
        super().__init__(name)
        try:
            # Whatever a file asks for, no other file and no address is opened.
            options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "none"}
            container = av.open(section.as_file(), options=options)
        except av.error.FFmpegError as error:
            raise unreadable(name, section, _reason(error)) from None
        self._container = container
        self.closing.callback(container.close)
        if not container.streams.audio:
            self.close()
            raise NeucodecError(f"{name}: no audio in it ({container.format.long_name})")
        self._stream = container.streams.audio[0]
        self.doubts += _left_out(len(container.streams.audio) - 1)
        others = [s for s in container.streams if s.type != "audio" and not _is_cover(s)]
        self.others = "it has more than audio in it" if others else ""
        self._done = 0
        self._time: float | None = None
        self._rest: Audio | None = None
        try:
            self._frames = self._decoded()
            first = next(self._frames, None)
        except BaseException:
            self.close()
            raise
        context = self._stream.codec_context
        self.sample_rate = first.sample_rate if first else context.sample_rate
        self._layout = _layout(first.layout) if first else NOTHING_SAID
        self.channels = first.layout.nb_channels if first else context.layout.nb_channels
        self._form = _form(first) if first else None
        self._rest = self._samples(first) if first else None
        self.samples = self._stated = samples_of_mp4(section, self.sample_rate)
        self.subtype = context.name.upper()
        self.tags = vorbis_tags(container.metadata, self._stream.metadata)
        self.channel_mask = kept_mask(self._layout.mask, self.channels)

    def _decoded(self) -> Iterator[Any]:
        """Give the frames of the track, in order."""
        bad, any_good = 0, False
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError as error:
                    bad += 1
                    if any_good or bad > _MAX_BAD_STARTS:
                        raise self._damaged(error) from None
                    continue
                for frame in frames:
                    any_good = True
                    self._time = frame.time or self._time
                yield from frames
        except av.error.FFmpegError as error:
            raise self._damaged(error) from None
        if bad and not any_good:
            raise NeucodecError(f"{self.name}: no frame of its audio can be decoded")
        if bad:
            self.doubts.append(f"the first {bad} packets of its audio cannot be decoded")

    def _read(self, count: int) -> Audio:
        if self._stated is not None:
            count = min(count, self._stated - self._done)
        parts: list[Audio] = []
        missing = count
        try:
            while missing > 0 and (block := self._next()) is not None:
                parts.append(block[:missing])
                self._rest = block[missing:] if len(block) > missing else None
                missing -= len(parts[-1])
        except NeucodecError as error:
            if not parts:
                raise
            self._frames = _raise(error)  # what has come before is given first
        if not parts:
            self._check_length()
            return np.zeros((0, self.channels), np.float32)
        self._done += count - missing
        return np.concatenate(parts)

    def _next(self) -> Audio | None:
        """Return the next samples [n, channels], n > 0; None at the end."""
        if self._rest is not None:
            return self._rest
        for frame in self._frames:
            if _form(frame) != self._form:
                rate, channels = frame.sample_rate, frame.layout.nb_channels
                self.doubts.append(f"it goes on at {rate} Hz with {channels} channels: left out")
                self._frames = iter(())
                return None
            if frame.samples:
                return self._samples(frame)
        return None

    def _samples(self, frame: Any) -> Audio:
        """Return a frame's samples as float32 [n, channels], in WAV's order."""
        data = frame.to_ndarray()
        data = data.T if frame.format.is_planar else data.reshape(-1, self.channels)
        audio = _as_float(data)
        return audio if self._layout.order is None else audio[:, self._layout.order]

    def _check_length(self) -> None:
        """Add a doubt where less audio has come than the file states; done once."""
        stated, self._stated = self._stated, self._done
        if stated is None and self._stream.metadata.get("DURATION"):
            stated = round(_seconds(self._stream.metadata["DURATION"]) * self.sample_rate)
            stated -= self.sample_rate // 2  # it may count what is dropped
        if stated is not None and self._done < stated - _LEEWAY:
            there, all_of_it = (n / self.sample_rate for n in (self._done, stated))
            self.doubts.append(f"cut off: {all_of_it:.2f} s are announced, {there:.2f} s are there")
            self.cut_off = True

    def _damaged(self, error: Exception) -> NeucodecError:
        seconds = float(self._time or 0)
        return NeucodecError(f"{self.name}: damaged after {seconds:.2f} s ({_reason(error)})")


def _raise(error: Exception) -> Iterator[Any]:
    """Give nothing but an error."""
    yield from ()
    raise error


def _is_cover(stream: Any) -> bool:
    """Return whether a stream is a picture that goes with the audio."""
    return bool(getattr(stream, "disposition", 0) & av.stream.Disposition.attached_pic)


def _left_out(tracks: int) -> list[str]:
    """Say that other tracks are left out."""
    if not tracks:
        return []
    others = "1 other audio track is" if tracks == 1 else f"{tracks} other audio tracks are"
    return [f"{others} left out; ffmpeg -map chooses them"]


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _form(frame: Any) -> tuple[int, int, str]:
    return frame.sample_rate, frame.layout.nb_channels, frame.format.name


def _layout(layout: Any) -> Layout:
    return named_layout([channel.name for channel in layout.channels])


def _as_float(data: np.ndarray[Any, Any]) -> Audio:
    """Return samples of any type as float32 of full scale 1.0."""
    if data.dtype == np.uint8:
        return np.asarray((data.astype(np.float64) - 128) / 128, np.float32)
    if data.dtype.kind == "i":
        scale = 2.0 ** (1 - 8 * data.dtype.itemsize)
        return np.asarray(data * np.float64(scale), np.float32)
    return np.asarray(data, np.float32)


def _seconds(text: str) -> float:
    """Return the seconds of a time such as 00:01:02.500000000; 0 where it is none."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return 0.0
