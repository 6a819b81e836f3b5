"""Finds the audio in a file: one piece of PCM, or parts for libsndfile, one after the other."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import soundfile

from neucodec.files.byte_streams import Prelude
from neucodec.files.file_section import Section

from . import mpeg, ogg, wav_header
from .header_survey import Survey, announced, survey
from .libsndfile import SequentialFile, open_file
from .pcm import RawFormat
from .speakers import NOTHING_SAID, Layout

_WAVES = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"riff")
_SURVEYED = (b"FORM", b"caff", b".snd", b"dns.", b"fLaC", b"NIST")


@dataclass
class PcmPart:
    """PCM in a file."""

    section: Section
    layout: RawFormat
    mask: int | None
    tags: dict[str, str]
    doubts: list[str] = field(default_factory=list)
    cut_off: bool = False


@dataclass(frozen=True)
class SoundPart:
    """One sound file, as libsndfile is to see it."""

    section: Section
    layout: Layout = NOTHING_SAID
    states_length: bool = False
    """Whether MPEG audio begins with the number of its frames."""

    def open(self) -> SequentialFile:
        """Open it. Raises soundfile.SoundFileError where libsndfile does not know the format."""
        return open_file(self.section.as_file(), states_length=self.states_length)


@dataclass
class SoundParts:
    """Sound files that follow each other, of one sample rate and number of channels."""

    parts: list[SoundPart]
    tags: dict[str, str] = field(default_factory=dict)
    """Tags that libsndfile does not give, or misreads."""
    doubts: list[str] = field(default_factory=list)
    cut_off: bool = False
    samples: int | None = None
    """Samples per channel of all parts; None where that of a part is not known."""


def find_parts(section: Section) -> PcmPart | SoundParts:
    """Find the audio in a file.

    Raises soundfile.SoundFileError where libsndfile does not know the format, NeucodecError where a
    WAV ends within its header.
    """
    behind_tag = mpeg.skip_id3(section)
    body = section.part(behind_tag)
    magic = body.at(0, 4)
    if magic in _WAVES:
        return _in_wav(body)
    if magic == ogg.MAGIC:
        return _in_ogg(body)
    if magic in _SURVEYED:
        found = survey(body)
        part = SoundPart(body.part(0, None, found.patches), found.layout)
        return _checked([part], found)
    start = mpeg.find_frame(body, 0) if behind_tag else 0 if mpeg.is_frame(body, 0) else None
    if start is not None:
        return _checked(_in_mpeg(section), Survey(tags=mpeg.old_tags(section)))
    try:
        return _checked([SoundPart(body)])
    except soundfile.SoundFileError:
        start = mpeg.find_frame(body, 0)
        if start is None:
            raise
        return _checked(_in_mpeg(body.part(start)))


def _in_wav(section: Section) -> PcmPart | SoundParts:
    """Find the audio in a WAV: PCM, MPEG audio, or other codings for libsndfile."""
    header = wav_header.read_header(Prelude(section.as_file()))
    if header is None:
        return _checked([SoundPart(section)])
    start, stated, there = header.data_start, header.data_bytes, section.size - header.data_start
    doubts = [header.doubt] if header.doubt else []
    tags = dict(header.tags)
    cut_off = stated is not None and stated > there
    if stated is None or stated > there:
        doubts += [announced(stated, there)] if stated else []
        data = section.part(start)
    else:
        data = section.part(start, start + stated)
        section.seek(start + stated)
        more, left_out = wav_header.read_rest(header, stated)
        tags |= more
        doubts += [left_out] if left_out else []
    if layout := header.raw_format:
        return PcmPart(data, layout, header.format.mask, tags, doubts, cut_off)
    found = Survey(Layout(header.format.mask), tags, {}, doubts)
    if header.format.tag in wav_header.MPEG_TAGS:
        return _checked(_in_mpeg(data), found, cut_off=cut_off)
    if (stated is None or cut_off) and not header.chunks.wide:
        found.patches[start - 4] = struct.pack(header.chunks.order + "I", min(there, 0xFFFF_FFFF))
    return _checked(
        [SoundPart(section.part(0, None, found.patches), found.layout)], found, cut_off=cut_off
    )


def _in_mpeg(section: Section) -> list[SoundPart]:
    """Return the MPEG audio files that follow each other in a section."""
    return [
        SoundPart(section.part(part.start, part.end), states_length=part.states_length)
        for part in mpeg.parts(section)
    ]


def _in_ogg(section: Section) -> SoundParts:
    """Find the links of an Ogg chain."""
    links = ogg.links(section)
    parts = [SoundPart(section.part(link.start, link.end), link.layout) for link in links]
    cut_off = not all(link.complete for link in links)
    found = Survey()
    if cut_off:
        found.losses.append("its stream has no end: cut off, or still being written")
    return _checked(parts or [SoundPart(section)], found, cut_off=cut_off)


def _checked(
    parts: list[SoundPart], found: Survey | None = None, *, cut_off: bool = False
) -> SoundParts:
    """Return the parts up to the first that cannot follow the others, and doubts about the rest.

    A part can follow if libsndfile reads it and it has the same sample rate and channels.
    """
    found = found or Survey()
    doubts = list(found.losses)
    cut_off = cut_off or any(loss.startswith("cut off") for loss in doubts)
    fitting: list[SoundPart] = []
    lengths: list[int | None] = []
    forms: set[tuple[int, int]] = set()
    for part in parts:
        try:
            with part.open() as sound:
                form = sound.samplerate, sound.channels
                length = sound.known_samples
        except soundfile.SoundFileError:
            if not fitting:
                raise
            rest = sum(each.section.size for each in parts[len(fitting) :])
            doubts.append(f"{rest} bytes behind its first part cannot be read and are left out")
            break
        if forms and form not in forms:
            rest = sum(each.section.size for each in parts[len(fitting) :])
            doubts.append(
                f"it goes on at {form[0]} Hz with {form[1]} channels: {rest} bytes are left out"
            )
            break
        forms.add(form)
        fitting.append(part)
        lengths.append(length)
    known = [length for length in lengths if length is not None]
    samples = sum(known) if len(known) == len(lengths) else None
    return SoundParts(fitting, found.tags, doubts, cut_off, samples)
