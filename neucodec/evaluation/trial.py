"""Measure one clip through one codec at one bitrate, and through its rivals at the same size."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neucodec.audio.samples import Audio
from neucodec.errors import NeucodecError
from neucodec.files.outfile import output_file
from neucodec.models import SILENT, Monitor
from neucodec.terminal.console import counted, explain, is_expected
from neucodec.terminal.signals import end_if_told
from neucodec.version import __version__

from .clips import Clip, read_clip
from .codecs import Coded, Neural, rival, timed
from .metrics import METRICS, measure

if TYPE_CHECKING:
    from neucodec.models import Card


@dataclass(frozen=True)
class Candidate:
    """Describes one of our codecs so that it can be sent to another process."""

    name: str
    """Tells it from the others of an evaluation."""
    card: Card
    fingerprint: str
    """Of the weights, in hexadecimal."""


@dataclass(frozen=True)
class Conditions:
    """Holds what all trials of an evaluation have in common."""

    metrics: Sequence[str]
    mono: bool
    device: str
    folder: str
    """Where measurements and coded files are kept; those that are there are not done again."""
    fresh: bool
    """Do them again all the same."""


@dataclass(frozen=True)
class Trial:
    """Says what is to be measured; can be sent to another process."""

    clip: Clip
    candidate: Candidate | None
    """None where only rivals are measured."""
    bitrate: float
    """Asked for, in bit/s."""
    rivals: Sequence[str]
    """Brought to the size of the candidate's file, or without one to the bitrate."""
    conditions: Conditions


@dataclass(frozen=True)
class Row:
    """Holds one measurement: a clip as one codec gave it back."""

    clip: str
    kind: str
    codec: str
    matched: str
    """The codec to whose size a rival was brought; of one that went by its bitrate its own name."""
    bitrate: float
    """That was asked for, in bit/s, of the codec or of the one it was matched to."""
    setting: str
    bytes: int
    seconds: float
    encode_seconds: float
    """Of processor time."""
    decode_seconds: float
    scores: dict[str, float | None]
    """By the names of metrics; None where one is not defined for the clip."""
    coded: str
    """The coded file, in the folder of measurements."""

    @property
    def kbps(self) -> float:
        """Return the real bitrate, from the file's size."""
        return self.bytes * 8 / 1000 / self.seconds


@dataclass(frozen=True)
class Failure:
    """Says why a clip could not be measured."""

    clip: str
    reason: str


def run_trial(trial: Trial) -> list[Row] | Failure:
    """Return the codec's row and one for each rival."""
    try:
        return _Runner(trial).rows()
    except Exception as error:
        if not is_expected(error):
            raise
        return Failure(trial.clip.path, explain(error, trial.clip.path))


class _Runner:
    def __init__(self, trial: Trial) -> None:
        self.trial, self.conditions = trial, trial.conditions
        self.metrics = [
            METRICS[name]
            for name in trial.conditions.metrics
            if trial.clip.speech or not METRICS[name].speech
        ]

    def rows(self) -> list[Row]:
        """Return all rows, from their files where they are there."""
        trial = self.trial
        if trial.candidate is None:
            audio, rate = self._audio
            size = round(trial.bitrate * len(audio) / rate / 8)
            return [self._rival(name, size, name) for name in trial.rivals]
        row = self._candidate(trial.candidate)
        return [row, *(self._rival(name, row.bytes, row.codec) for name in trial.rivals)]

    def _candidate(self, candidate: Candidate) -> Row:
        identity = {
            "codec": candidate.card.name,
            "weights": candidate.fingerprint,
            "for": self.trial.bitrate,
        }
        end_if_told()
        row = self._kept(identity)
        if row is None:
            audio, rate = self._audio
            neural = loaded(candidate.card, self.conditions.device)
            coded = neural.encode(audio, rate, self.trial.bitrate)
            decoded, seconds = timed(lambda: neural.decode(coded.data))
            row = self._measured(identity, neural.suffix, coded, decoded, seconds)
        return replace(row, codec=candidate.name, matched=candidate.name)

    def _rival(self, name: str, size: int, matched: str) -> Row:
        other = rival(name)
        identity = {"codec": name, "version": other.version, "size": size}
        end_if_told()
        row = self._kept(identity)
        if row is None:
            audio, rate = self._audio
            coded = other.encode(audio, rate, size)
            decoded, seconds = timed(lambda: other.decode(coded.data, rate, len(audio)))
            row = self._measured(identity, other.suffix, coded, decoded, seconds)
        # Several codecs and bitrates may come to one size.
        return replace(row, matched=matched, bitrate=self.trial.bitrate)

    def _measured(
        self, identity: dict[str, Any], suffix: str, coded: Coded, decoded: Audio, took: float
    ) -> Row:
        audio, rate = self._audio
        clip, key, name = self.trial.clip, self._key(identity), str(identity["codec"])
        if decoded.shape != audio.shape:
            raise NeucodecError(
                f"{name} gives back {counted(decoded.shape[1], 'channel')} of {audio.shape[1]}: "
                "--mono mixes them down first"
            )
        row = Row(
            clip=clip.place, kind=clip.kind, codec=name, matched=name,
            bitrate=self.trial.bitrate, setting=coded.setting, bytes=len(coded.data),
            seconds=len(audio) / rate, encode_seconds=coded.seconds, decode_seconds=took,
            scores=measure(audio, decoded, rate, self.metrics), coded=key + suffix,
        )  # fmt: skip
        folder = Path(self.conditions.folder)
        with output_file(folder / row.coded, overwrite=True, sources=[clip.path]) as file:
            file.write(coded.data)
        with output_file(folder / f"{key}.json", overwrite=True) as file:
            file.write(json.dumps(asdict(row)).encode())
        return row

    def _kept(self, identity: dict[str, Any]) -> Row | None:
        """Return the row of an earlier run, if there is one with all metrics."""
        path = Path(self.conditions.folder) / f"{self._key(identity)}.json"
        if self.conditions.fresh:
            return None
        try:
            row = Row(**json.loads(path.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        wanted = [metric.name for metric in self.metrics]
        if not all(name in row.scores for name in wanted):
            return None
        clip = self.trial.clip
        # The same recording may have been found under another name.
        scores = {name: row.scores[name] for name in wanted}
        return replace(row, clip=clip.place, kind=clip.kind, scores=scores)

    def _key(self, identity: dict[str, Any]) -> str:
        """Return a name for all that a measurement depends on."""
        everything = identity | {
            "neucodec": __version__, "clip": _digest(self.trial.clip.path),
            "mono": self.conditions.mono,
        }  # fmt: skip
        return hashlib.sha256(json.dumps(everything).encode()).hexdigest()[:32]

    @cached_property
    def _audio(self) -> tuple[Audio, int]:
        return read_clip(self.trial.clip.path, mono=self.conditions.mono)


@lru_cache(maxsize=256)
def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


_loaded: dict[tuple[str, str, str, str], Neural] = {}


def loaded(card: Card, device: str, monitor: Monitor = SILENT, offline: str = "") -> Neural:
    """Return a codec, loaded once in each process."""
    from neucodec.models import load_codec

    key = (card.name, card.weights, str(card.folder), device)
    if key not in _loaded:
        _loaded[key] = Neural(load_codec(card, device, monitor=monitor, offline=offline))
    return _loaded[key]
