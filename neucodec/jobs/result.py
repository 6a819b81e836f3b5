"""The results of jobs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """The ways in which a job can end. Reports write the values."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Result:
    """The way in which a job ended, and the figures that are known of it."""

    outcome: Outcome
    input_bytes: int | None = None
    output_bytes: int | None = None
    audio_seconds: float | None = None
    kbps: float | None = None
    """Bitrate of the .ncf, be it the input or the output."""
    seconds: float = 0.0
    """Time that the job took."""
    error: str | None = None
    """Why the job failed; None if it did not."""


DONE, SKIPPED = Result(Outcome.DONE), Result(Outcome.SKIPPED)
