"""The optimisation step of every codec, and all the state that it changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neucodec.errors import NeucodecError
from neucodec.training.losses.balancer import Balancer

from . import distributed
from .adversary import Adversary
from .checkpoint import STATE
from .codecs import system_of
from .codecs.quantisers import followers, running
from .codecs.system import Decoded
from .preparation import check_names, freeze, load_start, make_optimisers, make_twin
from .recipe import Recipe


class Learner:
    """Owns the network, its averages, its optimisers, its discriminators and the step's number.

    A step is a function of the recipe's seed, the step's number, the batch, and torch's random
    state, which is saved with the rest.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        """Build everything as the recipe says. Raises NeucodecError where that is not possible."""
        # The order matters: weights are drawn from torch's random numbers, one after the other.
        self.recipe, self.device = recipe, device
        self.system = system_of(recipe)
        check_names(recipe, self.system)
        if recipe.start:
            load_start(recipe, self.system)
        self.system.weight_norm()
        self.system.to(device)
        self.network = self.system.network
        self.frozen = freeze(recipe, self.network)
        self.average = make_twin(recipe, self.network, device)
        self.optimisers = make_optimisers(recipe, self.network)
        self.parallel = distributed.parallel(self.system)
        self.balancer = Balancer(recipe.shares) if recipe.shares else None
        self.adversary = (
            Adversary(
                recipe.adversary, recipe.sample_rate, self.system.channels, device, recipe.precision
            )
            if recipe.adversary
            else None
        )
        self.step = 0

    def learn(
        self, audio: Tensor, counts: Tensor, for_start: Callable[[int], Tensor]
    ) -> dict[str, float]:
        """Make one update, and return the losses, the gradient's norm and the learning rate.

        ``audio`` [B, C, T] is coded with ``counts`` [B] codebooks. ``for_start`` gives audio
        [B, C, T] by number, which codebooks start from at certain steps.
        """
        r, step = self.recipe, self.step
        rate = self._prepare(for_start)
        coded: Decoded = self.parallel(audio.to(self.device), counts.to(self.device))
        # Losses are of a copy, so that each one's gradient there can be had and weighed.
        heard = coded.decoded.detach().requires_grad_()
        windows, hearing = (np.random.default_rng([r.seed, step, k]) for k in (1, 2))
        losses = self.system.distances(coded.reference, heard, windows)
        verdict = None
        if self.adversary:
            generator, verdict = self.adversary.judge(coded.reference, heard, hearing)
            if step >= self.adversary.recipe.warmup:
                losses |= generator
        norm = self._descend(coded, heard, losses)
        if self.adversary and verdict is not None:
            self.adversary.learn(verdict, r.fall(step), hearing)
            losses["discriminator"] = verdict
        if distributed.world() > 1:
            self._share_codebooks()
        self._average()
        self.step += 1
        values = {name: loss.item() for name, loss in losses.items()}
        return {**values, "norm": norm.item(), "rate": rate}

    def _prepare(self, for_start: Callable[[int], Tensor]) -> float:
        """Bring codebooks, learning rate and frozen parts to where the step needs them.

        Returns the learning rate.
        """

        def batch(number: int) -> Tensor:
            return for_start(number).to(self.device)

        r, step = self.recipe, self.step
        self.system.quantising = step >= self.system.quantises_from
        if step == 0 and not r.start:
            self.system.begin(batch)
        if self._since_start() == 0 and not (r.start and step == self.system.quantises_from):
            self.system.start_codebooks(batch)
        rate = r.rate_at(step)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
        self.system.train()
        for part in self.frozen:
            part.eval()
        return rate

    def _descend(self, coded: Decoded, heard: Tensor, losses: dict[str, Tensor]) -> Tensor:
        """Move the parameters down the losses' gradient, and return its norm before clipping.

        ``heard`` [B, C, T] is the copy of the decoded audio that ``losses`` are of; the penalties
        of ``coded`` join them. A gradient that is not finite moves nothing.
        """
        outputs, gradients = [coded.decoded], [self._gradient(losses, heard)]
        for name, penalty in coded.penalties.items():
            losses[name] = penalty
            if penalty.requires_grad:
                outputs.append(penalty)
                gradients.append(torch.full_like(penalty, self.system.weights[name]))
        self.network.zero_grad(set_to_none=True)
        torch.autograd.backward(outputs, gradients)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        if torch.isfinite(norm):
            for optimiser in self.optimisers:
                optimiser.step()
        return norm

    def _gradient(self, losses: dict[str, Tensor], decoded: Tensor) -> Tensor:
        """Return the gradient [B, C, T] of the weighted or balanced losses at the decoded audio."""
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
        """Return the number of steps since codebooks last started; below 0 before they did."""
        starts = [self.system.quantises_from, *self.recipe.restarts]
        return self.step - max((s for s in starts if s <= self.step), default=starts[0])

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights towards the present ones; buffers and frozen weights are
        copied."""
        since = self._since_start()
        keep = 0.0  # of what was before the quantiser was set
        if since > 0:
            keep = min(self.recipe.ema, (1 + since) / (10 + since))
        for mine, theirs in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mine.lerp_(theirs, 1 - keep) if theirs.requires_grad else mine.copy_(theirs)
        for kept, latest in zip(self.average.buffers(), self.network.buffers(), strict=True):
            kept.copy_(latest)

    @torch.no_grad()
    def _share_codebooks(self) -> None:
        """Give all processes the same codebooks, where entries follow the points they win.

        Their running means are averaged over the processes: a mean of means is the mean over the
        points of all processes.
        """
        for book in followers(self.network):
            counts, sums, entries = running(book)
            if self._since_start() == 0:
                distributed.from_first((counts, sums))
            else:
                distributed.average((counts, sums))
            if counts.any():
                entries.copy_(sums / counts[:, None].clamp_min(1e-8))

    def state(self) -> dict[str, Any]:
        """Return all that a resumed run needs, as `checkpoint.save_checkpoint` takes it."""
        state = {
            "model": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "codebooks": [running(book)[:2] for book in followers(self.network)],
            "random": torch.get_rng_state(),
            "recipe": self.recipe.plain(),
        }
        if self.adversary:
            state["adversary"] = self.adversary.state()
        if self.balancer:
            state["balancer"] = self.balancer.state()
        return state

    def restore(self, state: dict[str, Any], folder: Path) -> None:
        """Go on from a state that `state` gave.

        Raises NeucodecError, which names the ``folder``, where it is of another recipe.
        """
        try:
            self.network.load_state_dict(state["model"])
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
                f"{folder / STATE} is of another recipe: {reason}; give another folder, or "
                "remove it"
            ) from None
        for book, (counts, sums) in zip(followers(self.network), state["codebooks"], strict=True):
            mine, ours, _ = running(book)
            mine.copy_(counts)
            ours.copy_(sums)
        torch.set_rng_state(state["random"].cpu())
        self.step = state["step"]
