"""Training SpecTokenizer: where it starts, and its distance between spectra."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from networks import signal
from torch import Tensor

from neucodec.training.codecs.spectokenizer import SpecTokenizerSystem
from neucodec.training.recipe import Recipe

HOP = 320


def system(**model: Any) -> SpecTokenizerSystem:
    torch.manual_seed(0)
    data = {"system": "spectokenizer", "corpus": ["x"], "sample_rate": 16000, "model": model}
    return SpecTokenizerSystem(Recipe.of(data))


def speech_like(samples: int, seed: int) -> Tensor:
    """Harmonics of a voice's pitch that moves, softer to the top, and breath [samples]."""
    draw = np.random.default_rng(seed)
    time = np.arange(samples) / 16000
    pitch = draw.uniform(90, 250) * (1 + 0.1 * np.sin(2 * np.pi * 2 * time + draw.uniform(0, 6)))
    turns = np.cumsum(pitch) / 16000
    voice = sum(np.sin(2 * np.pi * k * turns) / k for k in range(1, 30))
    return torch.from_numpy(voice + 0.1 * draw.standard_normal(samples)).float()


def compressed(reference: Tensor, decoded: Tensor) -> Tensor:
    return system().distances(reference, decoded, np.random.default_rng(0))["compressed"]


@pytest.mark.parametrize(("model", "least_db"), [({"narrow": 0, "skip": True}, 12), ({}, None)])
def test_a_network_that_skips_its_recurrences_starts_by_reproducing_its_input(
    model: dict[str, Any], least_db: float | None
) -> None:
    network = system(**model).network.eval()
    audio = signal(51 * HOP, 16000)
    with torch.no_grad():
        back = network.synthesise(network.analyse(audio))
    inner = slice(HOP, -HOP)
    error = (back - audio)[..., inner].square().sum()
    ratio = 10 * (audio[..., inner].square().sum() / error).log10()
    if least_db is None:
        assert ratio < 1, "the published network starts with nothing"
    else:
        assert ratio > least_db


def test_with_a_bottleneck_it_starts_with_what_principal_components_keep() -> None:
    """Levels come through to some decibels, and the waveform below the noise."""
    made = system(narrow=0, skip=True, phase_bins=96, bottleneck=64)
    sounds = [speech_like(made.length, seed) for seed in range(9)]
    made.begin(lambda number: torch.stack(sounds[2 * number + 1 :][:2])[:, None])
    network = made.network.eval()
    with torch.no_grad():
        made.quantising = False
        out = made(sounds[0][None, None], torch.ones(1, dtype=torch.int64))
    window = torch.hann_window(640)
    wanted, got = (
        torch.stft(x[0], 640, window=window, return_complex=True)
        for x in (out.reference, out.decoded)
    )
    assert network.encoder.project.weight.shape == (64, 960)
    low = slice(0, 60)
    likeness = (wanted[:, low].conj() * got[:, low]).real.sum()
    assert likeness / (wanted[:, low].norm() * got[:, low].norm()) > 0.9
    for band in (slice(0, 60), slice(100, 160), slice(160, 240)):
        level = 20 * (got[:, band].norm() / wanted[:, band].norm()).log10()
        assert abs(level) < 5, band


def test_equal_spectra_are_no_distance_apart_and_silence_is_one() -> None:
    audio = signal(40 * HOP, 16000)
    assert compressed(audio, audio) == 0
    assert float(compressed(audio, torch.zeros_like(audio))) == pytest.approx(1, abs=1e-3)


def test_half_of_the_distance_is_of_sizes_alone() -> None:
    audio = signal(40 * HOP, 16000)
    # The other sign: every phase is wrong by half a turn, no size is.
    assert float(compressed(audio, -audio)) == pytest.approx(4 / 2, abs=1e-3)


def test_the_distance_has_a_gradient_at_silence() -> None:
    audio = signal(40 * HOP, 16000)
    silence = torch.zeros_like(audio).requires_grad_()
    compressed(audio, silence).backward()
    assert silence.grad is not None
    assert bool(silence.grad.isfinite().all())
    assert float(silence.grad.abs().max()) > 0
