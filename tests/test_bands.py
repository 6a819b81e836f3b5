"""Bands of magnitudes: fine at the bottom, wide at the top."""

import pytest
import torch

from neucodec.models.families.neu.bands import Bands


def test_bands_are_a_bin_wide_at_the_bottom_and_widen_in_proportion_to_frequency() -> None:
    peaks = Bands(321, 80).spread.argmax(1).float()
    assert peaks[:6].tolist() == [0, 1, 2, 3, 4, 5]
    assert peaks[-1] == 320
    widths = peaks.diff()
    assert widths[-1] == pytest.approx(13, abs=1)
    assert bool((widths[20:].diff() >= -1).all())  # but for rounding


def test_a_flat_spectrum_is_flat_in_bands_and_back() -> None:
    bands = Bands(321, 80)
    flat = torch.full((2, 3, 321), 4.0)
    torch.testing.assert_close(bands.magnitudes(flat), torch.full((2, 3, 80), 2.0))
    torch.testing.assert_close(bands.bins(torch.ones(2, 80)), torch.ones(2, 321))


def test_a_band_has_the_root_of_the_mean_power_of_its_bins() -> None:
    bands, power = Bands(9, 3), torch.zeros(9)
    power[4] = 12.0
    peak = int(bands.spread[1].argmax())
    share = bands.spread[1, 4] / bands.spread[1].sum()
    assert float(bands.magnitudes(power)[1]) == pytest.approx(float((12.0 * share).sqrt()))
    assert 1 <= peak <= 4


@pytest.mark.parametrize("count", [1, 9, 10])
def test_as_many_bands_as_bins_or_more_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} bands of 9 bins: give 2 to 8"):
        Bands(9, count)
