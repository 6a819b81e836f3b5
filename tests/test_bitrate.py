"""Bitrates as people write them."""

import pytest

from neucodec.coding.bitrate import codebooks_for, format_kbps, parse_bitrate
from neucodec.errors import NeucodecError
from neucodec.models.catalogue.card import find_card


@pytest.mark.parametrize(
    ("text", "bits"),
    [("8kbps", 8000), ("8k", 8000), ("8000", 8000), ("1.5kbps", 1500), ("8 KBPS", 8000),
     ("6000bps", 6000), (".9k", 900)],
)  # fmt: skip
def test_spellings(text: str, bits: float) -> None:
    assert parse_bitrate(text) == bits


@pytest.mark.parametrize("text", ["", "fast", "-8k", "0", "8 kB/s", "8kk", "nan", "1e3"])
def test_what_is_no_bitrate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(NeucodecError, match="8kbps, 8k, 8000"):
        parse_bitrate(text)


def test_the_nearest_number_of_codebooks_is_taken() -> None:
    card = find_card("neu2-44khz")  # 0.882 kbps per codebook
    assert [codebooks_for(card, 1, k) for k in (2000, 4000, 8000, 12000)] == [2, 5, 9, 14]


def test_a_bitrate_is_of_all_channels_together() -> None:
    card = find_card("neu2-44khz")
    assert codebooks_for(card, 2, 16000) == codebooks_for(card, 1, 8000)


def test_an_impossible_bitrate_lists_the_possible_ones() -> None:
    card = find_card("neu2-44khz")
    with pytest.raises(NeucodecError, match=r"64 kbps for 1 channel: .*0\.882, 1\.76, .* 14\.1"):
        codebooks_for(card, 1, 64000)
    with pytest.raises(NeucodecError, match="for 6 channels: possible are 5.29"):
        codebooks_for(card, 6, 2000)


def test_kbps_are_written_with_three_digits() -> None:
    assert [format_kbps(b) for b in (7751.95, 13781, 861.3)] == [
        "7.75 kbps",
        "13.8 kbps",
        "0.861 kbps",
    ]
