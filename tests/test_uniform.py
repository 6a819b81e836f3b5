"""Uniform codes: tensors in every shape, there and back, vectors, gradients, devices, pickles."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from networks import signal
from small_codecs import NAMES, codec

import neucodec
from neucodec import Model, NeucodecError, Tokens

SMALL = "specmini-16khz"
KINDS = pytest.mark.parametrize("name", [name for name in NAMES if name != "neu-44khz"])


@pytest.fixture(scope="module")
def model() -> Model:
    return neucodec.load_model(SMALL)


def noise(samples: int, *shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, samples, generator=torch.Generator().manual_seed(0))


@KINDS
def test_every_frame_stands_for_one_hop(name: str) -> None:
    model = Model(codec(name))
    card = model.card
    second = card.chunk_stride
    for samples in (1, card.hop + 1, second + card.hop + 1):
        audio = signal(samples, card.sample_rate, card.channels, 2)
        tokens = model.encode(audio, codebooks=4)
        assert tokens.codes.shape == (2, 4, math.ceil(samples / card.hop))
        assert 0 <= int(tokens.codes.min()) <= int(tokens.codes.max()) < card.codebook_size
        decoded = model.decode(tokens)
        assert decoded.shape == audio.shape and bool(decoded.isfinite().all())
        alone = model.encode(audio[1], codebooks=4)
        assert torch.equal(alone.codes[0], tokens.codes[1])
        assert torch.equal(model.decode(alone)[0], decoded[1])


@pytest.mark.parametrize("name", ["neu2-44khz", SMALL, "neu-16khz"])
def test_uniform_codes_sound_like_those_of_a_file(name: str) -> None:
    model = Model(codec(name))
    audio = signal(3 * model.sample_rate, model.sample_rate)

    def error(**options: Any) -> float:
        tokens = model.encode(audio, **options)
        return float((model.decode(tokens) - audio).square().mean().log10())

    assert error() == pytest.approx(error(uniform=False), abs=0.02)
    assert error(one_level=True) == pytest.approx(error(uniform=False), abs=0.03)


def test_uniform_codes_are_those_of_files_without_shared_frames() -> None:
    model = neucodec.load_model("neu2-44khz")
    audio = signal(2 * model.card.chunk_stride + 9000, model.sample_rate)
    uniform = model.encode(audio, codebooks=3).codes
    stored = model.encode(audio, codebooks=3, uniform=False).codes[:, 0]
    frames, own = model.card.chunk_frames, model.card.chunk_stride // model.card.hop
    for chunk in range(2):
        kept = stored[..., chunk * frames : chunk * frames + own]
        assert torch.equal(uniform[..., chunk * own : (chunk + 1) * own], kept)
    assert torch.equal(uniform[..., 2 * own :], stored[..., 2 * frames :])


def test_audio_is_taken_in_every_shape_and_type(model: Model) -> None:
    one = noise(5000)
    expected = model.encode(one[None, None]).codes
    integers = (one * 32768).round().to(torch.int16)
    for given in (one, one[None], one.double(), one.numpy(), list(one.tolist()), one[None].numpy()):
        assert torch.equal(model.encode(given).codes, expected)
    rounded = model.encode(integers.float() / 32768).codes
    assert torch.equal(model.encode(integers).codes, rounded)
    assert torch.equal(model.encode(integers.numpy().astype(">i2")).codes, rounded)
    assert torch.equal(model.encode(integers.int() * 65536).codes, rounded)
    stereo = model.encode(noise(5000, 2))
    assert stereo.codes.shape == (1, 2, model.card.default_codebooks, 16)
    assert model.decode(stereo).shape == (1, 2, 5000)


def test_audio_of_any_rate_is_brought_to_the_models(model: Model) -> None:
    tokens = model.encode(noise(44100, 1, 1), 44100)
    assert (tokens.samples, tokens.codes.shape[-1]) == (16000, 50)
    assert model.decode(tokens, 44100).shape == (1, 1, 44100)
    assert model.decode(tokens).shape == (1, 1, 16000)
    with pytest.raises(NeucodecError, match="1000 to 768000 Hz are possible"):
        model.encode(noise(800), 10)


def test_padded_signals_are_coded_as_they_are_alone(model: Model) -> None:
    audio, lengths = noise(40000, 3, 1), [40000, 100, 33000]
    tokens = model.encode(audio, lengths=lengths, codebooks=2)
    assert tokens.codes.shape == (3, 2, 125) and tokens.lengths is not None
    assert tokens.lengths.tolist() == lengths
    assert tokens.mask is not None and tokens.mask.sum(-1).tolist() == [125, 1, 104]
    assert not tokens.codes[1, :, 1:].any()
    mask = torch.arange(40000) < torch.tensor(lengths)[:, None]
    again = model.encode(audio, mask=mask, codebooks=2)
    assert torch.equal(again.codes, tokens.codes)
    decoded = model.decode(tokens.first(1))
    for row, length in enumerate(lengths):
        alone = model.encode(audio[row, :, :length], codebooks=1)
        assert torch.equal(model.decode(alone)[0], decoded[row, :, :length])
        assert not decoded[row, :, length:].any()
    for wrong, message in (
        ({"lengths": [1, 2]}, "2 lengths for 3 signals"),
        ({"lengths": [0, 1, 2]}, "a length is 0: give 1 to 40000"),
        ({"mask": ~mask}, "a mask with holes"),
        ({"mask": mask[:2]}, r"a mask of shape \[2, 40000\]"),
        ({"mask": mask, "lengths": lengths}, "give either"),
    ):
        with pytest.raises(NeucodecError, match=message):
            model.encode(audio, **wrong)  # type: ignore[arg-type]


def test_plain_codes_are_decoded_at_a_level_of_one(model: Model) -> None:
    tokens = model.encode(noise(20000), codebooks=3)
    assert tokens.scales is not None
    ones = Tokens(tokens.codes, torch.ones_like(tokens.scales), 63 * 320, uniform=True)
    expected = model.decode(ones)
    for codes in (tokens.codes, tokens.codes[0], tokens.codes[0].numpy().astype(np.int16)):
        assert torch.equal(model.decode(codes), expected)
    assert float(expected.square().mean().sqrt()) == pytest.approx(1, abs=0.3)
    for codes, message in (
        (tokens.codes * 0 - 1, "codes from -1 to .*: specmini-16khz has 0 to 1023"),
        (tokens.codes + 1023, "codes from .*: specmini-16khz has 0 to 1023"),
        (tokens.codes.float(), r"give integers \[batch, codebooks, frames\]"),
        (torch.zeros(1, 13, 9, dtype=torch.int64), "with 1 to 12 codebooks"),
        ("song.npy", "codes given as str"),
    ):
        with pytest.raises(NeucodecError, match=message):
            model.decode(codes)


def test_one_level_is_the_same_for_all_chunks(model: Model) -> None:
    audio = noise(64000, 2) * torch.linspace(0.1, 1, 64000)
    scales = model.encode(audio, one_level=True).scales
    assert scales is not None and scales.shape == (1, 2, 4)
    assert bool((scales == scales[..., :1]).all())
    several = model.encode(audio).scales
    assert several is not None and bool((several[..., 3] > 2 * several[..., 0]).all())


@KINDS
def test_vectors_stand_for_codes_and_give_audio(name: str) -> None:
    model = Model(codec(name))
    audio = signal(model.sample_rate // 2, model.sample_rate, model.card.channels, 2)
    tokens = model.encode(audio, codebooks=4)
    vectors = model.embed(tokens)
    assert vectors.shape[:2] == (2, tokens.codes.shape[-1]) and vectors.dtype == torch.float32
    assert torch.equal(model.embed(tokens.codes[1])[0], vectors[1])
    other = tokens.codes.clone()
    other[0, 0, 3] = (other[0, 0, 3] + 1) % model.codebook_size
    changed = (model.embed(other) != vectors).any(-1)
    assert changed.nonzero().tolist() == [[0, 3]]
    wide = tokens.codes.shape[-1] * model.card.hop
    assert model.synthesise(vectors).shape == (2, model.card.channels, wide)


@KINDS
def test_gradients_flow_where_they_are_asked_for(name: str) -> None:
    model = Model(codec(name))
    audio = signal(model.sample_rate // 4, model.sample_rate, model.card.channels)
    assert not model.reconstruct(audio, codebooks=4).requires_grad
    asked = audio.clone().requires_grad_()
    out = model.reconstruct(asked, codebooks=4)
    assert out.shape == audio.shape
    out.square().sum().backward()
    assert asked.grad is not None and bool(asked.grad.any())
    codes = model.encode(audio, codebooks=4).codes
    vectors = model.embed(codes).requires_grad_()
    model.synthesise(vectors).square().sum().backward()
    assert vectors.grad is not None and bool(vectors.grad.any())


def test_gradients_reach_the_codebooks_where_they_are_asked_for() -> None:
    model = Model(codec(SMALL))
    model.network.requires_grad_()
    model.embed(torch.zeros(2, 5, dtype=torch.int64)).sum().backward()
    got = [p.grad for p in model.network.parameters() if p.grad is not None]
    assert got and any(bool(grad.any()) for grad in got)


def test_a_model_says_what_and_where_it_is(model: Model) -> None:
    assert repr(model) == (
        "<Model 'specmini-16khz': 16000 Hz, mono, 12 codebooks of 1024, 50 frames/s, on cpu>"
    )
    assert (model.device, model.dtype) == (torch.device("cpu"), torch.float32)
    assert model.to("cpu") is model and model.to(torch.device("cpu")) is model
    with pytest.raises(NeucodecError, match="no device 'nowhere' here"):
        model.to("nowhere")
    with pytest.raises(NeucodecError, match="weights stay float32"):
        model.to(torch.float16)  # type: ignore[arg-type]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@KINDS
def test_a_model_moves_to_a_gpu_and_leaves_the_other_where_it_is(name: str) -> None:
    model = Model(codec(name))
    moved = model.to("cuda")
    assert (moved.device.type, model.device.type) == ("cuda", "cpu")
    audio = signal(model.sample_rate, model.sample_rate, model.card.channels).cuda()
    tokens = moved.encode(audio)
    assert tokens.codes.device.type == "cuda" and moved.decode(tokens).device.type == "cuda"
    close = (moved.to("cpu").decode(tokens.to("cpu")) - moved.decode(tokens).cpu()).abs().max()
    assert float(close) < 1e-3


@KINDS
def test_a_model_goes_into_a_pickle_and_comes_out_the_same(name: str) -> None:
    model = Model(codec(name))
    again = pickle.loads(pickle.dumps(model))
    audio = signal(5000, model.sample_rate, model.card.channels)
    assert torch.equal(again.encode(audio).codes, model.encode(audio).codes)
    assert again.codec.fingerprint == model.codec.fingerprint
