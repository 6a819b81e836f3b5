"""Show audio in notebooks: HTML with the browser's own player."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping

from neucodec.audio.samples import Audio
from neucodec.terminal.timecode import format_time

_MAX_CHANNELS = 8
"""The number of channels that FLAC can hold."""


def player(name: str, audio: Audio, sample_rate: int, frames: int, tags: Mapping[str, str]) -> str:
    """Return HTML with a player of samples [n, channels], the first of ``frames`` at all.

    The sound is in it, as FLAC with 16 bits, of the first eight channels. Text from the file is
    escaped.
    """
    import soundfile

    sound = io.BytesIO()
    soundfile.write(sound, audio[:, :_MAX_CHANNELS], sample_rate, "PCM_16", format="FLAC")
    length = format_time(frames / sample_rate, 1)
    facts = [f"{sample_rate} Hz, {audio.shape[1]} ch, {length}"]
    if len(audio) < frames:
        facts.append(f"the first {format_time(len(audio) / sample_rate, 1)} of it here")
    rows = [("", ", ".join(facts)), *tags.items()]
    text = "<br>".join(html.escape(f"{key}: {value}" if key else value) for key, value in rows)
    data = base64.b64encode(sound.getvalue()).decode()
    return (
        f"<div><b>{html.escape(name or 'an .ncf')}</b><br>{text}<br>"
        f'<audio controls src="data:audio/flac;base64,{data}"></audio></div>'
    )
