"""Reads and writes times as people do: ``61.5``, ``1:01.5``, ``1:00:00``."""

from __future__ import annotations

import re

from neucodec.errors import NeucodecError, quoted

MAX_SECONDS = 1e9
"""The longest time that is read: 31 years. A file holds 48 days."""
_PATTERN = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)")


def parse_time(text: str) -> float:
    """Return the seconds of a time that is written as seconds, ``mm:ss`` or ``h:mm:ss``.

    The seconds may have a fraction. Raises NeucodecError for other texts.
    """
    if match := _PATTERN.fullmatch(text.strip()):
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        if (seconds < 60 or not match[2]) and (minutes < 60 or not match[1]):
            whole = 3600 * hours + 60 * minutes + seconds
            if whole > MAX_SECONDS:
                raise NeucodecError(f"{quoted(text)} is too long: at most {MAX_SECONDS:.0f} s")
            return whole
    raise NeucodecError(f"{quoted(text)} is no time: write it as 61.5, 1:01.5 or 1:00:00")


def format_time(seconds: float, digits: int = 0) -> str:
    """Return seconds as ``m:ss`` or ``h:mm:ss``, with ``digits`` digits of a fraction."""
    ticks = round(seconds * 10**digits)
    whole, fraction = divmod(ticks, 10**digits)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    return f"{text}.{fraction:0{digits}d}" if digits else text


def format_spans(spans: list[tuple[float, float]], max_spans: int = 8) -> str:
    """Return stretches of time, in seconds, as ``0:12.0-0:13.0, 1:01.0-1:03.0``.

    More than ``max_spans`` are not listed but counted.
    """
    listed = [f"{format_time(start, 1)}-{format_time(end, 1)}" for start, end in spans[:max_spans]]
    if len(spans) > max_spans:
        listed.append(f"{len(spans) - max_spans} more")
    return ", ".join(listed)
