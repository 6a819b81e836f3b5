"""The training loop of every codec."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from neucodec.errors import NeucodecError
from neucodec.models.parts.precision import PRECISIONS
from neucodec.models.parts.state_dict import fold_weight_norm
from neucodec.terminal.signals import signals_noted
from neucodec.training.codecs.quantisers import followers
from neucodec.training.losses.balancer import Balancer

from . import distributed
from .adversary import Adversary
from .codecs import system_of
from .corpus import Corpus
from .optimisers import OPTIMISERS, optimisers
from .recipe import Recipe
from .run_log import Journal
from .validation import Validation

STATE, AVERAGE, RECIPE = "state.pt", "average.safetensors", "recipe.json"
"""What a run's folder holds: all that resuming needs, the result so far, and the recipe."""
AHEAD = 3
"""Batches that are prepared while others are learnt from."""


class Trainer:
    """Owns network, averages, optimiser and step; every step is a function of the seed, its
    number and the random state that is saved with it."""

    def __init__(self, recipe: Recipe, folder: Path, device: str = "auto") -> None:
        self.recipe, self.folder = recipe, folder
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        self.system = system_of(recipe)
        self._check()
        if recipe.start:
            self._start(Path(recipe.start).expanduser())
        self.system.weight_norm()
        self.system.to(self.device)
        self.model = self.system.network
        self.frozen = self._freeze()
        self.average = self._twin()
        self.optimisers = self._optimisers()
        self.parallel = distributed.parallel(self.system)
        self.balancer = Balancer(recipe.shares) if recipe.shares else None
        self.adversary = (
            Adversary(
                recipe.adversary, recipe.sample_rate, self.system.channels, self.device,
                recipe.precision,
            )
            if recipe.adversary
            else None
        )  # fmt: skip
        self.corpus = Corpus(
            [Path(p).expanduser() for p in recipe.corpus],
            recipe.sample_rate,
            folder / "cache",
            self.system.channels,
        )
        self.step = 0

    def _check(self) -> None:
        """Refuse names that nothing answers to."""
        system, recipe = self.system, self.recipe
        groups = {system.GROUPS.get(name, name) for name in system.WEIGHTS}
        parts = [name for name, _ in system.network.named_children()]
        for what, given, known in (
            ("weights", recipe.weights, list(system.WEIGHTS)),
            ("shares", recipe.shares, sorted(groups)),
            ("train_only", [recipe.train_only] if recipe.train_only else [], parts),
            ("precision", [recipe.precision], PRECISIONS),
            ("optimiser", [recipe.optimiser], list(OPTIMISERS)),
        ):
            for name in given:
                if name not in known:
                    raise NeucodecError(f"{what} {name!r}: there are {', '.join(known)}")
        if recipe.train_only and not recipe.start:
            raise NeucodecError("train_only needs the weights of the rest: give start")

    def _start(self, path: Path) -> None:
        """Take the weights of another run, or of a codec that was exported."""
        try:
            state = {name: value.float() for name, value in load_file(path).items()}
            self.system.network.load_state_dict(state)
        except (SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise NeucodecError(
                f"start {path}: does not fit {self.recipe.system}: {reason}"
            ) from None
        for book in followers(self.system.network):
            counts, sums, entries = _running(book)
            counts.fill_(1.0)
            sums.copy_(entries)

    def _twin(self) -> nn.Module:
        """A network of its own with the same weights, that never learns."""
        twin = system_of(self.recipe)
        twin.weight_norm()
        twin.network.load_state_dict(self.model.state_dict())
        return twin.network.to(self.device).requires_grad_(False).eval()

    def _freeze(self) -> list[nn.Module]:
        """The parts that are not to learn."""
        only = self.recipe.train_only
        frozen = [part for name, part in self.model.named_children() if only and name != only]
        for part in frozen:
            part.requires_grad_(False)
        return frozen

    def _optimisers(self) -> list[torch.optim.Optimizer]:
        """Weights decay but for vectors and codebook entries; Muon, where the recipe has it, takes
        the matrices and two-dimensional kernels outside the quantiser."""
        muon = self.recipe.optimiser == "muon"
        return optimisers(
            self.model.named_parameters(),
            inner=lambda name, p: muon and p.dim() in (2, 4) and "quantiser" not in name,
            plain=lambda name, p: p.dim() < 2 or "entries" in name,
            rate=self.recipe.learning_rate,
            betas=(self.recipe.betas[0], self.recipe.betas[1]),
            decay=self.recipe.weight_decay,
        )

    # -- batches ----------------------------------------------------------------------------

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Audio [B, C, T] and codebook counts [B] of a step."""
        r = self.recipe
        process = [100 + distributed.rank()] if distributed.rank() else []
        rng = np.random.default_rng([r.seed, step, *process])
        length = self.system.length
        audio = np.stack([self.corpus.excerpt(length, rng, r.augment) for _ in range(r.batch)])
        counts = torch.from_numpy(self.system.counts(rng))
        return torch.from_numpy(audio).reshape(r.batch, -1, length), counts

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches from the current step on, prepared ahead in a thread."""
        with ThreadPoolExecutor(1) as pool:
            ahead = [pool.submit(self.batch, s) for s in range(self.step, self.step + AHEAD)]
            step = self.step + AHEAD
            while True:
                yield ahead.pop(0).result()
                ahead.append(pool.submit(self.batch, step))
                step += 1

    def _numbered(self, number: int) -> Tensor:
        """Audio that no step learns from, the same in all processes."""
        rng = np.random.default_rng([self.recipe.seed, 10_000_000 + number])
        length = self.system.length
        audio = [self.corpus.excerpt(length, rng) for _ in range(self.recipe.batch)]
        batch = torch.from_numpy(np.stack(audio)).reshape(self.recipe.batch, -1, length)
        return batch.to(self.device)

    # -- one step ---------------------------------------------------------------------------

    def train_step(self, audio: Tensor, counts: Tensor) -> dict[str, float]:
        """One update; returns the losses."""
        r, step = self.recipe, self.step
        self.system.quantising = step >= self.system.quantises_from
        if step == 0 and not r.start:
            self.system.begin(self._numbered)
        if self._since_start() == 0 and not (r.start and step == self.system.quantises_from):
            self.system.start_codebooks(self._numbered)
        rate = r.rate_at(step)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
        self.system.train()
        for part in self.frozen:
            part.eval()
        coded = self.parallel(audio.to(self.device), counts.to(self.device))
        # Losses are of a copy, so that each one's gradient there can be had and weighed.
        heard = coded.decoded.detach().requires_grad_()
        windows, hearing = (np.random.default_rng([r.seed, step, k]) for k in (1, 2))
        losses = self.system.distances(coded.reference, heard, windows)
        verdict = None
        if self.adversary:
            generator, verdict = self.adversary.judge(coded.reference, heard, hearing)
            if step >= self.adversary.recipe.warmup:
                losses |= generator
        outputs, gradients = [coded.decoded], [self._gradient(losses, heard)]
        for name, penalty in coded.penalties.items():
            losses[name] = penalty
            if penalty.requires_grad:
                outputs.append(penalty)
                gradients.append(torch.full_like(penalty, self.system.weights[name]))
        self.model.zero_grad(set_to_none=True)
        torch.autograd.backward(outputs, gradients)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), r.clip)
        if torch.isfinite(norm):
            for optimiser in self.optimisers:
                optimiser.step()
        if self.adversary and verdict is not None:
            self.adversary.learn(verdict, r.fall(step), hearing)
            losses["discriminator"] = verdict
        if distributed.world() > 1:
            self._share_codebooks()
        self._average()
        self.step += 1
        values = {name: loss.item() for name, loss in losses.items()}
        return {**values, "norm": norm.item(), "rate": rate}

    def _gradient(self, losses: dict[str, Tensor], decoded: Tensor) -> Tensor:
        """What the weighed losses ask of the decoded audio [B, C, T]."""
        groups: dict[str, Tensor] = {}
        for name, loss in losses.items():
            group = self.system.GROUPS.get(name, name)
            weighed = self.system.weights[name] * loss
            groups[group] = groups[group] + weighed if group in groups else weighed
        if self.balancer:
            return self.balancer.combine(groups, decoded)
        total = torch.stack(list(groups.values())).sum()
        return torch.autograd.grad(total, decoded, retain_graph=True)[0]

    def _since_start(self) -> int:
        """Steps since codebooks started, the last time that they did; below 0 before."""
        starts = [self.system.quantises_from, *self.recipe.restarts]
        return self.step - max((s for s in starts if s <= self.step), default=starts[0])

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights; what follows by itself is taken as it is."""
        since = self._since_start()
        keep = 0.0  # of what was before the quantiser was set
        if since > 0:
            keep = min(self.recipe.ema, (1 + since) / (10 + since))
        for mine, theirs in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mine.lerp_(theirs, 1 - keep) if theirs.requires_grad else mine.copy_(theirs)
        for kept, latest in zip(self.average.buffers(), self.model.buffers(), strict=True):
            kept.copy_(latest)

    @torch.no_grad()
    def _share_codebooks(self) -> None:
        """Running means over the points of all processes, since means of means are just that."""
        for book in followers(self.model):
            counts, sums, entries = _running(book)
            if self._since_start() == 0:
                distributed.from_first((counts, sums))
            else:
                distributed.average((counts, sums))
            if counts.any():
                entries.copy_(sums / counts[:, None].clamp_min(1e-8))

    # -- the run ----------------------------------------------------------------------------

    def run(self, minutes_between_saves: float = 4.0, quiet: bool = True) -> None:
        """Train to the recipe's last step, logging and checkpointing.

        A signal (SIGINT, SIGTERM, SIGHUP) saves and ends the run after the step at hand.
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
            Journal(self.folder if first else None, r.log_every, seconds, quiet) as journal,
        ):
            for audio, counts in self.batches():
                if self.step >= r.steps or distributed.any_of(told(), self.device):
                    break
                journal.add(self.step + 1, self.train_step(audio, counts))
                if validation and validation.due(self.step):
                    journal.note(self.step, validation.measure(self.system, self.average))
                if first and time.monotonic() - saved > 60 * minutes_between_saves:
                    self.save()
                    saved = time.monotonic()
        if first:
            self.save()

    def save(self) -> None:
        """Write the resumable state and the averaged weights, each atomically."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "codebooks": [_running(book)[:2] for book in followers(self.model)],
            "random": torch.get_rng_state(),
            "recipe": self.recipe.plain(),
        }
        if self.adversary:
            state["adversary"] = self.adversary.state()
        if self.balancer:
            state["balancer"] = self.balancer.state()
        partial = self.folder / f"{STATE}.partial"
        torch.save(state, partial)
        partial.replace(self.folder / STATE)
        folded = fold_weight_norm(self.average.state_dict())
        partial = self.folder / f"{AVERAGE}.partial"
        save_file({name: value.contiguous() for name, value in folded.items()}, partial)
        partial.replace(self.folder / AVERAGE)

    def resume(self) -> None:
        """Go on from the folder's saved state."""
        path = self.folder / STATE
        state = torch.load(path, weights_only=True, map_location=self.device)
        try:
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
            if self.adversary:
                self.adversary.restore(state["adversary"])
            if self.balancer:
                self.balancer.restore(state["balancer"])
        except (RuntimeError, ValueError, KeyError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise NeucodecError(
                f"{path} is of another recipe: {reason}; give another folder, or remove it"
            ) from None
        for book, (counts, sums) in zip(followers(self.model), state["codebooks"], strict=True):
            mine, ours, _ = _running(book)
            mine.copy_(counts)
            ours.copy_(sums)
        torch.set_rng_state(state["random"].cpu())
        self.step = state["step"]


def _running(book: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """Counts, sums and entries of a codebook that follows."""
    counts, sums, entries = book.counts, book.sums, book.entries
    assert isinstance(counts, Tensor) and isinstance(sums, Tensor) and isinstance(entries, Tensor)
    return counts, sums, entries
