"""What the cards say agrees with the networks that they describe."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from neucodec.coding.chunks import Geometry
from neucodec.models.catalogue.card import Card, cards
from neucodec.models.catalogue.weights_source import WeightsSource
from neucodec.models.catalogue.weights_store import EMBEDDED
from neucodec.models.errors import ModelError
from neucodec.models.families.dac.network import Dac, DacConfig
from neucodec.models.families.dac.windows import trim_of
from neucodec.models.families.encodec.network import Encodec, EncodecConfig
from neucodec.models.families.family import configured
from neucodec.models.families.hificodec.network import HifiCodec, HifiCodecConfig
from neucodec.models.families.neu.network import NeuConfig
from neucodec.models.families.spectokenizer.network import SpecTokenizer, SpecTokenizerConfig
from neucodec.models.load import build_codec
from neucodec.models.local_checkpoint import card_at
from neucodec.models.parts.receptive_field import convolutions

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
    assert configured(CARDS["encodec-24khz"], EncodecConfig) == EncodecConfig()
    assert configured(CARDS["encodec-48khz"], EncodecConfig) == EncodecConfig(
        channels=2, causal=False, group_norm=True, normalise=True, segment=48000, stride=47520,
        codebooks=16,
    )  # fmt: skip


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
        ("chunk_context = 4611686018427387904", "chunk_context 46.* is not within 0 to"),
        ("chunk_frames = 1000000000", "chunk_frames 1000000000 is not within 1 to"),
        (
            "chunk_stride = 67108864",
            "chunk_stride 67108864: chunks of 86 frames of 512 samples are",
        ),
        ("chunk_stride = 1", "chunk_stride 1: chunks of 86 frames of 512 samples are to meet"),
        ("chunk_context = 16777216", "chunks of more than 16777216 samples with their context"),
        ("hop = " + "9" * 5000, "not a card: Exceeds the limit"),
        ('name = "../../etc/passwd"', "name '../../etc/passwd': 1 to 64 letters"),
    ],
)
def test_what_a_card_cannot_say(line: str, complaint: str) -> None:
    with pytest.raises(ModelError, match=f"card.toml: {complaint}"):
        Card.parse(altered(line), "card.toml")


@pytest.mark.parametrize(
    ("family", "key", "value"),
    [
        ("neu", "encoder_blocks", 10**9), ("neu", "window", 10**9), ("neu", "latent", -1),
        ("neu", "stack", "1"), ("neu", "hop", 1.5), ("neu", "hop", True), ("neu", "bands", [1]),
        ("dac", "rates", [2] * 1000), ("dac", "rates", [8192] * 8), ("dac", "rates", 2),
        ("dac", "codebooks", 10**9), ("dac", "rates", []), ("dac", "encoder_width", 10**9),
        ("encodec", "lstm_layers", 10**9), ("encodec", "causal", 1), ("encodec", "x", 1),
        ("hificodec", "groups", 10**9), ("spectokenizer", "channels", [1, 10**9]),
    ],
)  # fmt: skip
def test_arguments_of_networks_have_bounds(family: str, key: str, value: object) -> None:
    make_config = NeuConfig if family == "neu" else NETWORKS[family][0]
    card = next(card for card in CARDS.values() if card.family == family)
    began = time.process_time()
    with pytest.raises(ModelError, match=rf"{card.name}: its \[config\] does not fit {family}: "):
        configured(replace(card, config=card.config | {key: value}), make_config)
    assert time.process_time() - began < 0.5


def test_every_card_of_the_package_is_within_all_bounds() -> None:
    for card in CARDS.values():
        assert card.check() is card
        configured(card, NeuConfig if card.family == "neu" else NETWORKS[card.family][0])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"hop": 160, "chunk_stride": 8000}, "its card has hop 160, its network 320"),
        ({"codebooks": 9}, "its card has codebooks 9, its network 12"),
        ({"codebook_size": 512}, "its card has codebook_size 512, its network 1024"),
        ({"chunk_strategy": "stream"}, "its card has chunk_strategy stream, its network overlap"),
        ({"level": "codec"}, 'level = "codec" is for networks that give a scale'),
    ],
)
def test_a_card_agrees_with_its_network(change: dict[str, object], complaint: str) -> None:
    card = CARDS["specmini-16khz"]
    with pytest.raises(ModelError, match=f"specmini-16khz: {complaint}"):
        build_codec(replace(card, **change), EMBEDDED / card.weights, "cpu")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"model_type": ["encodec"]},
        {"model_type": "dac"},
        [],
        1,
        {"model_type": "encodec", "sampling_rate": 10**400, "upsampling_ratios": [8]},
        {"model_type": "encodec", "sampling_rate": 24000, "upsampling_ratios": [10**9] * 10**4},
        {"model_type": "dac", "downsampling_ratios": {"a": 1}, "upsampling_ratios": "abc"},
    ],
)
def test_configurations_that_cannot_be_are_refused_in_one_line(
    config: object, tmp_path: Path
) -> None:
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError) as refused:
        card_at(tmp_path)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400


def test_text_without_an_end_or_a_bottom_is_no_card(tmp_path: Path) -> None:
    for name, text in (("a.toml", "a=" + "[" * 10**5), ("b.toml", "#" * (1 << 21))):
        (tmp_path / name).write_text(text)
        with pytest.raises(ModelError, match="not a card|more than 1048576 characters"):
            card_at(tmp_path / name)
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "config.json").write_text("[" * 10**5)
    with pytest.raises(ModelError, match="no JSON"):
        card_at(tmp_path)


@pytest.mark.parametrize("url", ["https://[a", "https://[,]/x", "https:///x", "file:///etc/passwd"])
def test_sources_that_are_no_urls(url: str) -> None:
    with pytest.raises(ModelError, match="is no https:// URL"):
        WeightsSource(url=url)


def test_a_card_s_file_is_called_as_the_card() -> None:
    assert [card.name for card in CARDS.values()] == list(CARDS)
