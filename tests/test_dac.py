"""DAC: the same codes and the same audio as the published code, whole and in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import agree, macs, parameters, peer, randomise, signal
from published_configs import DAC_16KHZ, DAC_24KHZ, DAC_44KHZ, DAC_44KHZ_16KBPS
from torch import Tensor

from neucodec.models.families.dac.network import Dac, DacConfig

# The peers still use the older of PyTorch's two weight norms.
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")

SMALL = {"encoder_width": 4, "decoder_width": 32, "codebook_size": 64}
VARIANTS = {
    "44khz": DAC_44KHZ,
    "44khz-16kbps": DAC_44KHZ_16KBPS,
    "24khz": DAC_24KHZ,
    "16khz": DAC_16KHZ,
}


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def small(config: DacConfig) -> DacConfig:
    return replace(config, **SMALL, latent=16 if config.latent == 128 else 64)


def theirs(config: DacConfig, seed: int = 0) -> Any:
    """The peer's model of that size with sensible random weights."""
    torch.manual_seed(seed)
    model = (
        peer("dac")
        .DAC(
            encoder_dim=config.encoder_width,
            encoder_rates=list(config.rates),
            latent_dim=config.latent,
            decoder_dim=config.decoder_width,
            decoder_rates=list(reversed(config.rates)),
            n_codebooks=config.codebooks,
            codebook_size=config.codebook_size,
            codebook_dim=config.codebook_dim,
        )
        .eval()
    )
    audio = signal(4096, 44100, batch=2, seed=seed)
    randomise(model, lambda: model(audio), seed)
    return model


def saved(model: Any, path: Path) -> Path:
    """The peer's weights as it saves them itself: state dict and constructor arguments."""
    model.save(path / "weights.pth", package=False)
    return path / "weights.pth"


def compare(model: Any, ours: Dac, audio: Tensor, codebooks: int) -> Tensor:
    """Both encode alike; both decode the peer's codes alike, the peer perhaps a little less."""
    _, codes, *_ = model.encode(model.preprocess(audio, None), codebooks)
    agree(ours.encode(audio, codebooks), codes)
    decoded = model.decode(model.quantizer.from_codes(codes)[0])
    found = ours.decode(codes)
    assert found.shape[-1] == codes.shape[-1] * ours.config.hop
    torch.testing.assert_close(found[..., : decoded.shape[-1]], decoded, atol=1e-4, rtol=0)
    assert 0.01 < float(decoded.std()) < 1
    return codes


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_number_of_codebooks_matches_the_peer(variant: str, tmp_path: Path) -> None:
    config = small(VARIANTS[variant])
    model = theirs(config)
    ours = Dac.load(saved(model, tmp_path), config)
    audio = signal(4001, 44100, seed=1)
    for codebooks in range(1, config.codebooks + 1):
        codes = compare(model, ours, audio, codebooks)
    assert codes.unique().numel() > 30


@pytest.mark.parametrize("samples", [1, 511, 512, 513, 2048, 5001])
def test_signals_of_any_length_match_the_peer(samples: int, tmp_path: Path) -> None:
    config = small(DAC_44KHZ)
    model = theirs(config)
    ours = Dac.load(saved(model, tmp_path), config)
    compare(model, ours, signal(samples, 44100, batch=2, seed=samples), 4)


@pytest.mark.slow
def test_the_full_size_model_matches_the_peer(tmp_path: Path) -> None:
    model = theirs(DAC_44KHZ)
    ours = Dac.load(saved(model, tmp_path), DAC_44KHZ)
    compare(model, ours, signal(4099, 44100), 9)


@pytest.mark.parametrize("weight_norm", [False, True])
@pytest.mark.parametrize("variant", ["44khz", "24khz", "16khz"])
def test_transformers_checkpoints_load_and_match(
    variant: str, weight_norm: bool, tmp_path: Path
) -> None:
    transformers = peer("transformers")
    torch.manual_seed(0)
    config = small(VARIANTS[variant])
    model = transformers.DacModel(
        transformers.DacConfig(
            encoder_hidden_size=config.encoder_width,
            downsampling_ratios=list(config.rates),
            decoder_hidden_size=config.decoder_width,
            n_codebooks=config.codebooks,
            codebook_size=config.codebook_size,
        )
    ).eval()
    audio = signal(16 * config.hop, 44100, batch=2)
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.reset_parameters()
    if weight_norm:
        model.apply_weight_norm()
    randomise(model, lambda: model(audio))
    model.save_pretrained(tmp_path)
    ours = Dac.load(tmp_path / "model.safetensors", config)
    codes = model.encode(audio).audio_codes
    agree(ours.encode(audio, config.codebooks), codes)
    decoded = model.decode(audio_codes=codes).audio_values
    torch.testing.assert_close(
        ours.decode(codes)[:, 0, : decoded.shape[-1]], decoded, atol=1e-4, rtol=0
    )


def a_model(config: DacConfig) -> Dac:
    """Ours with random weights, for what needs no comparison."""
    torch.manual_seed(0)
    model = Dac(config).eval()
    for book in model.quantiser.codebooks:
        torch.nn.init.normal_(book.entries)
    audio = signal(4096, 44100, batch=2)
    randomise(model, lambda: by_layers(model, model.encode(audio, 4)))
    return model


def by_layers(model: Dac, codes: Tensor) -> Tensor:
    """Decode by PyTorch's own modules, as is done on a GPU."""
    decoded: Tensor = model.decoder(model.quantiser.decode(codes).transpose(1, 2))
    return decoded


@pytest.mark.parametrize(
    ("config", "samples", "frames"), [(DAC_44KHZ, 3733, 10), (DAC_24KHZ, 2501, 10)]
)
def test_reach_is_what_the_layers_see(config: DacConfig, samples: int, frames: int) -> None:
    model = a_model(small(config))
    assert (model.encoder_reach, model.decoder_reach) == (samples, frames)

    hop, at = config.hop, 20
    audio = signal(41 * hop, 44100)
    codes = model.encode(audio, 4)
    silent = audio.clone()
    silent[..., : at * hop - samples] = silent[..., (at + 1) * hop + samples :] = 0
    assert torch.equal(model.encode(silent, 4)[..., at], codes[..., at])

    out = model.decode(codes)
    changed = codes.clone()
    changed[..., : at - frames] = changed[..., at + frames + 1 :] = 0
    same = slice(at * hop, (at + 1) * hop)
    torch.testing.assert_close(model.decode(changed)[..., same], out[..., same])


@pytest.mark.parametrize("config", [DAC_44KHZ, DAC_24KHZ], ids=["44khz", "24khz"])
def test_chunks_with_context_give_the_whole_signals_codes_and_audio(config: DacConfig) -> None:
    model = a_model(small(config))
    hop, step = config.hop, 16
    audio = signal(70 * hop - 99, 44100)
    context = -(-model.encoder_reach // hop)
    whole = model.encode(audio, 4)
    parts = []
    for start in range(0, whole.shape[-1], step):
        left = min(start, context)
        chunk = audio[..., (start - left) * hop : (start + step + context) * hop]
        parts.append(model.encode(chunk, 4)[..., left : left + step])
    codes = torch.cat(parts, dim=-1)
    agree(codes, whole)

    parts = []
    for start in range(0, whole.shape[-1], step):
        left = min(start, model.decoder_reach)
        chunk = codes[..., start - left : start + step + model.decoder_reach]
        parts.append(model.decode(chunk)[..., left * hop : (left + step) * hop])
    torch.testing.assert_close(torch.cat(parts, dim=-1), model.decode(codes), atol=5e-5, rtol=0)


def test_sizes_are_the_published_ones() -> None:
    with torch.device("meta"):
        model = Dac(DAC_44KHZ)
        second = torch.zeros(1, 1, 44032)
        frames = torch.zeros(1, 9, 86, dtype=torch.int64)
    assert parameters(model) == pytest.approx(76.65e6, rel=1e-3)
    scale = 44100 / 44032
    assert macs(model, lambda: model.encode(second, 9)) * scale == pytest.approx(30.6e9, rel=0.01)
    assert macs(model, lambda: model.decode(frames)) * scale == pytest.approx(69e9, rel=0.01)


@pytest.mark.parametrize("config", [DAC_44KHZ, DAC_24KHZ], ids=["44khz", "24khz"])
@pytest.mark.parametrize(("before", "frames"), [(0, 70), (0, 1), (11, 40), (69, 1), (30, 3)])
def test_any_frames_on_rows_are_what_the_modules_give(
    config: DacConfig, before: int, frames: int
) -> None:
    model = a_model(small(config))
    codes = model.encode(signal(70 * config.hop, 44100, batch=2), 4)
    hop = config.hop
    expected = by_layers(model, codes)[..., before * hop : (before + frames) * hop]
    found = model.decode(codes, before, frames)
    assert found.shape == (2, 1, frames * hop)
    assert float(expected.std()) > 0.01
    torch.testing.assert_close(found[..., : expected.shape[-1]], expected, atol=5e-5, rtol=0)


def test_a_signal_decodes_alike_alone_and_in_a_batch() -> None:
    model = a_model(small(DAC_44KHZ))
    codes = model.encode(signal(30 * 512, 44100, batch=3), 4)
    together = model.decode(codes)
    for one, its in zip(codes, together, strict=True):
        assert torch.equal(model.decode(one[None])[0], its)


def test_a_snake_of_frequency_0_passes_everything() -> None:
    model = a_model(small(DAC_44KHZ))
    for name, parameter in model.decoder.named_parameters():
        if name.endswith("alpha"):
            parameter[:, ::3] = 0
    codes = model.encode(signal(20 * 512, 44100), 4)
    torch.testing.assert_close(model.decode(codes), by_layers(model, codes), atol=5e-5, rtol=0)


def test_bfloat16_is_noise_well_below_the_audio() -> None:
    model = a_model(small(DAC_44KHZ))
    codes = model.encode(signal(40 * 512, 44100), 4)
    exact = by_layers(model, codes)
    model.precision = torch.bfloat16
    noise = model.decode(codes) - exact
    assert 20 < float(10 * torch.log10(exact.square().mean() / noise.square().mean())) < 60
