"""The training loop of an entropy model."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from neucodec.models.codec import Codec
from neucodec.models.families.neu.codec import NeuCodec
from neucodec.models.lm.transformer import CodeTransformer
from neucodec.models.load import load_codec
from neucodec.models.parts.precision import autocast
from neucodec.terminal.signals import signals_noted
from neucodec.training.corpus import Corpus
from neucodec.training.optimisers import optimisers

from .recipe import LmRecipe
from .shards import coded_excerpts, held_out, write_shards


class LmTrainer:
    """Owns network, average, optimiser and step; a run's folder holds codes, state and log."""

    def __init__(self, recipe: LmRecipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.codec: Codec = load_codec(recipe.codec)
        config = recipe.config(self.codec.card)
        self.model = CodeTransformer(config, recipe.dropout)
        if isinstance(self.codec, NeuCodec):
            books = self.codec.network.quantiser.stages()
            self.model.start_from([book.entries for book in books])
        self.model.to(self.device)
        self.average = CodeTransformer(config).to(self.device)
        self.average.load_state_dict(self.model.state_dict())
        self.average.requires_grad_(False).eval()
        self.optimisers = self._optimisers()
        self.step = 0

    def _optimisers(self) -> list[torch.optim.Optimizer]:
        """Muon for the matrices inside, AdamW for embeddings, output layers and vectors."""
        return optimisers(
            self.model.named_parameters(),
            inner=lambda name, p: p.dim() == 2 and (name.startswith("layers") or "expand" in name),
            plain=lambda name, p: p.dim() < 2,
            rate=self.recipe.learning_rate,
            betas=(0.9, 0.98),
            decay=self.recipe.weight_decay,
        )

    # -- codes ------------------------------------------------------------------------------

    def make_codes(self) -> None:
        """Code the held-out files and the recipe's number of shards, unless they are there."""
        kept = self.folder / "held-out.npy"
        if not kept.exists():
            np.save(kept, held_out(self.codec, Path(self.recipe.held_out).expanduser()))
        roots = [Path(p).expanduser() for p in self.recipe.corpus]
        corpus = Corpus(roots, self.codec.card.sample_rate, self.folder / "cache")
        done = len(list((self.folder / "codes").glob("[0-9]*.npy")))
        rng = np.random.default_rng([self.recipe.seed, done])
        blocks = coded_excerpts(self.codec, corpus, rng)
        write_shards(self.folder / "codes", blocks, self.recipe.shards, self.recipe.shard)

    def batch(self, step: int) -> Tensor:
        """Codes [B, K, F] of a step, K of the codebooks being in use."""
        rng = np.random.default_rng([self.recipe.seed, step])
        shards = sorted((self.folder / "codes").glob("[0-9]*.npy"))
        if not shards:
            raise ValueError(f"{self.folder / 'codes'}: no codes yet")
        # From two shards each time: what lies together was drawn together, but evenly.
        parts = []
        for _ in range(2):
            shard = np.load(shards[rng.integers(len(shards))], mmap_mode="r")
            rows = rng.choice(len(shard), self.recipe.batch // 2, replace=False)
            parts.append(shard[np.sort(rows)])
        most = self.model.config.codebooks
        # Low bitrates have most to gain, and high ones see every codebook.
        books = int(rng.integers(1, most + 1) if rng.random() < 0.7 else rng.integers(1, 6))
        return torch.from_numpy(np.concatenate(parts)[:, : min(books, most)].astype(np.int64))

    # -- one step ---------------------------------------------------------------------------

    def train_step(self) -> float:
        """One update; returns the mean bits per code."""
        r = self.recipe
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = r.rate_at(self.step)
        codes = self.batch(self.step).to(self.device)
        with autocast("auto", self.device):
            logits = self.model.train()(codes)
        loss = F.cross_entropy(logits.flatten(0, 2).float(), codes.flatten())
        self.model.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), r.clip)
        for optimiser in self.optimisers:
            optimiser.step()
        keep = min(r.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
            for mine, theirs in pairs:
                mine.lerp_(theirs, 1 - keep)
        self.step += 1
        return loss.item() / math.log(2)

    @torch.no_grad()
    def validate(self, counts: tuple[int, ...] = (2, 5, 9, 14)) -> dict[str, float]:
        """Bits saved on the held-out codes, as a share of the raw ones, by number of codebooks."""
        codes = torch.from_numpy(np.load(self.folder / "held-out.npy").astype(np.int64))
        raw = math.ceil(math.log2(self.model.config.codebook_size))
        saved = {}
        for count in counts:
            if count > self.model.config.codebooks:
                continue
            total = 0.0
            for rows in range(0, len(codes), 32):
                part = codes[rows : rows + 32, :count].to(self.device)
                with autocast("auto", self.device):
                    logits = self.average(part)
                total += F.cross_entropy(
                    logits.flatten(0, 2).float(), part.flatten(), reduction="sum"
                ).item()
            bits = total / math.log(2) / codes[:, :count].numel()
            saved[f"saved_{count}"] = round(100 * (1 - bits / raw), 2)
        return saved

    # -- the run ----------------------------------------------------------------------------

    def run(self, minutes_between_saves: float = 4.0) -> None:
        """Train to the recipe's last step, logging JSON lines and checkpointing.

        A signal (SIGINT, SIGTERM, SIGHUP) saves and ends the run after the step at hand.
        """
        saved = began = time.monotonic()
        bits: list[float] = []
        every = self.recipe.validate
        with (
            signals_noted() as told,
            (self.folder / "log.jsonl").open("a", encoding="utf-8") as log,
        ):
            while self.step < self.recipe.steps and not told():
                bits.append(self.train_step())
                if self.step % every == 0 or self.step == self.recipe.steps:
                    seconds = (time.monotonic() - began) / len(bits)
                    row = {"step": self.step, "bits": round(float(np.mean(bits)), 4)}
                    print(
                        json.dumps(row | {"seconds": round(seconds, 3)} | self.validate()),
                        file=log,
                        flush=True,
                    )
                    bits, began = [], time.monotonic()
                if time.monotonic() - saved > 60 * minutes_between_saves:
                    self.save()
                    saved = time.monotonic()
        self.save()

    def save(self) -> None:
        """Write the resumable state and the averaged weights, each atomically."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [o.state_dict() for o in self.optimisers],
            "step": self.step,
            "random": torch.get_rng_state(),
            "recipe": self.recipe.plain(),
        }
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
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        torch.set_rng_state(state["random"].cpu())
        self.step = state["step"]

    def start_from(self, weights: Path) -> None:
        """Begin with the averaged weights of another run."""
        state = load_file(weights)
        self.model.load_state_dict(state)
        self.average.load_state_dict(state)
