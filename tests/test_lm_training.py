"""Training of the entropy model: codes from audio, what may see what, and a short run."""

import hashlib
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import processes
import pytest
import soundfile
import torch
from safetensors.torch import load_file

import neucodec
from neucodec.models.lm.config import LmConfig
from neucodec.models.lm.integer import IntegerTransformer
from neucodec.models.lm.transformer import CodeTransformer
from neucodec.training.entropy_model.recipe import EntropyRecipe
from neucodec.training.entropy_model.shards import coded_file
from neucodec.training.entropy_model.trainer import EntropyTrainer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TINY = {"width": 32, "layers": 1, "heads": 2, "hidden": 64, "code_rank": 8, "head_hidden": 32}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> EntropyRecipe:
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    time = np.arange(5 * 44100) / 44100
    for name in ("train/music", "valid/music"):
        (folder / name).mkdir(parents=True)
        tones = sum(np.sin(2 * np.pi * f * time) for f in rng.uniform(100, 3000, 5))
        soundfile.write(folder / name / "a.wav", 0.1 * tones, 44100)
    return EntropyRecipe(
        codec="neu2-44khz", corpus=[str(folder / "train")], held_out=str(folder / "valid"),
        model=TINY, shards=2, shard=32, steps=20, warmup=2, batch=8, validate=10,
        learning_rate=1e-2,
    )  # fmt: skip


def test_codes_of_a_file_are_those_that_encoding_it_gives(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / "noise.wav"
    soundfile.write(path, 0.1 * rng.standard_normal(4 * 44100), 44100)
    codec = neucodec.load_model("neu2-44khz", "cpu").codec
    codes = coded_file(codec, path)
    assert codes.shape == (4, 16, 86)  # the fifth chunk is a short one
    # What the levels of adjacent chunks do not touch is the same chunk by chunk.
    longer = tmp_path / "longer.wav"
    audio, _ = soundfile.read(path)
    soundfile.write(longer, np.concatenate([audio, audio]), 44100)
    np.testing.assert_array_equal(coded_file(codec, longer)[:3], codes[:3])


def test_a_code_is_foreseen_from_those_before_it_alone() -> None:
    torch.manual_seed(0)
    model = CodeTransformer(LmConfig(codebooks=3, codebook_size=16, frames=10, **TINY)).eval()
    codes = torch.randint(0, 16, (1, 3, 10))
    changed = codes.clone()
    changed[0, 1, 4] = (changed[0, 1, 4] + 1) % 16
    with torch.inference_mode():
        differs = (model(codes) != model(changed)).any(-1)[0]
    expected = torch.zeros(3, 10, dtype=torch.bool)
    expected[:, 5:] = True  # every frame after it
    expected[2, 4] = True  # and the codebook after it in its own frame
    torch.testing.assert_close(differs, expected)


def test_a_run_learns_and_resumes_to_the_same_weights(
    recipe: EntropyRecipe, tmp_path: Path
) -> None:
    whole = EntropyTrainer(recipe, tmp_path / "run")
    whole.make_codes()
    before = whole.validate((2, 9))
    bits = []
    while whole.step < recipe.steps:
        bits.append(whole.train_step())
        if whole.step == 10:
            whole.save()
    assert np.mean(bits[-4:]) < np.mean(bits[:4]) - 0.2
    after = whole.validate((2, 9))
    assert after["saved_2"] > before["saved_2"]

    resumed = EntropyTrainer(recipe, tmp_path / "run")
    resumed.resume()
    assert resumed.step == 10
    resumed.run()
    for (name, a), b in zip(
        whole.model.state_dict().items(), resumed.model.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(a, b, msg=name)
    assert (tmp_path / "run" / "average.safetensors").exists()


def test_a_run_becomes_integers_and_a_table_for_the_codecs_card(
    recipe: EntropyRecipe, tmp_path: Path
) -> None:
    trainer = EntropyTrainer(recipe, tmp_path / "run")
    trainer.save()
    result = processes.run(["export", tmp_path / "run", "mine", "-o", tmp_path])
    assert result.returncode == 0, result.stderr
    table = tomllib.loads(result.stdout.decode())["entropy"]
    data = (tmp_path / "mine.safetensors").read_bytes()
    assert table["sha256"] == hashlib.sha256(data).hexdigest()
    model = IntegerTransformer.load(tmp_path / "mine.safetensors", table["name"])
    assert (model.codebooks, model.codebook_size, model.frames) == (16, 1024, 86)


def test_codes_alone_are_made_first_and_a_run_starts_from_anothers_weights(
    recipe: EntropyRecipe, tmp_path: Path
) -> None:
    text = "\n".join(f"{name} = {json.dumps(value)}" for name, value in asdict(recipe).items()
                     if name != "model")  # fmt: skip
    model = "\n".join(f"{name} = {value}" for name, value in TINY.items())
    path, run = tmp_path / "r.toml", tmp_path / "run"
    path.write_text(f"{text}\n[model]\n{model}\n")
    torch.manual_seed(3)
    trainer = EntropyTrainer(replace(recipe, seed=9), tmp_path / "first")
    trainer.save()
    coded = processes.run(["train", path, "-o", run, "--codes"])
    assert coded.returncode == 0, coded.stderr
    assert sorted(entry.name for entry in (run / "codes").iterdir()) == ["0000.npy", "0001.npy"]
    assert not (run / "state.pt").exists()
    start = tmp_path / "first" / "average.safetensors"
    started = processes.run(["train", path, "-o", run, "--steps", "1", "--start", start])
    assert started.returncode == 0, started.stderr
    # The averages keep a tenth of what they were in the first step, which is a small one.
    before, after = load_file(start), load_file(run / "average.safetensors")
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, atol=0.05, rtol=0, msg=name)
    (tmp_path / "bad.toml").write_text('corpus = ["x"]\n')
    refused = processes.run(["train", tmp_path / "bad.toml", "--codes"])
    assert refused.returncode == 2 and b"--codes is for entropy models" in refused.stderr
