"""The training loop of the embedded codec."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..models.neu import Neu, NeuConfig
from .adversary import Adversary
from .balancer import Balancer
from .corpus import Corpus
from .losses import SpectralLoss
from .recipe import Recipe

WEIGHTS = {"mel": 5.0, "complex": 12.0, "commitment": 0.25, "adversarial": 1.0, "features": 2.0}
"""Of the losses, unless the recipe has others."""
GROUPS = {"mel": "spectral", "complex": "spectral"}
"""Losses that share one gradient where gradients are balanced."""


class Trainer:
    """Owns network, averages, optimiser and step; every step is a function of (seed, step)."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = Neu(NeuConfig(**recipe.model)).to(self.device)
        self.frozen = [
            part
            for name, part in self.model.named_children()
            if recipe.train_only and name != recipe.train_only
        ]
        for part in self.frozen:
            part.requires_grad_(False)
        if recipe.start:
            self._start(Path(recipe.start).expanduser())
        self.average = Neu(self.model.config).to(self.device)
        self.average.load_state_dict(self.model.state_dict())
        self.average.requires_grad_(False).eval()
        self.optimiser = torch.optim.AdamW(
            self._groups(), lr=recipe.learning_rate, betas=(0.8, 0.99)
        )
        self.distance = SpectralLoss(recipe.sample_rate).to(self.device)
        self.weights = WEIGHTS | recipe.weights
        self.balancer = Balancer(recipe.shares) if recipe.shares else None
        self.adversary = (
            Adversary(recipe.adversary, recipe.sample_rate, self.device)
            if recipe.adversary
            else None
        )
        self.corpus = Corpus(
            [Path(p).expanduser() for p in recipe.corpus], recipe.sample_rate, folder / "cache"
        )
        self.step = 0

    def _start(self, path: Path) -> None:
        """Take the weights of another run, or of a codec that was exported."""
        state = {name: value.float() for name, value in load_file(path).items()}
        self.model.load_state_dict(state)
        for book in self.model.quantiser.stages():
            book.counts.fill_(1.0)
            book.sums.copy_(book.entries)

    def _groups(self) -> list[dict[str, Any]]:
        """Weight decay for matrices only, and none for codebook entries."""
        matrices: list[Tensor] = []
        rest: list[Tensor] = []
        for name, p in self.model.named_parameters():
            if not p.requires_grad:
                continue
            (matrices if p.dim() > 1 and "entries" not in name else rest).append(p)
        return [{"params": matrices, "weight_decay": 1e-2}, {"params": rest, "weight_decay": 0.0}]

    # -- batches ----------------------------------------------------------------------------

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Audio [B, T] and codebook counts [B * chunks] of a step."""
        r, c = self.recipe, self.model.config
        rng = np.random.default_rng([r.seed, step])
        length = r.chunks * self.stride + self.width - self.stride
        audio = np.stack([self.corpus.excerpt(length, rng) for _ in range(r.batch)])
        # Half of the draws are skewed to few codebooks: low bitrates need most of the learning.
        most = np.where(rng.random(r.batch) < 0.5, c.codebooks, min(10, c.codebooks))
        drawn = rng.integers(1, most + 1)
        kind = rng.random(r.batch)
        drawn[kind < r.bypass_share + r.full_share] = c.codebooks
        drawn[kind < r.bypass_share] = 0
        counts = np.repeat(drawn, r.chunks)
        return torch.from_numpy(audio), torch.from_numpy(counts)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches from the current step on, prepared ahead in a thread."""
        with ThreadPoolExecutor(1) as pool:
            ahead = [pool.submit(self.batch, s) for s in range(self.step, self.step + 3)]
            step = self.step + 3
            while True:
                yield ahead.pop(0).result()
                ahead.append(pool.submit(self.batch, step))
                step += 1

    @property
    def width(self) -> int:
        """Samples of a chunk, context included."""
        return self.recipe.frames * self.model.config.hop + 2 * self.model.context

    @property
    def stride(self) -> int:
        """Samples from one chunk's start to the next's."""
        config = self.model.config
        return (self.recipe.frames - config.fade_frames) * config.hop

    # -- one step ---------------------------------------------------------------------------

    def reconstruct(
        self, model: Neu, audio: Tensor, counts: Tensor | None
    ) -> tuple[Tensor, Tensor, Any]:
        """Code every chunk of every item on its own and overlap-add: (reference, decoded, ...).

        Both are at unit level, without the ends that lack a neighbour.
        """
        chunks, scale = self._levelled(audio)
        with torch.autocast(self.device.type, torch.bfloat16):
            out, quantised = model(chunks.flatten(0, 1), counts)
        out = out.float().reshape(chunks.shape) * scale
        decoded = torch.zeros_like(audio)
        for k in range(self.recipe.chunks):
            decoded[:, k * self.stride : k * self.stride + self.width] += out[:, k]
        edge = self.width - self.stride
        level = audio.square().mean(-1, keepdim=True).sqrt() + 1e-5
        keep = slice(edge, audio.shape[-1] - edge)
        return (audio / level)[:, keep], (decoded / level)[:, keep], quantised

    def _levelled(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Chunks [B, chunks, width] of items [B, T] at unit RMS, and the scales that undo it."""
        chunks = audio.unfold(-1, self.width, self.stride)
        scale = chunks.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-5)
        return chunks / scale, scale

    def _windows(self) -> dict[int, float]:
        """Windows of this step: those of the complex distance, and two of the others, for all."""
        always = SpectralLoss.COMPLEX
        others = [size for size in SpectralLoss.BANDS if size not in always]
        rng = np.random.default_rng([self.recipe.seed, self.step, 1])
        drawn = rng.choice(others, 2, replace=False)
        return dict.fromkeys(always, 1.0) | {int(size): len(others) / 2 for size in drawn}

    def train_step(self, audio: Tensor, counts: Tensor) -> dict[str, float]:
        """One update; returns the losses."""
        r = self.recipe
        if self.step == r.unquantised and not r.start:
            self._start_codebooks()
        rate = r.rate_at(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        quantise = self.step >= r.unquantised
        self.model.train()
        for part in self.frozen:
            part.eval()
        reference, decoded, q = self.reconstruct(
            self.model, audio.to(self.device), counts.to(self.device) if quantise else None
        )
        # Losses are of a copy, so that each one's gradient there can be had and weighed.
        heard = decoded.detach().requires_grad_()
        mel, phase = self.distance(reference, heard, self._windows())
        losses = {"mel": mel, "complex": phase}
        verdict = None
        if self.adversary:
            rng = np.random.default_rng([r.seed, self.step, 2])
            generator, verdict = self.adversary.judge(reference, heard, rng)
            if self.step >= self.adversary.recipe.warmup:
                losses |= generator
        outputs, gradients = [decoded], [self._gradient(losses, heard)]
        if q is not None:
            losses["commitment"] = q.commitment
            if q.commitment.requires_grad:
                outputs.append(q.commitment)
                gradients.append(torch.full_like(q.commitment, self.weights["commitment"]))
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(outputs, gradients)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), r.clip)
        if torch.isfinite(norm):
            self.optimiser.step()
        if self.adversary and verdict is not None:
            self.adversary.learn(verdict, r.fall(self.step))
            losses["discriminator"] = verdict
        with torch.no_grad():
            keep = min(r.ema, (1 + self.step) / (10 + self.step))
            if self.step <= r.unquantised:
                keep = 0.0  # the quantiser has only just been set
            for mine, theirs in zip(
                self.average.parameters(), self.model.parameters(), strict=True
            ):
                mine.lerp_(theirs, 1 - keep)
            buffers = zip(self.average.buffers(), self.model.buffers(), strict=True)
            for kept, latest in buffers:
                kept.copy_(latest)
        self.step += 1
        values = {name: loss.item() for name, loss in losses.items()}
        return {**values, "norm": norm.item(), "rate": rate}

    def _gradient(self, losses: dict[str, Tensor], decoded: Tensor) -> Tensor:
        """What the weighed losses ask of the decoded audio [B, T]."""
        groups: dict[str, Tensor] = {}
        for name, loss in losses.items():
            group = GROUPS.get(name, name)
            groups[group] = groups.get(group, loss.new_zeros(())) + self.weights[name] * loss
        if self.balancer:
            return self.balancer.combine(groups, decoded)
        total = torch.stack(list(groups.values())).sum()
        return torch.autograd.grad(total, decoded, retain_graph=True)[0]

    @torch.no_grad()
    def _start_codebooks(self) -> None:
        latents = []
        for offset in range(4):
            audio, _ = self.batch(10_000_000 + offset)
            chunks, _ = self._levelled(audio.to(self.device))
            latents.append(self.model.analyse(chunks.flatten(0, 1)).flatten(0, 1))
        self.model.quantiser.start(torch.cat(latents).float())

    # -- the run ----------------------------------------------------------------------------

    def run(self, minutes_between_saves: float = 4.0) -> None:
        """Train to the recipe's last step, logging JSON lines and checkpointing.

        SIGTERM saves and ends the run after the step at hand.
        """
        stop = threading.Event()
        before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
        r = self.recipe
        seconds = r.batch * r.chunks * r.frames * self.model.config.hop / r.sample_rate
        saved = began = time.monotonic()
        sums: dict[str, float] = {}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            for audio, counts in self.batches():
                if self.step >= r.steps or stop.is_set():
                    break
                for name, value in self.train_step(audio, counts).items():
                    sums[name] = sums.get(name, 0.0) + value
                if self.step % 50 == 0:
                    now = time.monotonic()
                    row = {name: round(value / 50, 5) for name, value in sums.items()}
                    row |= {"step": self.step, "speed": round(50 * seconds / (now - began), 1)}
                    print(json.dumps(row), file=log, flush=True)
                    sums, began = {}, now
                if time.monotonic() - saved > 60 * minutes_between_saves:
                    self.save()
                    saved = time.monotonic()
        signal.signal(signal.SIGTERM, before)
        self.save()

    def save(self) -> None:
        """Write the resumable state and the averaged weights, each atomically."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "codebooks": [(b.counts, b.sums) for b in self.model.quantiser.stages()],
            "random": torch.get_rng_state(),
            "recipe": self.recipe.plain(),
        }
        if self.adversary:
            state["adversary"] = self.adversary.state()
        if self.balancer:
            state["balancer"] = self.balancer.state()
        partial = self.folder / "state.pt.partial"
        torch.save(state, partial)
        partial.replace(self.folder / "state.pt")
        partial = self.folder / "average.safetensors.partial"
        save_file({k: v.contiguous() for k, v in self.average.state_dict().items()}, partial)
        partial.replace(self.folder / "average.safetensors")

    def resume(self) -> None:
        """Go on from the folder's saved state."""
        state = torch.load(self.folder / "state.pt", weights_only=True, map_location=self.device)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        books = self.model.quantiser.stages()
        for book, (counts, sums) in zip(books, state["codebooks"], strict=True):
            book.counts.copy_(counts)
            book.sums.copy_(sums)
        if self.adversary:
            self.adversary.restore(state["adversary"])
        if self.balancer:
            self.balancer.restore(state["balancer"])
        torch.set_rng_state(state["random"].cpu())
        self.step = state["step"]
