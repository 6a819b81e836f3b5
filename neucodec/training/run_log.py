"""Log a training run: JSON lines, TensorBoard where it is installed, and standard error."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from neucodec.closing import ClosesItself

LOG = "log.jsonl"
"""The file of JSON lines in a run's folder."""


class RunLog(ClosesItself):
    """Writes means of the losses, over every ``every`` steps."""

    def __init__(self, folder: Path | None, every: int, seconds: float, quiet: bool) -> None:
        """Append to the log in a run's ``folder``; without one, as in further processes, write
        nothing.

        ``seconds`` is how much sound a step has, for the speed in multiples of real time. Unless
        ``quiet``, rows go to standard error, too.
        """
        self.every, self.seconds, self.quiet = every, seconds, quiet
        self._file = (folder / LOG).open("a", encoding="utf-8") if folder else None
        self._board = _board(folder) if folder else None
        self._sums: dict[str, float] = {}
        self._count = 0
        self._began = time.monotonic()

    def close(self) -> None:
        """Close the files of the log."""
        if self._file:
            self._file.close()
        if self._board:
            self._board.close()

    def add(self, step: int, values: dict[str, float]) -> None:
        """Add a step's losses by name; write a row of means after every ``every`` steps."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        if step % self.every:
            return
        now = time.monotonic()
        row = {name: _short(value / self._count) for name, value in self._sums.items()}
        took = max(now - self._began, 1e-9)
        row["speed"] = _short(self._count * self.seconds / took)
        self.note(step, row)
        self._sums, self._count, self._began = {}, 0, now

    def note(self, step: int, values: dict[str, float]) -> None:
        """Write a row: a JSON object of the values, and then the step."""
        if not self._file:
            return
        print(json.dumps({**values, "step": step}), file=self._file, flush=True)
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
        if not self.quiet:
            text = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
            with tqdm.external_write_mode(file=sys.stderr):  # a bar may be there
                print(f"step {step}: {text}", file=sys.stderr, flush=True)


def _board(folder: Path) -> Any:
    """Return TensorBoard's writer; None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))


def _short(value: float) -> float:
    """Round to six significant digits, so that small values keep theirs."""
    return float(f"{value:.6g}")
