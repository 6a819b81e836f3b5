"""Every recipe, on narrow networks: learns, resumes to the same weights, exports a codec."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from conftest import PATIENCE, MakeClip, Run

from neucodec.errors import NeucodecError
from neucodec.models.catalogue.card import find_card
from neucodec.training.codecs import system_of
from neucodec.training.recipe import Recipe
from neucodec.training.trainer import Trainer

RECIPES = Path(__file__).parent.parent / "recipes"
NARROW: dict[str, dict[str, Any]] = {
    "neu": {
        "encoder_width": 16, "encoder_blocks": 1, "decoder_width": 16, "decoder_blocks": 1,
        "latent": 16, "codebooks": 4, "codebook_size": 32,
    },
    "encodec": {"filters": 4, "latent": 16, "lstm_layers": 1, "codebooks": 4, "codebook_size": 32},
    "dac": {
        "encoder_width": 4, "decoder_width": 64, "latent": 16, "codebooks": 4, "codebook_size": 32,
    },
    "hificodec": {"width": 8, "codebook_size": 32},
    "spectokenizer": {"channels": [8, 8, 8, 8, 8], "codebook_size": 64},
}  # fmt: skip


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two kinds of a second of stereo each."""
    rng = np.random.default_rng(0)
    time = np.arange(44100) / 44100
    for kind in ("speech", "music"):
        folder = tmp_path / "corpus" / kind
        folder.mkdir(parents=True)
        tones = sum(np.sin(2 * np.pi * f * time) for f in rng.uniform(100, 3000, 5))
        soundfile.write(folder / "a.wav", 0.1 * np.stack([tones, tones / 2], axis=1), 44100)
    return tmp_path / "corpus"


def narrow(name: str, corpus: Path) -> Recipe:
    """A published recipe on a small corpus: 12 short steps of a narrow network."""
    recipe = Recipe.read(RECIPES / f"{name}.toml")
    recipe = replace(
        recipe, corpus=[str(corpus)], validation=[str(corpus)],
        model=recipe.model | NARROW[recipe.system], steps=12, batch=2, seconds=0.1, frames=12,
        continuous=4, warmup=1, decay=1, learning_rate=2e-3, augment=False, validate_every=12,
        validation_items=1, log_every=6, restarts=[5] if recipe.restarts else [],
    )  # fmt: skip
    if recipe.adversary:
        recipe.adversary = replace(
            recipe.adversary, width=4, widths=[4, 4], windows=[256], warmup=8, seconds=0.1
        )
    return recipe


def codec_recipes() -> list[str]:
    """Those of codecs: entropy models have recipes of their own."""
    return sorted(path.stem for path in RECIPES.glob("*.toml") if "system = " in path.read_text())


@torch.no_grad()
def distance(trainer: Trainer) -> float:
    """As the recipe weighs it: of the same four batches in the same windows each time, with every
    codebook."""
    system, weights = trainer.system.eval(), trainer.system.weights
    distances = []
    for number in range(500, 504):
        audio, counts = trainer.batch(number)
        coded = system(audio, torch.full_like(counts, system.most))
        for seed in range(4):
            windows = np.random.default_rng(seed)
            found = system.distances(coded.reference, coded.decoded, windows)
            distances.append(sum(weights.get(key, 0.0) * float(found[key]) for key in found))
    return float(np.mean(distances))


@pytest.mark.parametrize(
    "name",
    [
        name if name == "neu2-44khz" else pytest.param(name, marks=pytest.mark.slow)
        for name in codec_recipes()
    ],
)
def test_a_recipe_learns_resumes_and_exports_a_codec_that_codes(
    name: str, corpus: Path, tmp_path: Path, clip: MakeClip, run: Run
) -> None:
    recipe = narrow(name, corpus)
    if recipe.start:
        before = replace(recipe, start="", train_only="", adversary=None, shares={})
        Trainer(before, tmp_path / "before").save()
        recipe.start = str(tmp_path / "before" / "average.safetensors")
    torch.manual_seed(0)
    whole = Trainer(recipe, tmp_path / "run")
    before_learning = distance(whole)
    for audio, counts in whole.batches():
        if whole.step == recipe.steps:
            break
        whole.train_step(audio, counts)
        if whole.step == 6:
            whole.save()
    assert 0 < distance(whole) < before_learning

    resumed = Trainer(recipe, tmp_path / "run")
    resumed.resume()
    assert resumed.step == 6
    resumed.run()
    theirs = resumed.learner.network.state_dict()
    for key, mine in whole.learner.network.state_dict().items():
        assert torch.equal(mine, theirs[key]), key
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert rows[0]["step"] == 12 and rows[0]["speed"] > 0 and math.isfinite(rows[0]["mel"])
    assert rows[1]["valid/mel"] > 0

    done = run("export", tmp_path / "run", "narrow", "-o", tmp_path)
    assert done.code == 0, done.err
    song = clip(rate=recipe.sample_rate, seconds=1.2)
    for args in (
        ("encode", "-m", tmp_path / "narrow.toml", song, "-o", tmp_path / "a.ncf"),
        ("decode", "-m", tmp_path / "narrow.toml", tmp_path / "a.ncf", "-o", tmp_path / "a.wav"),
    ):
        done = run(*args)
        assert done.code == 0, done.err
    assert soundfile.info(tmp_path / "a.wav").frames == soundfile.info(song).frames


@pytest.mark.slow
def test_two_processes_learn_one_codec(corpus: Path, tmp_path: Path) -> None:
    """As torchrun starts them, over gloo."""
    recipe = narrow("encodec-24khz", corpus)
    text = "\n".join(
        [
            f"corpus = [{str(corpus)!r}]",
            'system = "encodec"',
            "sample_rate = 24000",
            "steps = 3",
            "log_every = 1",
            "batch = 1",
            "seconds = 0.2",
            "[model]",
            *(f"{key} = {value}" for key, value in recipe.model.items()),
            "[adversary]",
            'kinds = ["stft"]',
            "width = 2",
            "windows = [256]",
        ]
    )
    (tmp_path / "two.toml").write_text(text)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "neucodec", "train", str(tmp_path / "two.toml"), "-o", str(tmp_path / "run"),
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3]
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert all(bool(v.isfinite().all()) for v in state["model"].values())


def test_the_command_trains_and_goes_on(corpus: Path, tmp_path: Path, run: Run) -> None:
    model = "\n".join(f"{key} = {value}" for key, value in NARROW["neu"].items())
    path = tmp_path / "short.toml"
    path.write_text(
        f"corpus = [{str(corpus)!r}]\nsteps = 2\nbatch = 1\nframes = 12\n[model]\n{model}"
    )
    done = run("train", path, "-o", tmp_path / "run", "--threads", "1")
    assert done.code == 0 and "step 0 of 2" in done.err and "step 2, saved" in done.err
    assert done.out == b""
    done = run("train", path, "-o", tmp_path / "run", "--steps", "3")
    assert done.code == 0 and "step 2 of 3" in done.err
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["steps"] == 3


def test_the_command_takes_recipes_of_entropy_models(
    corpus: Path, tmp_path: Path, run: Run
) -> None:
    path = tmp_path / "entropy.toml"
    path.write_text(
        f"codec = 'neu2-44khz'\ncorpus = [{str(corpus)!r}]\nheld_out = {str(corpus)!r}\n"
        "shards = 1\nshard = 16\nsteps = 2\nbatch = 2\n"
        "[model]\nwidth = 32\nlayers = 1\nheads = 2\nhidden = 64\n"
        "code_rank = 8\nhead_hidden = 32\n"
    )
    done = run("train", path, "-o", tmp_path / "run")
    assert done.code == 0, done.err
    assert (tmp_path / "run" / "state.pt").is_file()
    path.write_text("codec = 'neu2-44khz'\nshads = 1\n")
    done = run("train", path, "-o", tmp_path / "run")
    assert done.code == 1 and "unknown shads" in done.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('system = "opus"', "system 'opus': there are neu, encodec"),
        ('batch = "8"', "batch is to be int, not '8'"),
        ("[weights]\nmell = 1.0", "weights 'mell': there are mel, complex"),
        ("[shares]\nmel = 1.0", "shares 'mel': there are adversarial, auditory, commitment"),
        ('train_only = "head"', "train_only 'head': there are spectrum, encoder"),
        ('train_only = "decoder"', "train_only needs the weights of the rest: give start"),
        ('[adversary]\nkinds = ["judge"]', "'judge': there are patches, period"),
        ("[model]\nwidth = 3", "[model] does not fit"),
        ("steps = ", "no TOML"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused_in_a_line(
    line: str, said: str, corpus: Path, tmp_path: Path, run: Run
) -> None:
    path = tmp_path / "r.toml"
    path.write_text(f"corpus = [{str(corpus)!r}]\n{line}\n")
    done = run("train", path, "-o", tmp_path / "run")
    assert done.code == 1 and said in done.err and done.err.count("\n") == 1


def test_a_run_of_another_recipe_is_not_gone_on_with(corpus: Path, tmp_path: Path) -> None:
    recipe = narrow("neu2-44khz", corpus)
    Trainer(recipe, tmp_path / "run").save()
    recipe.model = recipe.model | {"decoder_width": 24}
    with pytest.raises(NeucodecError, match="is of another recipe: .* give another folder"):
        Trainer(recipe, tmp_path / "run").resume()


def test_what_is_no_run_is_not_exported(tmp_path: Path, run: Run) -> None:
    done = run("export", tmp_path, "x")
    assert done.code == 1 and "holds no run: neither recipe.json nor state.pt" in done.err


@pytest.mark.parametrize("name", ["neu2-44khz", "encodec-24khz", "spectokenizer-16khz-mini"])
def test_a_recipe_makes_the_network_of_the_card_of_its_name(name: str) -> None:
    card = system_of(Recipe.read(RECIPES / f"{name}.toml")).card("x", "x")
    published = find_card(name)
    for key in ("family", "sample_rate", "channels", "hop", "codebooks", "codebook_size",
                "chunk_strategy", "chunk_frames", "chunk_stride", "chunk_context", "chunk_warmup",
                "level", "parameters"):  # fmt: skip
        assert getattr(card, key) == getattr(published, key), key
