"""What the measures of quality are: their formulas, and how they behave."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
from networks import peer

from neucodec.errors import NeucodecError
from neucodec.evaluation.metrics import METRICS, choose_metrics, measure, si_sdr
from neucodec.evaluation.spectral import (
    MEL_BANDS,
    STFT_WINDOWS,
    Signal,
    mel_distance,
    mel_filters,
    stft_distance,
)

RATE = 44100


def noise(seconds: float = 0.25, level: float = 0.1, seed: int = 0, rate: int = RATE) -> Signal:
    generator = np.random.default_rng(seed)
    return (level * generator.standard_normal(round(seconds * rate))).astype(np.float32)


def literal_spectrum(signal: Signal, window: int) -> Any:
    """Magnitudes [frames, bins], every value by the definition of the discrete transform."""
    half = window // 2
    padded = [signal[abs(i) if i < len(signal) else 2 * (len(signal) - 1) - i]
              for i in range(-half, len(signal) + half)]  # fmt: skip
    shape = [math.sin(math.pi * n / window) ** 2 for n in range(window)]
    turns = np.exp(-2j * np.pi * np.outer(np.arange(window), np.arange(half + 1)) / window)
    starts = range(0, len(signal) + 1, window // 4)
    frames = [[padded[s + n] * shape[n] for n in range(window)] for s in starts]
    return abs(np.array(frames) @ turns)


def literal_mel(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * math.log(hertz / 1000, 6.4)


def test_mel_filters_are_triangles_of_equal_area() -> None:
    filters = mel_filters(RATE, 4096, 40)
    hertz = np.linspace(0, RATE / 2, 2049)
    mels = np.array([literal_mel(h) for h in hertz])
    tops = literal_mel(RATE / 2) * np.arange(1, 41) / 41
    for band, top in enumerate(tops):
        peak = filters[:, band].argmax()
        assert abs(mels[peak] - top) < 2 * (mels[peak] - mels[peak - 1])
    areas = filters.sum(axis=0) * hertz[1]
    np.testing.assert_allclose(areas[5:], 1, atol=0.02)


def test_mel_distance_is_its_formula() -> None:
    a, b = noise(0.05), noise(0.05, seed=1)
    expected = 0.0
    for window, bands in MEL_BANDS.items():
        filters = mel_filters(RATE, window, bands)
        mels = (literal_spectrum(s, window) @ filters for s in (a, b))
        one, other = (np.log10(np.maximum(mel, 1e-5)) for mel in mels)
        expected += abs(one - other).mean()
    assert expected > 1
    assert mel_distance(a, b, RATE) == pytest.approx(expected, rel=1e-4)


def test_stft_distance_is_its_formula() -> None:
    a, b = noise(0.05), noise(0.05, seed=1)
    expected = 0.0
    for window in STFT_WINDOWS:
        one, other = (literal_spectrum(s, window) for s in (a, b))
        powers = [np.log10(np.maximum(m, 1e-5) ** 2) for m in (one, other)]
        expected += abs(powers[0] - powers[1]).mean() + abs(one - other).mean()
    assert stft_distance(a, b) == pytest.approx(expected, rel=1e-4)


def test_ten_times_louder_is_one_away_at_each_of_seven_windows() -> None:
    # Three of the narrowest bands hold no bin at all.
    expected = 7 - 3 / 320
    assert mel_distance(noise(), 10 * noise(), RATE) == pytest.approx(expected, abs=1e-3)


def test_si_sdr_is_the_ratio_of_signal_to_what_is_not_signal() -> None:
    time = np.arange(RATE) / RATE
    signal, other = np.sin(2 * np.pi * 440 * time), np.cos(2 * np.pi * 440 * time)
    decoded = signal + 0.1 * other
    for version in (decoded, -3 * decoded, decoded + 0.5):
        assert si_sdr(signal.astype("f"), version.astype("f")) == pytest.approx(20, abs=1e-3)
    assert si_sdr(signal.astype("f"), np.zeros(RATE, "f")) is None


def test_distances_agree_with_the_peer() -> None:
    """audiotools with the settings of DAC's own configuration."""
    pytest.importorskip("librosa", reason="audiotools makes its mel filters with it")
    torch, tools, losses = peer("torch"), peer("audiotools"), peer("dac.nn.loss")
    a, b = noise(1.0), noise(1.0) + noise(1.0, 0.02, seed=1) + np.float32(0.01)
    one, other = (tools.AudioSignal(torch.from_numpy(s)[None, None], RATE) for s in (a, b))
    mel = losses.MelSpectrogramLoss(
        n_mels=list(MEL_BANDS.values()), window_lengths=list(MEL_BANDS), mel_fmin=[0] * 7,
        mel_fmax=[None] * 7, pow=1.0, clamp_eps=1e-5, mag_weight=0.0,
    )  # fmt: skip
    assert mel_distance(a, b, RATE) == pytest.approx(float(mel(one, other)), rel=1e-5)
    stft = losses.MultiScaleSTFTLoss()
    assert stft_distance(a, b) == pytest.approx(float(stft(one, other)), rel=1e-5)
    assert si_sdr(a, b) == pytest.approx(-float(losses.SISDRLoss()(one, other)), abs=1e-4)


@pytest.mark.parametrize("name", list(METRICS))
def test_more_noise_is_worse_by_every_metric(name: str) -> None:
    metric = METRICS[name]
    for package in metric.packages:
        pytest.importorskip(package)
    # A buzz that comes and goes, which the measures for speech take for it.
    time = np.arange(48000) / 16000
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 40))
    swelling = 0.05 * buzz * (1 + np.sin(2 * np.pi * 3 * time))
    reference = (swelling + noise(3, 0.001, seed=1, rate=16000)).astype(np.float32)[:, None]
    scores = []
    for level in (0, 0.01, 0.1):
        decoded = reference + noise(3, level, rate=16000)[:, None]
        scores.append(measure(reference, decoded, 16000, [metric])[name])
    assert None not in scores
    assert scores == sorted(scores, reverse=metric.higher)  # type: ignore[type-var]
    assert len(set(scores)) == 3


def test_a_metric_that_is_not_defined_gives_none() -> None:
    audio = noise(1.0, rate=16000)[:, None]
    metrics = [m for m in METRICS.values() if not m.packages or m.name in ("pesq", "stoi")]
    for metric in metrics:
        for package in metric.packages:
            pytest.importorskip(package)
    found = measure(audio, np.zeros_like(audio), 16000, metrics)
    assert found["si-sdr"] is None
    assert found.get("pesq") is None
    assert found["mel"] is not None


def test_channels_are_measured_each_by_itself() -> None:
    left, right = noise(1.0), noise(1.0, seed=1)
    stereo = np.stack([left, right], axis=1)
    swapped = stereo[:, ::-1].copy()
    metrics = [METRICS["si-sdr"]]
    assert measure(stereo, swapped, RATE, metrics)["si-sdr"] == pytest.approx(
        (si_sdr(left, right) + si_sdr(right, left)) / 2  # type: ignore[operator]
    )


def test_metrics_come_in_their_order_and_those_for_speech_when_there_is_some() -> None:
    assert [m.name for m in choose_metrics(["si-sdr", "mel"])] == ["mel", "si-sdr"]
    assert [m.name for m in choose_metrics(["stoi", "mel"], speech=False)] == ["mel"]


def test_what_cannot_be_measured_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NeucodecError, match="'peaq'; there are visqol, mel"):
        choose_metrics(["peaq"])
    for package in ("visqol", "pesq", "pystoi", "ai_edge_litert"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(NeucodecError, match=r"visqol: .*\[evaluate\].* --metrics mel,stft,si-sdr"):
        choose_metrics(["visqol", "mel"])
