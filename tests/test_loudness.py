"""Loudness: BS.1770's own reference points, gating, and what becomes of a gain in an .ncf."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from conftest import MakeClip, Run

import neucodec
from neucodec.api import ArraySource
from neucodec.audio.loudness import LoudnessMeter, gain_to, k_weighting
from neucodec.audio.samples import Audio
from neucodec.coding.decoder import Decoder
from neucodec.coding.encoder import encode as encode_source
from neucodec.coding.options import EncodeOptions
from neucodec.formats import NcfReader


def tone(seconds: float, rate: int, level_db: float = 0.0, channels: int = 1) -> Audio:
    time = np.arange(round(seconds * rate)) / rate
    wave = 10 ** (level_db / 20) * np.sin(2 * np.pi * 997 * time)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def loudness(audio: Audio, rate: int, block: int = 4096) -> float:
    meter = LoudnessMeter(rate, audio.shape[1])
    for start in range(0, len(audio), block):
        meter.push(audio[start : start + block])
    return meter.lufs


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000, 192000])
def test_a_full_scale_tone_of_997_hz_is_at_minus_3_01_lufs(rate: int) -> None:
    assert loudness(tone(2, rate), rate) == pytest.approx(-3.01, abs=0.05)


def test_channels_add_up_and_the_low_frequency_channel_does_not_count() -> None:
    rate = 48000
    one = loudness(tone(1, rate), rate)
    assert loudness(tone(1, rate, channels=2), rate) == pytest.approx(one + 3.01, abs=0.01)
    only = np.zeros((rate, 6), np.float32)
    only[:, 3] = tone(1, rate)[:, 0]
    assert loudness(only, rate) == -math.inf
    only[:, 4] = only[:, 3]
    assert loudness(only, rate) == pytest.approx(one + 10 * math.log10(1.41), abs=0.01)


def test_the_filter_at_48_khz_is_the_recommendations() -> None:
    shelf = (
        [1.53512485958697, -2.69169618940638, 1.19839281085285],
        [-1.69065929318241, 0.73248077421585],
    )
    high_pass = ([1.0, -2.0, 1.0], [-1.99004745483398, 0.99007225036621])
    response = np.zeros(len(k_weighting(48000)))
    response[0] = 1
    for b, a in (shelf, high_pass):
        out = np.zeros_like(response)
        for n in range(len(out)):
            out[n] = sum(b[k] * response[n - k] for k in range(3) if n >= k)
            out[n] -= sum(a[k - 1] * out[n - k] for k in (1, 2) if n >= k)
        response = out
    np.testing.assert_allclose(k_weighting(48000), response, atol=1e-8)


def test_silence_and_quiet_passages_do_not_count() -> None:
    rate = 48000
    loud = tone(4, rate, -20)
    with_pauses = np.concatenate([loud, np.zeros((6 * rate, 1), np.float32), tone(6, rate, -50)])
    assert loudness(with_pauses, rate) == pytest.approx(loudness(loud, rate), abs=0.2)
    assert loudness(np.zeros((rate, 1), np.float32), rate) == -math.inf


@pytest.mark.parametrize("seconds", [0.01, 0.25, 0.4, 1.0])
def test_blocks_do_not_matter_and_any_length_has_a_loudness(seconds: float) -> None:
    audio = tone(seconds, 44100, -10)
    assert loudness(audio, 44100, 100) == pytest.approx(loudness(audio, 44100, 10**6), abs=1e-9)
    assert -20 < loudness(audio, 44100) < -5


def test_the_gain_reaches_the_target_unless_peaks_would_clip() -> None:
    assert gain_to(ArraySource(tone(2, 44100, -30), 44100)) == pytest.approx(17.0, abs=0.05)
    spike = tone(2, 44100, -40)
    spike[100] = 0.5
    assert gain_to(ArraySource(spike, 44100)) == pytest.approx(6.02, abs=0.01)
    assert gain_to(ArraySource(np.zeros((1000, 1)), 44100)) is None


def test_a_gain_is_stored_and_undone() -> None:
    audio = tone(1.5, 44100, -30)
    target = io.BytesIO()
    options = EncodeOptions(gain_db=17.0, entropy="none")
    encode_source(ArraySource(audio, 44100), target, neucodec.load_model().codec, options)
    reader = NcfReader(io.BytesIO(target.getvalue()))
    assert reader.header.gain_db == 17.0
    decoded = np.concatenate(list(Decoder(reader, neucodec.load_model().codec).blocks()))
    plain, _ = neucodec.decode(neucodec.encode(audio, 44100, entropy="none"))
    assert np.std(decoded) == pytest.approx(np.std(plain), rel=0.05)


def test_the_python_interface_offers_it() -> None:
    data = neucodec.encode(tone(1, 44100, -30), 44100, normalize_loudness=True)
    assert NcfReader(io.BytesIO(data)).header.gain_db == pytest.approx(17.0, abs=0.05)


def test_the_command_line_reads_a_file_twice_and_refuses_a_pipe(run: Run, clip: MakeClip) -> None:
    path = clip(seconds=1, level=0.01)
    assert run("encode", "--normalize-loudness", path).code == 0
    with path.with_suffix(".ncf").open("rb") as file:
        gain = NcfReader(file).header.gain_db
    assert gain is not None and 10 < gain < 40
    piped = run("encode", "--normalize-loudness", "-", stdin=path.read_bytes())
    assert piped.code == 1 and "reads its input twice; give a file" in piped.err
