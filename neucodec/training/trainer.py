"""The training loop of every codec: batches in, a log and checkpoints out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from neucodec.models.parts.state_dict import fold_weight_norm
from neucodec.terminal.signals import signals_noted

from . import distributed
from .batches import Batches
from .checkpoint import RECIPE, load_state, save_checkpoint
from .corpus import Corpus
from .learner import Learner
from .recipe import Recipe
from .run_log import RunLog
from .validation import Validation


class Trainer:
    """Runs a recipe in a folder, from the start or from where it was saved last."""

    def __init__(self, recipe: Recipe, folder: Path, device: str = "auto") -> None:
        """Build the network and read the corpus.

        ``device`` is as torch names it, or ``auto`` for the first GPU or else the CPU. Raises
        NeucodecError where the recipe does not fit its codec or there is no audio.
        """
        self.recipe, self.folder = recipe, folder
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        self.learner = Learner(recipe, self.device)
        self.system = self.learner.system
        self.corpus = Corpus(
            [Path(p).expanduser() for p in recipe.corpus],
            recipe.sample_rate,
            folder / "cache",
            self.system.channels,
        )
        self._batches = Batches(recipe, self.corpus, self.system)

    @property
    def step(self) -> int:
        """The number of steps that have been made."""
        return self.learner.step

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the audio [B, C, T] and the codebook counts [B] of a step."""
        return self._batches.batch(step)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of the next step and all later ones, prepared ahead in a thread."""
        return self._batches.starting_at(self.step)

    def train_step(self, audio: Tensor, counts: Tensor) -> dict[str, float]:
        """Make one update from audio [B, C, T] coded with ``counts`` [B] codebooks.

        Returns the losses, the gradient's norm and the learning rate, by name.
        """
        return self.learner.learn(audio, counts, self._batches.for_start)

    def run(
        self,
        minutes_between_saves: float = 4.0,
        quiet: bool = True,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """Train to the recipe's last step, logging and checkpointing.

        A signal (SIGINT, SIGTERM, SIGHUP) saves and ends the run after the step at hand. Unless
        ``quiet``, rows of the log go to standard error, too. ``progress`` is called with the steps
        made since its last call.
        """
        r, first = self.recipe, distributed.rank() == 0
        seconds = distributed.world() * r.batch * self.system.length / r.sample_rate
        validation = Validation(r, self.system.length, self.system.channels) if first else None
        if first:
            recipe = json.dumps(r.plain(), indent=2)
            (self.folder / RECIPE).write_text(recipe, encoding="utf-8")
        saved = time.monotonic()
        with (
            signals_noted() as told,
            RunLog(self.folder if first else None, r.log_every, seconds, quiet) as log,
        ):
            for audio, counts in self.batches():
                if self.step >= r.steps or distributed.any_of(told(), self.device):
                    break
                log.add(self.step + 1, self.train_step(audio, counts))
                if progress:
                    progress(1)
                if validation and validation.due(self.step):
                    log.note(self.step, validation.measure(self.system, self.learner.average))
                if first and time.monotonic() - saved > 60 * minutes_between_saves:
                    self.save()
                    saved = time.monotonic()
        if first:
            self.save()

    def save(self) -> None:
        """Write the state to resume from and the averaged weights, weight norm folded."""
        average = fold_weight_norm(self.learner.average.state_dict())
        save_checkpoint(self.folder, self.learner.state(), average)

    def resume(self) -> None:
        """Go on from the folder's saved state; NeucodecError where it is of another recipe."""
        self.learner.restore(load_state(self.folder, self.device), self.folder)
