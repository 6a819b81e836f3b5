"""Make the listening page: one HTML file with everything in it."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import soundfile

from neucodec.audio.loudness import LoudnessMeter
from neucodec.audio.samples import Audio
from neucodec.evaluation.clips import Clip, read_clip
from neucodec.evaluation.codecs import Neural, rival
from neucodec.evaluation.metrics import METRICS, resampled
from neucodec.evaluation.results import Results
from neucodec.evaluation.summary import labels, number
from neucodec.evaluation.trial import Row
from neucodec.terminal.signals import end_if_told
from neucodec.terminal.standard_streams import readable

LONGEST = 10.0
"""Seconds of a recording that go onto the page."""
ANCHOR_HZ = 3500
"""Where the low anchor of ITU-R BS.1534 ends."""
_SCRIPTS = ("spectrogram.js", "player.js", "curves.js", "blind.js", "main.js")


@dataclass(frozen=True)
class Version:
    """Holds one way in which a recording can be heard."""

    label: str
    role: str
    """reference, codec, rival or anchor."""
    says: str
    kbps: float | None
    audio: Audio


def page(results: Results, clips: Sequence[Clip], *, mono: bool, count: int, megabytes: int) -> str:
    """Return the HTML, with up to ``count`` recordings and not above ``megabytes``."""
    recordings: list[dict[str, Any]] = []
    sounds: list[str] = []
    room = megabytes * 10**6
    rows = {clip.place: [row for row in results.rows if row.clip == clip.place] for clip in clips}
    called = labels(results.rows)
    for clip in spread([clip for clip in clips if rows[clip.place]], count):
        end_if_told()
        reference, sample_rate = read_clip(clip.path, mono=mono)
        versions = list(_versions(reference, sample_rate, rows[clip.place], called, results))
        gains = level_gains([v.audio for v in versions], sample_rate)
        packed = [_packed(version.audio, sample_rate) for version in versions]
        size = sum(len(text) for text, _ in packed)
        if size > room:
            break
        room -= size
        recordings.append({
            "name": readable(clip.place),
            "samplerate": sample_rate,
            "versions": [
                {"label": v.label, "role": v.role, "says": v.says, "kbps": v.kbps,
                 "gain": gain * peak, "audio": f"audio-{len(sounds) + i}"}
                for i, (v, gain, (_, peak)) in enumerate(zip(versions, gains, packed, strict=True))
            ],
        })  # fmt: skip
        sounds += [text for text, _ in packed]
    return _filled(_data(results, recordings), sounds)


def spread(clips: Sequence[Clip], count: int) -> list[Clip]:
    """Choose some of the clips: the kinds in turn, and those of a kind evenly over all there
    are.
    """
    kinds: dict[str, list[Clip]] = {}
    for clip in clips:
        kinds.setdefault(clip.kind, []).append(clip)
    share = -(-count // len(kinds)) if kinds else 0
    chosen = [
        [group[k * len(group) // min(share, len(group))] for k in range(min(share, len(group)))]
        for group in kinds.values()
    ]
    turns = (group[k] for k in range(share) for group in chosen if k < len(group))
    return list(turns)[:count]


def level_gains(versions: Sequence[Audio], sample_rate: int) -> list[float]:
    """Return factors that bring all versions to the loudness of the first, none above full
    scale.
    """
    found = []
    for audio in versions:
        meter = LoudnessMeter(sample_rate, audio.shape[1])
        meter.push(audio)
        found.append(meter)
    gains = [
        10 ** ((found[0].lufs - meter.lufs) / 20)
        if math.isfinite(meter.lufs) and math.isfinite(found[0].lufs)
        else 1.0
        for meter in found
    ]
    loudest = max(gain * meter.peak for gain, meter in zip(gains, found, strict=True))
    return [gain / max(1.0, loudest) for gain in gains]


def _versions(
    reference: Audio,
    sample_rate: int,
    rows: Sequence[Row],
    called: Mapping[tuple[str, str], str],
    results: Results,
) -> Iterator[Version]:
    end = round(LONGEST * sample_rate)
    yield Version("reference", "reference", "", None, reference[:end])
    for row in sorted(rows, key=lambda row: (row.bitrate, row.matched, row.codec != row.matched)):
        data = (results.folder / row.coded).read_bytes()
        neural: Neural | None = results.codecs.get(row.codec)
        decoded = (
            neural.decode(data)
            if neural
            else rival(row.codec).decode(data, sample_rate, len(reference))
        )
        scores = [
            f"{METRICS[name].title} {number(value, METRICS[name].digits)}"
            for name, value in row.scores.items()
            if value is not None
        ]
        yield Version(
            f"{called[row.codec, row.matched]} {'' if row.codec == row.matched else 'matched to '}"
            f"{row.bitrate / 1000:g} kbps",
            "codec" if neural else "rival",
            ", ".join([f"{row.kbps:.2f} kbps", *scores]),
            row.kbps,
            decoded[:end],
        )
    yield Version("anchor, 3.5 kHz", "anchor", "", None, _anchor(reference[:end], sample_rate))


def _anchor(audio: Audio, sample_rate: int) -> Audio:
    if sample_rate <= 2 * ANCHOR_HZ:
        return audio
    low = resampled(resampled(audio, sample_rate, 2 * ANCHOR_HZ), 2 * ANCHOR_HZ, sample_rate)
    return np.pad(low, ((0, max(0, len(audio) - len(low))), (0, 0)))[: len(audio)]


def _packed(audio: Audio, sample_rate: int) -> tuple[str, float]:
    """Return 16-bit FLAC in base64, and the factor that undoes what was done to fit full scale."""
    peak = max(1.0, float(np.abs(audio).max(initial=0.0)))
    target = io.BytesIO()
    soundfile.write(target, audio / peak, sample_rate, format="FLAC", subtype="PCM_16")
    return base64.b64encode(target.getvalue()).decode(), peak


def _data(results: Results, recordings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    called = labels(results.means)
    return {
        "metrics": {
            name: {"title": m.title, "says": m.says, "higher_is_better": m.higher,
                   "digits": m.digits}
            for name, m in METRICS.items()
            if any(name in mean.scores for mean in results.means)
        },
        "means": [
            asdict(mean)
            | {"kind": readable(mean.kind), "label": called[mean.codec, mean.matched]}
            for mean in results.means
        ],
        "recordings": recordings,
    }  # fmt: skip


def _filled(data: Mapping[str, Any], sounds: Sequence[str]) -> str:
    folder = files(__package__)

    def read(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    # Names of files may hold anything: nothing in the data may end the script it stands in.
    text = json.dumps(data).replace("<", "\\u003c")
    html = read("page.html").replace("/*STYLE*/", read("page.css"))
    html = html.replace(
        "<!--SCRIPTS-->", "".join(f"<script>\n{read(s)}</script>\n" for s in _SCRIPTS)
    )
    audio = "".join(
        f'<script type="text/plain" id="audio-{i}">{sound}</script>\n'
        for i, sound in enumerate(sounds)
    )
    return html.replace("/*DATA*/", text).replace("<!--AUDIO-->", audio)
