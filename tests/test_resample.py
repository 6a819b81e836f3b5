"""Sample-rate conversion: the same samples from wherever one starts, exact lengths, no seams."""

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from neucodec.audio.resample import BlockResampler
from neucodec.audio.samples import Audio
from neucodec.errors import NeucodecError

RATIOS = [
    (44100, 48000),
    (48000, 44100),
    (8000, 44100),
    (44100, 8000),
    (96000, 48000),
    (192000, 44100),
    (44100, 1000),
    (1000, 44100),
    (37800, 44100),
]
AWKWARD = [(44099, 44100), (44100, 44056)]


def noise(seconds: float, rate: int, channels: int = 1) -> Audio:
    rng = np.random.default_rng(0)
    samples = rng.uniform(-1, 1, (int(seconds * rate), channels))
    return samples.astype(np.float32)


def resample(
    audio: Audio, in_rate: int, out_rate: int, start_block: int = 0, push: int = 30_000
) -> Audio:
    resampler = BlockResampler(in_rate, out_rate, audio.shape[1], start_block)
    out = []
    for start in range(resampler.first_input, len(audio), push):
        out.append(resampler.push(audio[start : start + push]))
    out.append(resampler.finish())
    return np.concatenate(out)


def whole(audio: Audio, in_rate: int, out_rate: int) -> NDArray[np.float64]:
    """All at once in double precision; a second of silence before it, which soxr's start needs."""
    silence = np.zeros((in_rate, audio.shape[1]))
    padded = np.concatenate([silence, audio, silence])
    resampled: NDArray[np.float64] = soxr.resample(padded, in_rate, out_rate, "VHQ")
    return resampled[out_rate:]


@pytest.mark.parametrize(("in_rate", "out_rate"), RATIOS)
def test_blocks_agree_with_the_whole_signal_to_the_rounding_of_float32(
    in_rate: int, out_rate: int
) -> None:
    audio = noise(3.3, in_rate)
    blockwise = resample(audio, in_rate, out_rate)
    difference = np.abs(blockwise - whole(audio, in_rate, out_rate)[: len(blockwise)])
    assert difference.max() < 2e-7


@pytest.mark.parametrize(("in_rate", "out_rate"), RATIOS)
def test_a_sweep_stays_clean_across_seams(in_rate: int, out_rate: int) -> None:
    time = np.arange(int(3.3 * in_rate)) / in_rate
    top = 0.49 * min(in_rate, out_rate)
    sweep = np.sin(np.pi * top / 3.3 * time**2).astype(np.float32)[:, None]
    blockwise = resample(sweep, in_rate, out_rate)
    difference = np.abs(blockwise - whole(sweep, in_rate, out_rate)[: len(blockwise)])
    assert difference.max() < 2e-7


@pytest.mark.parametrize(("in_rate", "out_rate"), AWKWARD)
def test_seams_of_awkward_ratios_stay_below_the_last_of_16_bits(
    in_rate: int, out_rate: int
) -> None:
    audio = noise(3.3, in_rate)
    blockwise = resample(audio, in_rate, out_rate)
    difference = np.abs(blockwise - whole(audio, in_rate, out_rate)[: len(blockwise)])
    assert difference.max() < 2**-15


@pytest.mark.parametrize(("in_rate", "out_rate"), RATIOS + AWKWARD)
def test_starting_at_a_later_block_gives_the_very_same_samples(in_rate: int, out_rate: int) -> None:
    audio = noise(3.3, in_rate, channels=2)
    full = resample(audio, in_rate, out_rate)
    for output in (0, 1, out_rate - 1, out_rate, int(2.6 * out_rate)):
        block = BlockResampler.block_of(in_rate, out_rate, output)
        first = BlockResampler(in_rate, out_rate, 2, block).first_output
        assert first <= output
        part = resample(audio, in_rate, out_rate, block, push=7919)
        assert np.array_equal(part, full[first:])


@pytest.mark.parametrize(("in_rate", "out_rate"), [*RATIOS, *AWKWARD, (44100, 44100)])
def test_an_output_sample_waits_for_no_more_input_than_its_reach(
    in_rate: int, out_rate: int
) -> None:
    audio = noise(3.3, in_rate)
    wanted = int(1.4 * out_rate)
    needed = -(-wanted * in_rate // out_rate) + BlockResampler.reach(in_rate, out_rate)
    resampler = BlockResampler(in_rate, out_rate, 1)
    assert len(resampler.push(audio[:needed])) >= wanted


@pytest.mark.parametrize(("in_rate", "out_rate"), [*RATIOS, (44099, 44100), (44100, 44100)])
@pytest.mark.parametrize("inputs", [0, 1, 7, 999, 1000, 1001, 100_003])
def test_the_length_is_the_input_s_times_the_ratio_rounded_up(
    in_rate: int, out_rate: int, inputs: int
) -> None:
    audio = np.zeros((inputs, 1), np.float32)
    expected = -(-inputs * out_rate // in_rate)
    assert BlockResampler.output_length(in_rate, out_rate, inputs) == expected
    assert len(resample(audio, in_rate, out_rate)) == expected


def test_how_the_input_is_cut_does_not_matter() -> None:
    audio = noise(1.7, 22050, channels=3)
    expected = resample(audio, 22050, 48000, push=len(audio))
    assert np.array_equal(resample(audio, 22050, 48000, push=101), expected)


def test_a_channel_does_not_depend_on_the_others() -> None:
    audio = noise(0.2, 8000, channels=255)
    together = resample(audio, 8000, 44100)
    alone = resample(audio[:, 17:18], 8000, 44100)
    assert np.array_equal(together[:, 17:18], alone)


def test_equal_rates_pass_through_and_every_sample_is_a_block() -> None:
    audio = noise(0.1, 44100, channels=2)
    resampler = BlockResampler(44100, 44100, 2, start_block=61)
    assert resampler.first_input == resampler.first_output == 61
    assert resampler.push(audio) is audio
    assert resampler.finish().shape == (0, 2)


def test_equal_rates_pass_through_even_where_no_conversion_is_possible() -> None:
    assert BlockResampler(10, 10, 1).push(np.zeros((5, 1), np.float32)).shape == (5, 1)


def test_an_impossible_rate_is_refused_with_the_possible_ones() -> None:
    with pytest.raises(NeucodecError, match="1000 to 768000 Hz"):
        BlockResampler(999, 44100, 1)


def test_a_seeking_start_needs_little_before_it() -> None:
    resampler = BlockResampler(44100, 48000, 1, start_block=61)
    assert 61 * 44100 - 1000 < resampler.first_input <= 61 * 44100
