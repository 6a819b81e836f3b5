"""Training: the losses against their definitions, the quantiser, and a short run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from neucodec.errors import NeucodecError
from neucodec.models.parts.trained_rvq import ResidualQuantiser
from neucodec.training.corpus import Corpus
from neucodec.training.losses.spectral import SpectralLoss, mel_filters
from neucodec.training.recipe import AdversaryRecipe, Recipe
from neucodec.training.run_log import LOG, RunLog
from neucodec.training.trainer import Trainer

SHARES = {"spectral": 2.0, "adversarial": 0.5, "features": 1.0}
SMALL = {
    "encoder_width": 24, "encoder_blocks": 1, "decoder_width": 24, "decoder_blocks": 1,
    "latent": 24, "codebooks": 4, "codebook_size": 32,
}  # fmt: skip


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    rng = np.random.default_rng(0)
    for kind in ("speech", "music"):
        folder = tmp_path / "corpus" / kind
        folder.mkdir(parents=True)
        time = np.arange(4 * 44100) / 44100
        tone = sum(np.sin(2 * np.pi * f * time) for f in rng.uniform(100, 3000, 5))
        soundfile.write(folder / "a.wav", 0.1 * tone, 44100)
    return Recipe(
        corpus=[str(tmp_path / "corpus")], model=SMALL, steps=16, continuous=4, warmup=2,
        decay=8, batch=2, frames=20, learning_rate=3e-3,
    )  # fmt: skip


def test_mel_bands_are_triangles_of_unit_area() -> None:
    filters = mel_filters(44100, 2048, 80)
    spacing = 44100 / 2048
    wide = filters[40:]  # bands of many bins: sums approach integrals
    torch.testing.assert_close(wide.sum(1) * spacing, torch.ones(len(wide)), atol=0.02, rtol=0)


def test_mel_scale_is_slaneys() -> None:
    """Below 1 kHz bands are equally wide; above, each is a constant factor higher."""
    peaks = mel_filters(44100, 65536, 60).argmax(1) * 44100 / 65536
    low, high = peaks[peaks < 900], peaks[peaks > 1100]
    assert (low.diff() - low.diff().mean()).abs().max() < 2
    ratios = high[1:] / high[:-1]
    assert (ratios - ratios.mean()).abs().max() < 0.005


def test_equal_signals_are_no_distance_apart_and_louder_ones_are() -> None:
    loss = SpectralLoss(44100)
    audio = torch.randn(1, 8192)
    mel, phase = loss(audio, audio)
    assert mel == 0 and phase == 0
    mel, _ = loss(audio, 10 * audio)
    assert mel == pytest.approx(len(SpectralLoss.BANDS), rel=0.01)  # one decade at each scale


def test_only_the_complex_distance_sees_the_phase() -> None:
    loss = SpectralLoss(44100)
    audio = torch.randn(1, 8192)
    mel, phase = loss(audio, -audio)
    assert mel < 1e-5 and phase > 0.1


def test_what_is_not_coherent_counts_little_in_the_complex_distance() -> None:
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(44100) / 44100
    tone = torch.sin(2 * torch.pi * 440 * time)
    noise = torch.fft.rfft(torch.randn(2, 44100, generator=generator))
    noise[:, :2000] = 0  # bins are of 1 Hz
    one, other = torch.fft.irfft(noise) / 10
    reference, decoded = (tone + one)[None], (0.9 * tone + other)[None]

    def share_of_noise(least: float) -> float:
        audio = decoded.clone().requires_grad_()
        _, phase = SpectralLoss(44100, least)(reference, audio, {2048: 1.0})
        (gradient,) = torch.autograd.grad(phase, audio)
        power = torch.fft.rfft(gradient).abs().square()[0]
        return float(power[2000:].sum() / power.sum())

    assert share_of_noise(0.1) < 0.5 * share_of_noise(1.0)
    mel, phase = SpectralLoss(44100, 0.1)(reference, reference)
    assert mel == 0 and phase == 0


def test_phases_that_no_codec_has_count_nothing_in_the_complex_distance() -> None:
    time = torch.arange(44100) / 44100
    above, below = (torch.sin(2 * torch.pi * f * time)[None] for f in (8000, 300))
    reference = above + below

    def against_low(phases_to: float) -> float:
        """A turned 8 kHz, by what a turned 300 Hz costs."""
        loss = SpectralLoss(44100, phases_to=phases_to)
        high, low = (float(loss(reference, audio)[1]) for audio in (below - above, above - below))
        return high / low

    assert against_low(1.0) > 0.2
    assert against_low(0.1) < 0.05


def test_codebooks_started_by_k_means_code_most_of_the_power() -> None:
    torch.manual_seed(0)
    quantiser = ResidualQuantiser(latent=8, codebooks=3, size=64, dim=8)
    latents = torch.randn(4096, 8) * torch.tensor([4.0, 2, 1, 1, 0.5, 0.5, 0.2, 0.1])
    quantiser.start(latents)
    left = [
        (latents - quantiser.decode(quantiser.encode(latents[None], k))[0]).square().mean()
        for k in (1, 2, 3)
    ]
    power = latents.square().mean()
    assert left[0] < 0.35 * power and left[1] < 0.6 * left[0] and left[2] < 0.7 * left[1]


def test_entries_that_never_win_are_restarted() -> None:
    torch.manual_seed(0)
    quantiser = ResidualQuantiser(latent=4, codebooks=1, size=16, dim=4).train()
    book = quantiser.stages()[0]
    book.entries[8:] = 1e6
    book.sums.copy_(book.entries)
    for _ in range(600):
        quantiser(torch.randn(4, 50, 4), torch.ones(4, dtype=torch.long))
    assert book.entries.abs().max() < 1e3


def test_items_with_fewer_codebooks_get_only_their_part() -> None:
    quantiser = ResidualQuantiser(latent=8, codebooks=4, size=16, dim=4).eval()
    latent = torch.randn(3, 10, 8)
    quantised = quantiser(latent, torch.tensor([1, 4, 0]))
    torch.testing.assert_close(quantised.latent[2], latent[2])  # passed by
    for item, count in enumerate((1, 4)):
        expected = quantiser.decode(quantiser.encode(latent[item : item + 1], count))
        torch.testing.assert_close(quantised.latent[item : item + 1], expected)


def test_excerpts_are_seeded_and_sounding(recipe: Recipe) -> None:
    corpus = Corpus([Path(recipe.corpus[0])], 44100)
    one, same, other = (corpus.excerpt(8192, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other) and np.abs(one).max() > 0


def test_a_run_learns_and_resumes_to_the_same_weights(recipe: Recipe, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = Trainer(recipe, tmp_path / "whole")
    losses = []
    for audio, counts in whole.batches():
        if whole.step == recipe.steps:
            break
        losses.append(whole.train_step(audio, counts)["mel"])
        if whole.step == 10:
            whole.save()
    assert np.mean(losses[-4:]) < 0.9 * np.mean(losses[:4])

    resumed = Trainer(recipe, tmp_path / "whole")
    resumed.resume()
    assert resumed.step == 10
    resumed.run()
    for (name, a), b in zip(
        whole.learner.network.state_dict().items(),
        resumed.learner.network.state_dict().values(),
        strict=True,
    ):
        torch.testing.assert_close(a, b, msg=name)


def test_an_adversary_trains_the_decoder_and_leaves_the_codes(
    recipe: Recipe, tmp_path: Path
) -> None:
    Trainer(recipe, tmp_path / "first").save()
    start = tmp_path / "first" / "average.safetensors"
    recipe = replace(
        recipe, start=str(start), train_only="decoder", steps=12, shares=SHARES,
        adversary=AdversaryRecipe(windows=[512], widths=[8, 8], seconds=0.1, warmup=3),
    )  # fmt: skip
    whole = Trainer(recipe, tmp_path / "run")
    rows = []
    for audio, counts in whole.batches():
        if whole.step == recipe.steps:
            break
        rows.append(whole.train_step(audio, counts))
        if whole.step == 6:
            whole.save()
    assert "adversarial" not in rows[2] and "adversarial" in rows[3]
    before = load_file(start)
    for name, after in whole.learner.network.state_dict().items():
        assert torch.equal(before[name], after) == (not name.startswith("decoder")), name

    resumed = Trainer(recipe, tmp_path / "run")
    resumed.resume()
    resumed.run()
    for mine, theirs in ((whole, resumed), (whole.learner.adversary, resumed.learner.adversary)):
        one, other = weights_of(mine), weights_of(theirs)
        for name in one:
            torch.testing.assert_close(one[name], other[name], msg=name)


def weights_of(owner: Any) -> dict[str, torch.Tensor]:
    network = owner.learner.network if isinstance(owner, Trainer) else owner.networks
    tensors: dict[str, torch.Tensor] = network.state_dict()
    return tensors


def test_the_log_is_json_lines(recipe: Recipe, tmp_path: Path) -> None:
    recipe.steps = 50
    trainer = Trainer(recipe, tmp_path / "run")
    trainer.run()
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 50 and rows[-1]["speed"] > 0


def test_an_unknown_key_in_a_recipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('corpus = ["x"]\nlerning_rate = 1\n')
    with pytest.raises(NeucodecError, match="unknown lerning_rate"):
        Recipe.read(tmp_path / "r.toml")


def test_a_slow_machine_has_a_speed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 3600.0])
    monkeypatch.setattr("neucodec.training.run_log.time.monotonic", lambda: next(clock))
    with RunLog(tmp_path, every=1, seconds=0.2, quiet=True) as log:
        log.add(1, {"mel": 1.0})
    assert json.loads((tmp_path / LOG).read_text())["speed"] == pytest.approx(0.2 / 3600)
