"""What the cards say agrees with the networks that they describe."""

from __future__ import annotations

from importlib.resources import files

import pytest
import torch

from neucodec.chunks import Geometry
from neucodec.models.card import Card, cards
from neucodec.models.dac import Dac, DacConfig
from neucodec.models.dac_windows import trim_of
from neucodec.models.encodec import ENCODEC_24KHZ, ENCODEC_48KHZ, Encodec, EncodecConfig
from neucodec.models.errors import ModelError
from neucodec.models.families import configured
from neucodec.models.hificodec import HifiCodec, HifiCodecConfig
from neucodec.models.receptive import convolutions
from neucodec.models.source import Source
from neucodec.models.spectokenizer import SpecTokenizer, SpecTokenizerConfig

CARDS = cards()
NETWORKS = {
    "dac": (DacConfig, Dac),
    "encodec": (EncodecConfig, Encodec),
    "hificodec": (HifiCodecConfig, HifiCodec),
    "spectokenizer": (SpecTokenizerConfig, SpecTokenizer),
}
PUBLISHED = pytest.mark.parametrize(
    "card", [c for c in CARDS.values() if c.family in NETWORKS], ids=lambda card: card.name
)


@PUBLISHED
def test_the_network_of_a_card_is_as_the_card_says(card: Card) -> None:
    make_config, make = NETWORKS[card.family]
    config = configured(card, make_config)
    with torch.device("meta"):
        network = make(config)
    sizes = (config.hop, config.codebooks, config.codebook_size)
    assert sizes == (card.hop, card.codebooks, card.codebook_size)
    tensors = dict(network.state_dict())
    if card.family == "encodec":  # upstream counts no codebooks: they are no parameters there
        tensors = {k: v for k, v in tensors.items() if not k.endswith(".entries")}
    assert sum(t.numel() for t in tensors.values()) == card.parameters


@PUBLISHED
def test_chunks_are_about_a_second_and_lie_on_frames(card: Card) -> None:
    geometry = Geometry.of(card)
    assert 0.95 <= geometry.stride / card.sample_rate <= 1.01
    assert geometry.width(geometry.frames) == geometry.stride + geometry.overlap
    assert geometry.lead >= 0


@pytest.mark.parametrize("name", [name for name in CARDS if name.startswith("dac-")])
def test_context_is_what_the_network_sees(name: str) -> None:
    card = CARDS[name]
    with torch.device("meta"):
        network = Dac(configured(card, DacConfig))
    assert card.chunk_context >= network.encoder_reach
    assert card.chunk_context % card.hop == 0
    assert card.chunk_code_context >= network.decoder_reach
    assert card.chunk_trim == trim_of(convolutions(network.decoder))


def test_encodecs_are_the_published_configurations() -> None:
    assert configured(CARDS["encodec-24khz"], EncodecConfig) == ENCODEC_24KHZ
    assert configured(CARDS["encodec-48khz"], EncodecConfig) == ENCODEC_48KHZ


@pytest.mark.parametrize(
    ("name", "kbps"),
    [
        ("encodec-24khz", {2: 1.5, 4: 3, 8: 6, 16: 12, 32: 24}),
        ("encodec-48khz", {2: 3, 4: 6, 8: 12, 16: 24}),
        ("dac-44khz", {9: 7.75}),
        ("dac-44khz-16kbps", {18: 15.5}),
        ("dac-24khz", {32: 24}),
        ("dac-16khz", {12: 6}),
        ("hificodec-24khz-320d", {4: 3}),
        ("hificodec-24khz-240d", {4: 4}),
        ("hificodec-16khz-320d", {4: 2}),
        ("hificodec-16khz-320d-large-universal", {4: 2}),
        ("spectokenizer-16khz", {8: 4, 12: 6}),
    ],
)
def test_bitrates_are_the_published_ones_and_what_overlap_adds(
    name: str, kbps: dict[int, float]
) -> None:
    card = CARDS[name]
    shared = card.chunk_frames * card.hop / card.chunk_stride  # frames that stand in two chunks
    assert 1 <= shared < 1.05
    for codebooks, rate in kbps.items():
        bitrate = card.bitrate(codebooks, card.channels)
        assert bitrate / 1000 == pytest.approx(rate * shared, rel=1e-3)
    assert max(kbps) == card.codebooks


def altered(line: str) -> str:
    """The embedded codec's card with one line in the place of the one of that key."""
    key = line.partition(" =")[0]
    text = (files("neucodec.models") / "cards/neu-44khz.toml").read_text()
    lines = [line if old.partition(" =")[0] == key else old for old in text.splitlines()]
    assert line in lines
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("codebooks = 2147483648", "codebooks 2147483648 is not within 1 to 255"),
        ("codebook_size = 1", "codebook_size 1 is not within 2 to 65536"),
        ("parameters = -1", "parameters -1 is not within 0 to"),
        ("hop = 999999999999999999999999999999", "hop 9+ is not within"),
        ("default_codebooks = 17", "default_codebooks and codebook_counts are to be"),
        ('sha256 = "zz"', "sha256 'zz' is not 64 of 0-9a-f"),
        ('same_codes = ["ab"]', "sha256 'ab' is not 64 of 0-9a-f"),
        ("same_codes = [1]", "sha256 1 is not 64 of 0-9a-f"),
        ('name = "../../etc/passwd"', "name '../../etc/passwd': 1 to 64 letters"),
    ],
)
def test_what_a_card_cannot_say(line: str, complaint: str) -> None:
    with pytest.raises(ModelError, match=f"card.toml: {complaint}"):
        Card.parse(altered(line), "card.toml")


@pytest.mark.parametrize("url", ["https://[a", "https://[,]/x", "https:///x", "file:///etc/passwd"])
def test_sources_that_are_no_urls(url: str) -> None:
    with pytest.raises(ModelError, match="is no https:// URL"):
        Source(url=url)


def test_a_card_s_file_is_called_as_the_card() -> None:
    assert [card.name for card in CARDS.values()] == list(CARDS)
