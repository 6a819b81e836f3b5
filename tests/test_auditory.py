"""The auditory distance, against ViSQOL's own parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neucodec.training.losses.auditory import AuditoryDistance, gammatone_filters

RATE = 44100


def sounds() -> tuple[torch.Tensor, torch.Tensor]:
    """Noise whose colour drifts, and the same with noise of its own [1, 2 s] each."""
    rng = np.random.default_rng(3)
    spectrum = np.fft.rfft(rng.normal(size=2 * RATE)) / np.sqrt(1 + np.arange(RATE + 1) / 500)
    audio = np.fft.irfft(spectrum)
    audio *= 1 + 0.8 * np.sin(2 * np.pi * 3 * np.arange(len(audio)) / RATE)
    audio /= audio.std()
    worse = audio + 0.3 * rng.normal(size=len(audio))
    return torch.from_numpy(audio[None]).float(), torch.from_numpy(worse[None]).float()


def test_filters_pass_what_visqols_pass() -> None:
    gammatone = pytest.importorskip("visqol.gammatone", reason="visqol-python is not installed")
    bank = gammatone.GammatoneFilterBank(32, 50.0)
    bank.reset_conditions()
    coefficients = gammatone.make_erb_filters(RATE, 32, 50.0, RATE / 2).filter_coeffs[:, ::-1]
    click = np.zeros(8192)
    click[0] = 1.0
    theirs = np.abs(np.fft.rfft(bank.apply_filter(click, coefficients))) ** 2
    ours = gammatone_filters(RATE, 8192).numpy().T
    inside = ours > 0.1  # down to -10 dB, in bands that are not cut off by half the sample rate
    decibels = 10 * np.log10(theirs[inside] / ours[inside])
    assert np.abs(decibels).mean() < 0.3


def test_similarity_is_that_of_visqols_measure() -> None:
    nsim = pytest.importorskip("visqol.nsim", reason="visqol-python is not installed")
    distance = AuditoryDistance(RATE)
    reference, decoded = sounds()
    ours = distance.similarity(reference, decoded)[0].mean(1)
    levels = [distance.levels(audio)[0].double().numpy() + 35 for audio in (reference, decoded)]
    theirs = nsim.measure_patch_similarity(*levels).freq_band_means
    assert ours.numpy() == pytest.approx(theirs, abs=0.03)
    assert 0.2 < float(ours.mean()) < 0.95


def test_only_the_same_sound_is_no_distance_away() -> None:
    distance = AuditoryDistance(RATE)
    reference, decoded = sounds()
    assert distance(reference, reference) == pytest.approx(0, abs=1e-5)
    assert 0.05 < distance(reference, decoded) < 1
    assert distance(reference, 0 * reference) > 0.3


def test_gradients_are_finite_in_silence() -> None:
    distance = AuditoryDistance(RATE)
    reference, decoded = sounds()
    reference[:, RATE:] = 0
    quiet = (0 * decoded).requires_grad_()
    decoded[:, : RATE // 2] = 0
    decoded.requires_grad_()
    torch.autograd.backward([distance(reference, decoded), distance(reference, quiet)])
    for audio in (decoded, quiet):
        assert audio.grad is not None and bool(audio.grad.isfinite().all())
