"""Progress bars: the file or files, their seconds, the speed in multiples of real time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .timecode import format_time

Progress = Callable[[float], None]
"""A function that takes the seconds of audio done since it was last called."""

_KNOWN = "{label} {percentage:3.0f}% |{bar}| {done} of {length}, {speed} x real time, {left} left"
_UNKNOWN = "{label} {done}, {speed} x real time"
_FILES = "{n}/{total} files |{bar}| {done} of audio, {speed} x real time, {left} left"
_STEPS = "{label} {percentage:3.0f}% |{bar}| {n} of {total}, {left} left"
_LABEL_WIDTH = 32


@contextmanager
def progress(label: str, seconds: float | None, *, show: bool) -> Iterator[Progress]:
    """Show a bar on standard error while a file is worked on; give what advances it.

    ``seconds`` is the length of the audio, None where it is unknown. Without ``show`` there is no
    bar. In the end the bar is removed.
    """
    if not show:
        yield _nothing
        return

    from tqdm import tqdm

    shortened = label if len(label) <= _LABEL_WIDTH else "…" + label[1 - _LABEL_WIDTH :]

    class Bar(tqdm):  # type: ignore[misc]
        @property
        def format_dict(self) -> dict[str, Any]:
            values: dict[str, Any] = super().format_dict
            elapsed = values["elapsed"]
            rate = values["rate"] or (values["n"] / elapsed if elapsed else 0.0)
            length = format_time(seconds) if seconds is not None else ""
            done = format_time(values["n"])
            times = {"done": done, "length": length, "speed": f"{rate:.0f}"}
            left = _left((seconds or 0) - values["n"], rate)
            return values | times | {"label": shortened, "left": left}

    with Bar(
        total=seconds,
        bar_format=_UNKNOWN if seconds is None else _KNOWN,
        leave=False,
        dynamic_ncols=True,
    ) as bar:
        yield bar.update


class FilesProgress:
    """Takes the progress of several files that are worked on at once; this one shows nothing."""

    def audio(self, seconds: float) -> None:
        """Add seconds of audio that have been done."""

    def file(self) -> None:
        """Add a file that has ended."""


@contextmanager
def files_progress(count: int, *, show: bool) -> Iterator[FilesProgress]:
    """Show a bar on standard error for ``count`` files; it is removed in the end."""
    if not show:
        yield FilesProgress()
        return

    from tqdm import tqdm

    done = 0.0

    class Bar(tqdm):  # type: ignore[misc]
        @property
        def format_dict(self) -> dict[str, Any]:
            values: dict[str, Any] = super().format_dict
            speed = done / values["elapsed"] if values["elapsed"] else 0.0
            files = values["n"] / values["elapsed"] if values["elapsed"] else 0.0
            left = _left(values["total"] - values["n"], files)
            return values | {"done": format_time(done), "speed": f"{speed:.0f}", "left": left}

    class Shown(FilesProgress):
        def audio(self, seconds: float) -> None:
            nonlocal done
            done += seconds
            bar.update(0)

        def file(self) -> None:
            bar.update()

    with Bar(total=count, bar_format=_FILES, leave=False, dynamic_ncols=True) as bar:
        yield Shown()


@contextmanager
def steps_progress(label: str, done: int, count: int, *, show: bool) -> Iterator[Progress]:
    """Show a bar on standard error for ``count`` steps, of which ``done`` were made before; give
    what adds steps. In the end it is removed.
    """
    if not show:
        yield _nothing
        return

    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        @property
        def format_dict(self) -> dict[str, Any]:
            values: dict[str, Any] = super().format_dict
            made = values["n"] - values["initial"]
            rate = made / values["elapsed"] if values["elapsed"] else 0.0
            left = _left(values["total"] - values["n"], rate)
            return values | {"label": label, "left": left}

    with Bar(initial=done, total=count, bar_format=_STEPS, leave=False, dynamic_ncols=True) as bar:
        yield bar.update


def _left(rest: float, rate: float) -> str:
    """Return the time that the rest takes at a rate, as text; a question mark where none is known.

    ``rest`` and ``rate`` are in the same units and in those per second.
    """
    return format_time(max(0.0, rest) / rate) if rate else "?"


def _nothing(seconds: float) -> None:
    """Do nothing: the progress where no bar is shown."""
