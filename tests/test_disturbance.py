"""PESQ's disturbance as a loss: what it hears, and that it goes with PESQ."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import Tensor

from neucodec.training.losses.disturbance import Disturbance, bark, hertz, threshold

RATE = 16000


def voice(seconds: float = 3.0) -> Tensor:
    """Something like a voice [1, T] at unit level: harmonics that come and go, and hisses."""
    rng = np.random.default_rng(0)
    time = np.arange(int(seconds * RATE)) / RATE
    pitch = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * time)) / RATE
    tones = sum(np.sin(k * pitch) / k for k in range(1, 30))
    spoken = np.sin(2 * np.pi * 2.0 * time) > -0.3
    hiss = np.diff(rng.standard_normal(len(time) + 1)) * (np.sin(2 * np.pi * 2.0 * time) < -0.8)
    audio = torch.from_numpy(tones * spoken + 0.3 * hiss).float()
    return (audio / audio.square().mean().sqrt())[None]


def noisy(audio: Tensor, snr_db: float) -> Tensor:
    noise = torch.randn(audio.shape, generator=torch.Generator().manual_seed(0))
    return audio + noise * 10 ** (-snr_db / 20)


def tone(frequency: float, level_db: float) -> Tensor:
    """A second of a sine [1, T] of that level in dB SPL, unit level being 79."""
    time = torch.arange(RATE) / RATE
    return (2**0.5 * torch.sin(2 * torch.pi * frequency * time) * 10 ** ((level_db - 79) / 20))[
        None
    ]


def test_critical_bands_are_known_at_a_kilohertz_and_turn_back_into_frequencies() -> None:
    assert float(bark(np.array(1000.0))) == pytest.approx(8.53, abs=0.01)
    frequencies = np.array([50.0, 440.0, 3000.0, 8000.0])
    np.testing.assert_allclose(hertz(bark(frequencies)), frequencies)


def test_the_ear_is_keenest_between_three_and_four_kilohertz() -> None:
    frequencies = np.array([100.0, 1000.0, 3500.0, 8000.0])
    levels = threshold(frequencies)
    assert levels.argmin() == 2
    assert levels[0] > 20


def test_powers_in_bands_are_sound_pressure_levels() -> None:
    for frequency in (300.0, 1000.0, 5000.0):
        powers = Disturbance(RATE).powers(tone(frequency, 60))[0, 5]
        assert 10 * float(powers.sum().log10()) == pytest.approx(60, abs=0.3)


def test_forty_decibels_at_a_kilohertz_are_about_a_sone() -> None:
    measure = Disturbance(RATE)
    sones = measure.loudness(measure.powers(tone(1000, 40))).sum(-1).mean() * measure.width
    assert 0.5 < float(sones) < 2
    silent = measure.loudness(measure.powers(tone(1000, -30)))
    assert float(silent.max()) == 0, "below the threshold nothing is heard"


def test_equal_signals_do_not_disturb_and_more_noise_disturbs_more() -> None:
    audio, measure = voice(), Disturbance(RATE)
    found = [float(measure(audio, noisy(audio, snr))) for snr in (200, 40, 30, 20, 10, 0)]
    assert found[0] < 0.01
    assert found == sorted(found)


def test_what_is_added_disturbs_more_than_what_is_missing() -> None:
    audio, measure = voice(), Disturbance(RATE)
    more = audio + tone(3000, 60).repeat(1, 3)
    assert float(measure(audio, more)) > 1.5 * float(measure(more, audio))


def test_gradients_are_finite_for_silence_and_for_equal_signals() -> None:
    audio, measure = voice(1.0), Disturbance(RATE)
    for start in (torch.zeros_like(audio), audio.clone()):
        decoded = start.requires_grad_()
        measure(audio, decoded).backward()
        assert decoded.grad is not None
        assert bool(decoded.grad.isfinite().all())


@pytest.mark.skipif(find_spec("pesq") is None, reason="compares with the package pesq")
def test_it_goes_with_the_raw_score_of_pesq_and_is_no_larger() -> None:
    from pesq import pesq

    audio, measure = voice(), Disturbance(RATE)
    ours, theirs = [], []
    for snr in (5, 10, 15, 20, 25, 30):
        decoded = noisy(audio, snr)
        ours.append(4.5 - float(measure(audio, decoded)))
        score = pesq(RATE, audio[0].numpy(), decoded[0].numpy(), "wb")
        # P.862.2 maps raw scores to opinions; this is its inverse.
        theirs.append((3.8224 - np.log(4.0 / (score - 0.999) - 1)) / 1.3669)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.9
    assert all(0 < a - b < 3 for a, b in zip(ours, theirs, strict=True))
