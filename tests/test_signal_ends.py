"""The first and last moments of a signal are as loud as they were."""

import io

import numpy as np
import pytest
import torch

import neucodec
from neucodec.audio.samples import Audio
from neucodec.models.codec import CodeChunk
from neucodec.models.signal_ends import reflected


def coded(audio: Audio, model: neucodec.Model) -> Audio:
    data = neucodec.encode(audio, model.sample_rate, model=model, entropy="none")
    return neucodec.decode(data, model=model)[0]


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("neu2-44khz", 1),
        ("neu2-44khz", 2),
        ("neu-44khz", 1),
        ("neu-16khz", 1),
        ("specmini-16khz", 1),
    ],
)
def test_tones_do_not_overshoot_at_their_ends(name: str, channels: int) -> None:
    model = neucodec.load_model(name)
    time = np.arange(model.sample_rate // 2) / model.sample_rate
    for hertz in (60, 440):
        tone = 0.2 * np.cos(2 * np.pi * hertz * time)
        decoded = np.abs(coded(np.stack([tone] * channels, axis=1), model))
        end = model.sample_rate // 100
        most = 1.3 * decoded[end:-end].max()
        assert decoded[:end].max() < most
        assert decoded[-end:].max() < most
        assert most < 0.5


@pytest.mark.parametrize("name", ["neu2-44khz", "neu-16khz"])
def test_noise_begins_and_ends_at_its_level(name: str) -> None:
    model = neucodec.load_model(name)
    end = model.sample_rate // 100
    rng = np.random.default_rng(0)
    powers = np.zeros(3)
    for _ in range(4):
        power = coded(0.1 * rng.standard_normal(model.sample_rate // 3), model) ** 2
        powers += power[:end].mean(), power[end:-end].mean(), power[-end:].mean()
    first, middle, last = 10 * np.log10(powers)
    assert abs(first - middle) < 3
    assert abs(last - middle) < 3


def test_codes_are_turned_about_the_outermost_frame() -> None:
    codes = torch.arange(6)[None, None]
    both, before = reflected(codes, first=True, last=True)
    assert both.flatten().tolist() == [3, 2, 1, 0, 1, 2, 3, 4, 5, 4, 3, 2]
    assert before == 3
    one, before = reflected(codes[..., :1], first=True, last=True)
    assert (one.flatten().tolist(), before) == ([0], 0)
    assert reflected(codes, first=False, last=False)[0].flatten().tolist() == list(range(6))


@pytest.mark.parametrize("name", ["neu2-44khz", "neu-16khz"])
def test_only_the_ends_are_changed_by_what_is_turned(name: str) -> None:
    codec = neucodec.load_model(name).codec
    frames = 30
    codes = torch.from_numpy(np.random.default_rng(0).integers(0, 1024, (1, 4, frames)))
    plain, first, last = (
        codec.decode(CodeChunk(codes=codes, frames=frames, first=a, last=b))[0][0, 0]
        for a, b in ((False, False), (True, False), (False, True))
    )
    assert plain.shape == first.shape == last.shape
    middle = len(plain) // 2
    # As far as the decoder sees, seven frames in each of seven layers; from there on the same.
    reach = 22 * codec.card.hop
    assert torch.allclose(plain[reach:], first[reach:], atol=1e-4)
    assert torch.allclose(plain[:-reach], last[:-reach], atol=1e-4)
    assert not torch.allclose(plain[:middle], first[:middle], atol=1e-3)


def test_a_range_from_the_start_is_what_the_whole_has_there() -> None:
    noise = 0.1 * np.random.default_rng(1).standard_normal(40_000)
    data = neucodec.encode(noise, 16000, model="neu-16khz")
    whole, _ = neucodec.decode(data)
    with neucodec.open(io.BytesIO(data)) as file:
        assert np.array_equal(file.read(3000), whole[:3000])
