"""Train an entropy model: code a corpus, then learn to predict its codes."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from neucodec.errors import NeucodecError
from neucodec.models.codec import Codec
from neucodec.models.families.neu.codec import NeuCodec
from neucodec.models.lm.transformer import CodeTransformer
from neucodec.models.load import load_codec
from neucodec.models.parts.precision import autocast
from neucodec.terminal.signals import signals_noted
from neucodec.training.checkpoint import load_state, save_checkpoint
from neucodec.training.corpus import Corpus
from neucodec.training.optimisers import optimisers
from neucodec.training.run_log import LOG

from .recipe import EntropyRecipe
from .shards import SHARDS, coded_excerpts, held_out, write_shards

HELD_OUT = "held-out.npy"
"""The file in a run's folder with the codes by which the weights are judged."""
CODES = "codes"
"""The folder in a run's folder with the shards of codes to learn from."""


class EntropyTrainer:
    """Owns network, average, optimisers and step; a run's folder holds codes, state and log."""

    def __init__(self, recipe: EntropyRecipe, folder: Path) -> None:
        """Load the codec, and build the network for its codes in a run's folder.

        The network starts from the recipe's weights, if it names some; else, of an embedded codec,
        its embeddings start from the codebooks. Raises NeucodecError where those do not fit.
        """
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
        if recipe.start:
            self._start_from(Path(recipe.start).expanduser())

    def _optimisers(self) -> list[torch.optim.Optimizer]:
        """Return Muon for the matrices inside, AdamW for embeddings, output layers and vectors."""
        return optimisers(
            self.model.named_parameters(),
            inner=lambda name, p: p.dim() == 2 and (name.startswith("layers") or "expand" in name),
            plain=lambda name, p: p.dim() < 2,
            rate=self.recipe.learning_rate,
            betas=(0.9, 0.98),
            decay=self.recipe.weight_decay,
        )

    def make_codes(self) -> None:
        """Code the held-out files and the recipe's number of shards, unless they are there."""
        kept = self.folder / HELD_OUT
        if not kept.exists():
            np.save(kept, held_out(self.codec, Path(self.recipe.held_out).expanduser()))
        roots = [Path(p).expanduser() for p in self.recipe.corpus]
        corpus = Corpus(roots, self.codec.card.sample_rate, self.folder / "cache")
        done = len(list((self.folder / CODES).glob(SHARDS)))
        rng = np.random.default_rng([self.recipe.seed, done])
        blocks = coded_excerpts(self.codec, corpus, rng)
        write_shards(self.folder / CODES, blocks, self.recipe.shards, self.recipe.shard)

    def batch(self, step: int) -> Tensor:
        """Return the codes [B, K, F] of a step, K drawn, since files may use any number of them."""
        rng = np.random.default_rng([self.recipe.seed, step])
        shards = sorted((self.folder / CODES).glob(SHARDS))
        if not shards:
            raise ValueError(f"{self.folder / CODES}: no codes yet")
        # Half from each of two shards, so that a step sees chunks that were not coded together.
        parts = []
        for _ in range(2):
            shard = np.load(shards[rng.integers(len(shards))], mmap_mode="r")
            rows = rng.choice(len(shard), self.recipe.batch // 2, replace=False)
            parts.append(shard[np.sort(rows)])
        most = self.model.config.codebooks
        # Low bitrates gain most, so a part of the steps uses no more than five codebooks.
        books = int(rng.integers(1, most + 1) if rng.random() < 0.7 else rng.integers(1, 6))
        return torch.from_numpy(np.concatenate(parts)[:, : min(books, most)].astype(np.int64))

    def train_step(self) -> float:
        """Make one update, and return the mean bits per code."""
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
        """Return how many per cent of the held-out codes' bits are saved, as ``saved_2`` and so on.

        ``counts`` are the numbers of codebooks; those that the codec does not have are left out.
        """
        codes = torch.from_numpy(np.load(self.folder / HELD_OUT).astype(np.int64))
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

    def run(self, minutes_between_saves: float = 4.0) -> None:
        """Train to the recipe's last step, logging JSON lines and checkpointing.

        A signal (SIGINT, SIGTERM, SIGHUP) saves and ends the run after the step at hand.
        """
        saved = began = time.monotonic()
        bits: list[float] = []
        every = self.recipe.validate
        with (
            signals_noted() as told,
            (self.folder / LOG).open("a", encoding="utf-8") as log,
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
        """Write the state to resume from and the averaged weights."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [o.state_dict() for o in self.optimisers],
            "step": self.step,
            "random": torch.get_rng_state(),
            "recipe": self.recipe.plain(),
        }
        save_checkpoint(self.folder, state, self.average.state_dict())

    def resume(self) -> None:
        """Go on from the folder's saved state."""
        state = load_state(self.folder, self.device)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        torch.set_rng_state(state["random"].cpu())
        self.step = state["step"]

    def _start_from(self, path: Path) -> None:
        """Load the averaged weights of another run; NeucodecError where they do not fit."""
        try:
            state = load_file(path)
            self.model.load_state_dict(state)
            self.average.load_state_dict(state)
        except (SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise NeucodecError(
                f"start {path}: does not fit the codes of {self.recipe.codec}: {reason}"
            ) from None
