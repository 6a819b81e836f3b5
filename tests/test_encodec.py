"""EnCodec: the same codes and the same audio as the published code, whole and as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import agree, parameters, peer, randomise, signal, spread
from published_configs import ENCODEC_24KHZ, ENCODEC_48KHZ
from segments import decode_segments, encode_segments, overlap_add
from torch import Tensor

from neucodec.models.families.encodec.network import Encodec
from neucodec.models.parts.seanet import Carry

# The peers still use the older of PyTorch's two weight norms.
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")

SMALL = {"filters": 4, "latent": 16, "codebook_size": 64}
MONO = replace(ENCODEC_24KHZ, **SMALL)
STEREO = replace(ENCODEC_48KHZ, **SMALL, segment=4800, stride=4752)
MODELS = pytest.mark.parametrize("config", [MONO, STEREO], ids=["24khz", "48khz"])
FULL = pytest.mark.parametrize("config", [ENCODEC_24KHZ, ENCODEC_48KHZ], ids=["24khz", "48khz"])


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def theirs(config: Any, seed: int = 0) -> Any:
    """The peer's model of that size with sensible random weights."""
    encodec = peer("encodec")
    torch.manual_seed(seed)
    sides = [
        side(
            channels=config.channels,
            dimension=config.latent,
            n_filters=config.filters,
            norm="time_group_norm" if config.group_norm else "weight_norm",
            causal=config.causal,
        )
        for side in (encodec.modules.SEANetEncoder, encodec.modules.SEANetDecoder)
    ]
    rate = 24000 if config.channels == 1 else 48000
    quantiser = encodec.quantization.ResidualVectorQuantizer(
        dimension=config.latent, n_q=config.codebooks, bins=config.codebook_size
    )
    # Their bandwidths count ten bits per code at most: here one per codebook of any size.
    per_book = quantiser.get_bandwidth_per_quantizer(rate // 320)
    model = encodec.EncodecModel(
        *sides,
        quantiser,
        [per_book * k for k in range(1, config.codebooks + 1)],
        rate,
        config.channels,
        normalize=config.normalise,
        segment=config.segment and config.segment / rate,
    ).eval()
    audio = signal(rate // 5, rate, config.channels, batch=2, seed=seed)
    randomise(model, lambda: model.decoder(model.encoder(audio)), seed)
    latent = model.encoder(audio / audio.std()).mT
    spread((layer.codebook for layer in quantiser.vq.layers), latent, seed)
    return model


def saved(model: Any, path: Path) -> Path:
    """The peer's weights as upstream publishes them: a bare state dict."""
    torch.save(model.state_dict(), path / "encodec.th")
    return path / "encodec.th"


def by_item(scale: Tensor | None) -> Tensor | None:
    """The peer's scale [B, 1] as ours [B]."""
    return None if scale is None else scale[:, 0]


def their_codes(model: Any, audio: Tensor, codebooks: int) -> list[tuple[Tensor, Tensor | None]]:
    model.bandwidth = model.target_bandwidths[codebooks - 1] + 1e-6
    segments: list[tuple[Tensor, Tensor | None]] = model.encode(audio)
    return segments


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Encodec]]:
    """The peer's small models, and ours loaded from their files."""
    found = {}
    for config in (MONO, STEREO):
        model = theirs(config)
        path = saved(model, tmp_path_factory.mktemp("weights"))
        found[str(config.channels)] = model, Encodec.load(path, config)
    return found


@MODELS
@pytest.mark.parametrize("samples", [1, 5, 319, 320, 321, 2239, 2240, 4751])
def test_segments_of_any_length_match_the_peer(pairs: Any, config: Any, samples: int) -> None:
    model, ours = pairs[str(config.channels)]
    audio = signal(samples, 24000, config.channels, batch=2, seed=samples)
    [(codes, scale)] = their_codes(model, audio, 8)
    found, found_scale = ours.encode(audio, 8)
    agree(found, codes)
    assert (found_scale is None) == (scale is None)
    if scale is not None and found_scale is not None:
        torch.testing.assert_close(found_scale, scale[:, 0])
    torch.testing.assert_close(
        ours.decode(codes, found_scale), model.decode([(codes, scale)]), atol=1e-5, rtol=0
    )


@MODELS
def test_every_number_of_codebooks_matches_the_peer(pairs: Any, config: Any) -> None:
    model, ours = pairs[str(config.channels)]
    audio = signal(4001, 24000, config.channels, seed=1)
    for codebooks in range(1, config.codebooks + 1):
        [(codes, scale)] = their_codes(model, audio, codebooks)
        agree(ours.encode(audio, codebooks)[0], codes)
    assert codes.unique().numel() > 30
    audio = model.decode([(codes, scale)])
    assert 0.01 < float(audio.std()) < 1
    torch.testing.assert_close(ours.decode(codes, by_item(scale)), audio, atol=1e-5, rtol=0)


@pytest.mark.parametrize("samples", [4752, 4753 + 320, 3 * 4752 + 48, 20001])
def test_segments_are_cross_faded_as_the_peer_does(pairs: Any, samples: int) -> None:
    model, ours = pairs["2"]
    audio = signal(samples, 48000, 2, seed=samples)
    segments = their_codes(model, audio, 4)
    found = encode_segments(ours, audio, 4)
    assert len(found) == len(segments)
    for (codes, scale), (their, their_scale) in zip(found, segments, strict=True):
        agree(codes, their)
        torch.testing.assert_close(scale, by_item(their_scale))
    decoded = model.decode(segments)
    torch.testing.assert_close(decode_segments(ours, found), decoded, atol=1e-5, rtol=0)


@pytest.mark.slow
@FULL
def test_full_size_models_match_the_peer_at_every_published_bitrate(
    config: Any, tmp_path: Path
) -> None:
    model = theirs(config)
    ours = Encodec.load(saved(model, tmp_path), config)
    audio = signal(7777, 24000, config.channels)
    for codebooks in [2, 4, 8, 16, 32][: 5 if config.channels == 1 else 4]:
        [(codes, scale)] = their_codes(model, audio, codebooks)
        agree(ours.encode(audio, codebooks)[0], codes)
        decoded = model.decode([(codes, scale)])
        torch.testing.assert_close(ours.decode(codes, by_item(scale)), decoded, atol=1e-4, rtol=0)


@MODELS
@pytest.mark.parametrize("norm", ["weight_g", "parametrizations"])
def test_transformers_checkpoints_load_and_match(config: Any, norm: str, tmp_path: Path) -> None:
    transformers = peer("transformers")
    torch.manual_seed(0)
    rate = 24000 if config.channels == 1 else 48000
    model = transformers.EncodecModel(
        transformers.EncodecConfig(
            target_bandwidths=[config.codebooks * 6 * rate / 320 / 1000],
            sampling_rate=rate,
            audio_channels=config.channels,
            normalize=config.normalise,
            chunk_length_s=config.segment and config.segment / rate,
            overlap=0.01,
            hidden_size=config.latent,
            num_filters=config.filters,
            norm_type="time_group_norm" if config.group_norm else "weight_norm",
            use_causal_conv=config.causal,
            codebook_size=config.codebook_size,
        )
    ).eval()
    audio = signal(4001, rate, config.channels)
    randomise(model, lambda: model.decoder(model.encoder(audio)))
    spread(
        (b.codebook.embed for b in model.quantizer.layers), model.encoder(audio / audio.std()).mT
    )
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    if norm == "weight_g":
        from safetensors.torch import load_file, save_file

        old = {
            ".parametrizations.weight.original0": ".weight_g",
            ".parametrizations.weight.original1": ".weight_v",
        }
        tensors = {}
        for name, tensor in load_file(file).items():
            for new, published in old.items():
                name = name.replace(new, published)
            tensors[name] = tensor
        save_file(tensors, file)
    ours = Encodec.load(file, config)
    out = model.encode(audio, bandwidth=model.config.target_bandwidths[0])
    agree(ours.encode(audio, config.codebooks)[0], out.audio_codes[0])
    decoded = model.decode(out.audio_codes, out.audio_scales).audio_values
    codes, scale = ours.encode(audio, config.codebooks)
    torch.testing.assert_close(ours.decode(codes, scale), decoded, atol=1e-5, rtol=0)


def a_model(config: Any = MONO) -> Encodec:
    """Ours with random weights, for what needs no comparison."""
    torch.manual_seed(0)
    model = Encodec(config).eval()
    audio = signal(4800, 24000, config.channels, batch=2)
    randomise(model, lambda: model.decode(model.encode(audio, 1)[0]))
    spread((book.entries for book in model.quantiser.codebooks), model.encoder(audio, Carry()).mT)
    return model


@pytest.mark.parametrize("samples", [0, 1, 1000, 2239, 2240, 6400, 12345])
@pytest.mark.parametrize("chunk", [100, 320, 2400, 5000])
def test_a_stream_gives_the_codes_and_the_audio_of_the_whole_signal(
    samples: int, chunk: int
) -> None:
    model = a_model()
    audio = signal(samples, 24000, batch=2)
    parts, state = [], None
    for start in range(0, samples + 1, chunk):
        codes, state = model.encode_stream(
            audio[..., start : start + chunk], 4, state, last=start + chunk > samples
        )
        parts.append(codes)
    codes = torch.cat(parts, dim=-1)
    assert codes.shape[-1] == -(-samples // 320)
    if samples:
        agree(codes, model.encode(audio, 4)[0])

    parts, state = [], None
    step = max(1, chunk // 320)
    for start in range(0, codes.shape[-1] + 1, step):
        out, state = model.decode_stream(
            codes[..., start : start + step], state, last=start + step > codes.shape[-1]
        )
        parts.append(out)
    out = torch.cat(parts, dim=-1)
    assert out.shape[-1] == codes.shape[-1] * 320
    if samples:
        torch.testing.assert_close(out, model.decode(codes), atol=1e-5, rtol=0)


def test_a_stream_can_be_taken_up_again_from_any_state() -> None:
    model = a_model()
    audio = signal(9600, 24000)
    _, state = model.encode_stream(audio[..., :4800], 4)
    once, _ = model.encode_stream(audio[..., 4800:], 4, state, last=True)
    again, _ = model.encode_stream(audio[..., 4800:], 4, state, last=True)
    assert torch.equal(once, again)


def test_the_stereo_model_is_no_stream() -> None:
    with pytest.raises(ValueError, match="not causal"):
        Encodec(STEREO).encode_stream(torch.zeros(1, 2, 320), 1)


def test_more_codebooks_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="17 codebooks asked for, there are 1 to 16"):
        Encodec(STEREO).encode(torch.zeros(1, 2, 320), 17)


def test_overlapping_segments_of_one_signal_join_to_that_signal() -> None:
    audio = signal(2000, 24000, 2)
    parts = [audio[..., start : start + 500] for start in range(0, 2000, 480)]
    torch.testing.assert_close(overlap_add(parts, 480), audio)


@pytest.mark.slow
@FULL
def test_sizes_are_the_published_ones(config: Any) -> None:
    with torch.device("meta"):
        model = Encodec(config)
    network = parameters(model.encoder) + parameters(model.decoder)
    assert network == pytest.approx(14.85e6, rel=1e-3)
    assert parameters(model.quantiser) == config.codebooks * 1024 * 128
