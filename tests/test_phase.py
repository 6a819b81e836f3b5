"""Phases where none was coded."""

import pytest
import torch

from neucodec.models.families.neu.decoder import NeuDecoder
from neucodec.models.families.neu.network import Neu, NeuConfig
from neucodec.models.parts.phase import FADE, FRAMES, Phases, spread
from neucodec.models.parts.spectrum import Spectrum

BINS, GIVEN, HOP = 1025, 112, 512
NARROW = NeuConfig(
    encoder_width=16, encoder_blocks=1, decoder_width=16, decoder_blocks=1, latent=16,
    decoder_phase_bins=GIVEN,
)  # fmt: skip


def steady(frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Parts of a spectrum whose known bins point the same way in all frames."""
    angle = torch.linspace(0, 40, GIVEN).expand(1, frames, GIVEN)
    return 3 * angle.cos(), 3 * angle.sin()


def test_bins_with_a_phase_keep_it_at_unit_length() -> None:
    x, y = steady(5)
    real, imaginary = Phases(BINS, GIVEN)(x, y)
    keep = GIVEN - FADE
    torch.testing.assert_close(real[..., :keep], x[..., :keep] / 3)
    torch.testing.assert_close(imaginary[..., :keep], y[..., :keep] / 3)
    torch.testing.assert_close(real.square() + imaginary.square(), torch.ones(1, 5, BINS))


def test_a_spectrum_is_completed_by_noise_of_given_magnitudes() -> None:
    numbers = torch.randn(1, 5, 40, dtype=torch.complex64)
    magnitudes = torch.arange(1.0, 6)[None, :, None].expand(1, 5, 40)
    whole = Phases(40, 24, fade=8).complete(numbers, magnitudes)
    assert torch.equal(whole[..., :16], numbers[..., :16])
    torch.testing.assert_close(whole[..., 24:].abs(), magnitudes[..., 24:])
    # In between, each counts for less and less.
    silent = torch.zeros(1, 5, 40)
    faded = Phases(40, 24, fade=8).complete(numbers, silent)[..., 16:24].abs()
    expected = numbers[..., 16:24].abs() * torch.arange(8, 0, -1) / 9
    torch.testing.assert_close(faded, expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize("spacing", [2, 4])
def test_noise_has_no_partials(spacing: int) -> None:
    """What stands in every few bins alone is spread evenly, and none of its power lost."""
    magnitudes = torch.zeros(1, 1, 64)
    magnitudes[..., ::spacing] = 2.0
    power = spread(magnitudes).pow(4)[..., 4:-4]
    torch.testing.assert_close(power, torch.full_like(power, 16.0 / spacing))


def test_the_others_do_not_buzz_at_the_frame_rate() -> None:
    phases, spectrum = Phases(BINS, GIVEN), Spectrum(4 * HOP, HOP)
    sound = spectrum.synthesise(torch.complex(*phases(*steady(60))))[0]
    audio = sound[4 * HOP : 56 * HOP]
    bins = torch.fft.rfft(audio.view(-1, 4 * HOP) * spectrum.window)
    # From one window to the next, known bins go on as they are; noise goes anywhere.
    turn = (bins[1:] * bins[:-1].conj()).sum(0).abs() / bins.abs().square().sum(0)
    assert turn[: GIVEN - FADE].median() > 0.9
    assert turn[GIVEN:].median() < 0.3


def test_a_frame_of_noise_lies_around_its_middle() -> None:
    """Or a click would be heard before it comes."""
    noise = torch.complex(*Phases(BINS, GIVEN).noise)[:, FADE:]
    frames = torch.fft.irfft(torch.nn.functional.pad(noise, (GIVEN, 0)), n=4 * HOP)
    energy = frames.square().mean(0)
    outside = (energy[: 2 * HOP // 3].sum() + energy[-2 * HOP // 3 :].sum()) / energy.sum()
    assert outside < 0.2  # in a third of the time


def test_chunks_of_other_codes_have_other_noise() -> None:
    codes = torch.zeros(2, 3, 5, dtype=torch.int64)
    codes[1, 0, 4] = FRAMES + 1
    start = Phases.start(codes)
    assert start.tolist() == [0, 1]
    x, y = steady(5)
    real, _ = Phases(BINS, GIVEN)(x.expand(2, -1, -1), y.expand(2, -1, -1), start)
    torch.testing.assert_close(real[1, :-1, GIVEN:], real[0, 1:, GIVEN:])
    torch.testing.assert_close(real[1, :, : GIVEN - FADE], real[0, :, : GIVEN - FADE])


def test_noise_is_the_same_for_ever() -> None:
    noise = Phases(BINS, GIVEN).noise
    found = noise[:, [0, 0, FRAMES - 1], [0, 700, 1]]
    expected = [[0.1220, -0.4444, -0.5497], [-0.9925, -0.8958, 0.8354]]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-4, rtol=0)


def test_of_bins_that_all_have_a_phase_each_keeps_it() -> None:
    angle = torch.linspace(0, 6, BINS)[None, None]
    real, imaginary = Phases(BINS, BINS)(angle.cos(), angle.sin())
    torch.testing.assert_close(torch.atan2(imaginary, real) % (2 * torch.pi), angle)


@pytest.mark.parametrize("given", [FADE - 1, BINS + 1])
def test_too_few_or_too_many_are_refused(given: int) -> None:
    with pytest.raises(ValueError, match=f"{given} of {BINS} bins"):
        Phases(BINS, given)


@pytest.mark.parametrize("frames", [40, FRAMES + 7])
def test_decoding_for_inference_is_the_network_here_too(frames: int) -> None:
    torch.manual_seed(0)
    network = Neu(NARROW).eval().requires_grad_(False)
    for book in network.quantiser.stages():
        torch.nn.init.normal_(book.entries)
    codes = torch.randint(0, 1024, (2, 6, frames))
    expected = network.decode(codes)
    torch.testing.assert_close(NeuDecoder(network)(codes), expected, atol=2e-4, rtol=0)
