"""SpecTokenizer: sizes as published, causal, the same in one piece and as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from networks import agree, macs, parameters, randomise, signal, spread
from published_configs import SPECTOKENIZER_BASE, SPECTOKENIZER_MINI
from safetensors.torch import save_file
from spectokenizer_stream import decode_stream, encode_stream
from torch import Tensor, nn

from neucodec.models.errors import ModelError
from neucodec.models.families.spectokenizer.network import SpecTokenizer, SpecTokenizerConfig
from neucodec.models.families.spectokenizer.parts import complex_convolution
from neucodec.models.parts.causal_state import Carry

SMALL = replace(SPECTOKENIZER_MINI, channels=(4, 6, 8, 8, 12), codebook_size=64)
SKIPPING = replace(SMALL, narrow=0, skip=True)
NOISY = replace(SKIPPING, channels=(8, 8, 8, 8, 12), phase_bins=96, bottleneck=16)
ALL = pytest.mark.parametrize(
    "config", [SMALL, SKIPPING, NOISY], ids=["published", "skipping", "noisy"]
)
HOP = SMALL.hop


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def a_model(config: SpecTokenizerConfig = SMALL) -> SpecTokenizer:
    """Make a network with random weights that many different codes come out of.

    What a test draws at random after that is the same whether they had to be made or were there.
    """
    made = deepcopy(_a_model(config))
    torch.manual_seed(0)
    return made


@lru_cache
def _a_model(config: SpecTokenizerConfig) -> SpecTokenizer:
    torch.manual_seed(0)
    model = SpecTokenizer(config).eval()
    audio = signal(101 * config.hop, 16000)
    randomise(model, lambda: model.synthesise(model.analyse(audio)))
    left = model.analyse(audio)
    for book in model.quantiser.codebooks:
        spread([book.entries], book.down(left))
        left = left - book.decode(book.encode(left))
    return model


def whole(model: SpecTokenizer, audio: Tensor, codebooks: int = 4) -> Tensor:
    """Codes of a signal as a stream of one chunk."""
    return encode_stream(model, audio, codebooks, last=True)[0]


@pytest.mark.parametrize(
    ("config", "size", "tolerance"),
    [(SPECTOKENIZER_MINI, 0.45e6, 0.1), (SPECTOKENIZER_BASE, 70.6e6, 0.01)],
)
def test_parameters_are_the_published_count(
    config: SpecTokenizerConfig, size: float, tolerance: float
) -> None:
    with torch.device("meta"):
        model = SpecTokenizer(config)
    network = parameters(model.encoder) + parameters(model.decoder)
    assert network == pytest.approx(size, rel=tolerance)


def test_skipping_the_recurrences_takes_no_parameters_and_the_whole_last_stage_is_coded() -> None:
    with torch.device("meta"):
        one, two = (
            SpecTokenizer(replace(SPECTOKENIZER_MINI, narrow=0, skip=skip))
            for skip in (False, True)
        )
    assert parameters(one) == parameters(two)
    assert parameters(two.encoder) + parameters(two.decoder) == pytest.approx(0.45e6, rel=0.1)
    assert two.quantiser.stages()[0].down.in_features == 96 * 10


def test_a_bottleneck_is_one_projection_of_all_that_the_last_stage_hands_on() -> None:
    with torch.device("meta"):
        plain, narrowed = (
            SpecTokenizer(replace(SPECTOKENIZER_MINI, narrow=0, skip=True, bottleneck=dimensions))
            for dimensions in (0, 64)
        )
    added = parameters(narrowed.encoder) - parameters(plain.encoder)
    assert added == 96 * 10 * 64 + 64
    assert narrowed.quantiser.stages()[0].down.in_features == 64


@pytest.mark.parametrize("part", [{}, {"narrow": 0, "skip": True, "phase_bins": 96}])
def test_the_mini_model_takes_the_published_computation(part: dict[str, Any]) -> None:
    model = a_model(replace(SPECTOKENIZER_MINI, **part))
    second = signal(51 * HOP, 16000)
    count = macs(model, lambda: model.decode(model.encode(second, 12)))
    assert count == pytest.approx(0.43e9, rel=0.1)


def test_twelve_codebooks_are_six_kilobits_per_second() -> None:
    config = SPECTOKENIZER_MINI
    assert 16000 / config.hop * config.codebooks * 10 == 6000
    codes = a_model(config).encode(signal(51 * config.hop, 16000), 12)
    assert codes.shape == (1, 12, 50)
    assert int(codes.max()) < 1024


def test_a_single_large_codebook_is_possible() -> None:
    config = replace(SMALL, codebooks=1, codebook_size=2**15)
    codes = a_model(config).encode(signal(20 * HOP, 16000), 1)
    assert int(codes.max()) > 1024


def test_compressing_keeps_the_phase_and_takes_the_root_of_the_magnitude() -> None:
    model = a_model()
    audio = signal(4 * HOP, 16000)
    window = torch.hann_window(2 * HOP).sqrt()
    plain = torch.fft.rfft(audio[0, 0, HOP : 3 * HOP] * window, norm="ortho")
    compressed = model.compress(audio)[0, 1]
    torch.testing.assert_close(compressed.abs(), plain.abs().sqrt(), atol=1e-4, rtol=1e-3)
    loud = plain.abs() > 1e-3
    torch.testing.assert_close(compressed[loud].angle(), plain[loud].angle(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("overlap", [0, 64, 192])
def test_expanding_undoes_compressing(overlap: int) -> None:
    model = a_model(replace(SMALL, overlap=overlap))
    audio = signal(10 * HOP, 16000, batch=2)
    inner = slice(HOP, -HOP)
    out = model.expand(model.compress(audio))
    torch.testing.assert_close(out[..., inner], audio[..., inner], atol=1e-5, rtol=0)


def test_windows_reach_no_further_than_they_overlap() -> None:
    window = a_model(replace(SMALL, overlap=64)).window
    assert not window[:128].any() and not window[-128:].any()
    assert bool((window[192:-192] == 1).all())


def test_the_first_layer_is_a_complex_convolution() -> None:
    conv = nn.Conv2d(3, 8, (3, 4))
    x = torch.randn(2, 3, 5, 9, dtype=torch.complex64)

    def run(parts: Tensor, carry: Carry) -> Tensor:
        return F.conv2d(parts, conv.weight)

    real, imaginary = complex_convolution(run, x.real, x.imag, Carry())
    kernel = torch.complex(conv.weight[:4], conv.weight[4:])
    torch.testing.assert_close(torch.complex(real, imaginary), F.conv2d(x, kernel))


@ALL
@pytest.mark.parametrize("samples", [1, 319, 320, 321, 5000])
@pytest.mark.parametrize("chunk", [77, 500, 3200])
def test_a_stream_gives_the_codes_and_the_audio_of_the_whole_signal(
    config: SpecTokenizerConfig, samples: int, chunk: int
) -> None:
    model = a_model(config)
    audio = signal(samples, 16000, batch=2)
    parts, state = [], None
    for start in range(0, samples, chunk):
        codes, state = encode_stream(
            model, audio[..., start : start + chunk], 4, state, last=start + chunk >= samples
        )
        parts.append(codes)
    codes = torch.cat(parts, dim=-1)
    assert codes.shape[-1] == -(-samples // HOP) + 1
    agree(codes, whole(model, audio))
    assert samples < 5000 or codes.unique().numel() > 8

    parts, state = [], None
    for start in range(codes.shape[-1]):
        out, state = decode_stream(
            model, codes[..., start : start + 1], state, last=start + 1 == codes.shape[-1]
        )
        parts.append(out)
    out = torch.cat(parts, dim=-1)
    assert out.shape[-1] == -(-samples // HOP) * HOP
    torch.testing.assert_close(out, decode_stream(model, codes, last=True)[0], atol=1e-5, rtol=0)


@ALL
def test_codes_do_not_depend_on_the_future(config: SpecTokenizerConfig) -> None:
    model = a_model(config)
    audio = signal(20 * HOP, 16000)
    other = audio.clone()
    other[..., 10 * HOP :] = signal(10 * HOP, 16000, seed=1)
    one, two = whole(model, audio), whole(model, other)
    assert torch.equal(one[..., :10], two[..., :10])
    assert not torch.equal(one[..., 10:], two[..., 10:])


def test_phases_above_the_lowest_bins_do_not_reach_the_codes() -> None:
    model = a_model(NOISY)
    spectrum = model.compress(signal(20 * HOP, 16000))

    def latent(bins: slice) -> Tensor:
        turned = spectrum.clone()
        turned[..., bins] *= torch.tensor(1j)
        return model.encoder(turned, Carry())

    torch.testing.assert_close(latent(slice(96, None)), latent(slice(0, 0)), atol=1e-5, rtol=0)
    assert not torch.allclose(latent(slice(0, 96)), latent(slice(0, 0)), atol=1e-2)


def test_noise_is_a_function_of_the_codes_and_differs_between_chunks() -> None:
    model = a_model(NOISY)
    codes = torch.randint(0, 64, (1, 4, 20))
    other = codes.clone()
    other[0, 0, -1] = (other[0, 0, -1] + 1) % 64  # the noise begins a frame later
    first, again, shifted = (model.decode(c)[..., : 10 * HOP] for c in (codes, codes, other))
    assert torch.equal(first, again)
    spectra = [torch.fft.rfft(x[0, 0]).abs() for x in (first, shifted)]
    high = slice(len(spectra[0]) // 2, None)
    assert not torch.allclose(spectra[0][high], spectra[1][high], atol=1e-3)


def test_audio_does_not_depend_on_later_frames_but_one() -> None:
    model = a_model()
    codes = torch.randint(0, 64, (1, 4, 20))
    other = codes.clone()
    other[..., 10:] = torch.randint(0, 64, (1, 4, 10))
    one, two = (decode_stream(model, c, last=True)[0] for c in (codes, other))
    done = 9 * HOP
    torch.testing.assert_close(one[..., :done], two[..., :done], atol=1e-6, rtol=0)
    assert not torch.equal(one[..., done:], two[..., done:])


def test_a_chunk_gives_as_many_samples_as_it_took() -> None:
    model = a_model()
    audio = signal(51 * HOP, 16000, batch=3)
    codes = model.encode(audio, 4)
    assert codes.shape == (3, 4, 50)
    assert model.decode(codes).shape == audio.shape
    with pytest.raises(ValueError, match="1000 samples are not two or more hops of 320"):
        model.encode(audio[..., :1000], 4)


def test_weights_saved_here_load_here(tmp_path: Path) -> None:
    model = a_model()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    loaded = SpecTokenizer.load(tmp_path / "weights.safetensors", SMALL)
    audio = signal(5000, 16000)
    assert torch.equal(whole(loaded, audio), whole(model, audio))
    with pytest.raises(ModelError, match="shape"):
        SpecTokenizer.load(tmp_path / "weights.safetensors", SPECTOKENIZER_MINI)


def test_gradients_are_finite_even_on_silence() -> None:
    model = a_model()
    with torch.enable_grad():
        model.synthesise(model.analyse(torch.zeros(1, 1, 5 * HOP))).square().sum().backward()
    network = [*model.encoder.parameters(), *model.decoder.parameters()]
    assert all(bool(p.grad.isfinite().all()) for p in network if p.grad is not None)
    assert any(p.grad is not None for p in network)


def test_a_hop_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(ValueError, match="a hop of 300 samples cannot be halved 5 times"):
        SpecTokenizer(replace(SMALL, hop=300))


def test_channels_that_cannot_be_shared_out_are_refused() -> None:
    with pytest.raises(ValueError, match="12 channels at first are no multiple of 8"):
        SpecTokenizer(replace(NOISY, channels=(12, 8, 8, 8, 12)))
