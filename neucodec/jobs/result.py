"""How a job of a batch ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """How a job ended."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Result:
    """How a job ended, with the figures that there are."""

    outcome: Outcome
    input_bytes: int | None = None
    output_bytes: int | None = None
    audio_seconds: float | None = None
    kbps: float | None = None
    """Of the .ncf, whichever side that is."""
    seconds: float = 0.0
    """That the job took."""
    error: str | None = None


DONE, SKIPPED = Result(Outcome.DONE), Result(Outcome.SKIPPED)
