"""Audio that an `ffmpeg` on the PATH decodes, in a process of its own."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, cast

from neucodec.errors import NeucodecError
from neucodec.files.byte_streams import Prelude, copy_rest, open_spool
from neucodec.files.file_section import Section

from . import wav_header
from .media_kinds import DEMUXERS, unreadable
from .media_tags import parse_ffmetadata, vorbis_tags
from .mp4_length import samples_of_mp4
from .samples import Audio
from .source import PcmSource
from .speakers import kept_mask

_LEEWAY = 4096
"""Samples that may be missing at the end of a file that states its length."""
_MAX_SAID = 1 << 16
_PATIENCE = 60.0
"""Seconds that ffmpeg has to read a file's tags."""


class FfmpegSource(PcmSource):
    """The first audio track of a file, as ffmpeg writes it to a pipe: a WAV of float32."""

    def __init__(self, name: str, section: Section, program: str) -> None:
        """Start `program` on a file.

        Raises NeucodecError where the file has no audio that it can decode.
        """
        with ExitStack() as opening:
            self._start(name, section, program, opening)
            self.closing.push(opening.pop_all())

    def _start(self, name: str, section: Section, program: str, opening: ExitStack) -> None:
        """Start ffmpeg, read the header that it writes, and begin the source with that."""
        path = _as_path(section, opening)
        command = [program, "-nostdin", "-v", "error", "-xerror"]
        command += ["-protocol_whitelist", "file,pipe", "-format_whitelist", DEMUXERS]
        command += ["-i", f"file:{path}", "-map", "0:a:0"]
        tags = _tags(command)
        self._said = opening.enter_context(open_spool())
        self._process = subprocess.Popen(
            [*command, "-c:a", "pcm_f32le", "-fflags", "+bitexact", "-f", "wav", "-"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._said,
        )  # fmt: skip
        opening.callback(_end, self._process)
        pipe = cast(BinaryIO, self._process.stdout)
        header = wav_header.read_header(Prelude(pipe))
        layout = header.raw_format if header else None
        if header is None or layout is None:
            self._process.wait()
            raise self._unusable(name, section)
        self._stated = samples_of_mp4(section, layout.sample_rate)
        wanted = None if self._stated is None else self._stated * 4 * layout.channels
        super().__init__(name, pipe, layout, wanted, vorbis_tags(tags))
        self._first = header.peeked
        self.others = "it may have more than audio in it, which only PyAV tells"
        self._done = 0
        self.subtype = None
        self.channel_mask = kept_mask(header.format.mask, self.channels)

    def _read(self, count: int) -> Audio:
        block = super()._read(count)
        self._done += len(block)
        if not len(block):
            self._check_end()
        return block

    def _check_end(self) -> None:
        """Look at how ffmpeg has ended. Raises NeucodecError where it could not go on."""
        if self._stated is not None and self._done >= self._stated:
            return  # it may have more to write, which is padding
        if self._process.wait() and (reason := self._reason()):
            seconds = self._done / self.sample_rate
            raise NeucodecError(f"{self.name}: damaged after {seconds:.2f} s ({reason})")
        stated, self._stated = self._stated, None
        if stated is not None and self._done < stated - _LEEWAY:
            there, all_of_it = (n / self.sample_rate for n in (self._done, stated))
            self.doubts.append(f"cut off: {all_of_it:.2f} s are announced, {there:.2f} s are there")
            self.cut_off = True

    def _unusable(self, name: str, section: Section) -> NeucodecError:
        """Return the error of a file that ffmpeg makes nothing of."""
        reason = self._reason()
        if "matches no streams" in reason:
            return NeucodecError(f"{name}: no audio in it")
        return unreadable(name, section, reason)

    def _reason(self) -> str:
        """Return the first line that ffmpeg has written to its standard error."""
        self._said.seek(0)
        said = self._said.read(_MAX_SAID).decode("utf-8", "replace").splitlines()
        return said[0].rpartition("] ")[2].rstrip(".") if said else "it says nothing"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, if it has not ended, and close the pipe that it writes to."""
    if process.poll() is None:
        process.kill()
    if process.stdout:
        process.stdout.close()
    process.wait()


def _tags(command: list[str]) -> dict[str, str]:
    """Return the tags that ffmpeg finds in the input of a command; none where that fails."""
    with suppress(OSError, subprocess.SubprocessError):
        ran = subprocess.run(
            [*command, "-c", "copy", "-f", "ffmetadata", "-"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False,
        )  # fmt: skip
        return parse_ffmetadata(ran.stdout.decode("utf-8", "replace"))
    return {}


def _as_path(section: Section, closing: ExitStack) -> str:
    """Return the path of a file with the bytes of a section: its own where it is all of a file.

    Else they are copied to a temporary file, which `closing` removes.
    """
    if (own := section.path) is not None:
        return own
    with tempfile.NamedTemporaryFile(prefix="neucodec-", delete=False) as copy:
        closing.callback(Path(copy.name).unlink, missing_ok=True)
        section.seek(0)
        copy_rest(section.as_file(), cast(BinaryIO, copy))
    return copy.name
