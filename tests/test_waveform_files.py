"""Files with waveform layers: what more bits bring, where they are, and what damage costs."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest
import torch
from networks import signal
from published import damaged, decoder, from_ncf, to_ncf
from small_codecs import codec

from neucodec.formats import LayerKind, NcfReader

RATE, STRIDE, BLOCK = 44100, 43008, 1792
Samples = npt.NDArray[np.float32]


@lru_cache
def original(channels: int = 2) -> Samples:
    """Make two chunks and a part of a third."""
    audio: Samples = signal(round(2.3 * STRIDE), RATE, channels)[0].numpy()
    return audio


@lru_cache
def file_of(bitrate: float, channels: int = 2) -> bytes:
    """Encode that, all channels together at ``bitrate``."""
    audio = signal(round(2.3 * STRIDE), RATE, channels)[0]
    return to_ncf(codec("neu2-44khz"), audio, bitrate=bitrate, threads=1, entropy="none")


@lru_cache
def heard(bitrate: float, channels: int = 2) -> Samples:
    """Decode it again."""
    data = file_of(bitrate, channels)
    audio: Samples = from_ncf(codec("neu2-44khz"), data, threads=1).numpy()
    return audio


def test_more_bits_never_make_a_larger_error() -> None:
    errors = [
        float(np.square(heard(bitrate, 1) - original(1)).sum())
        for bitrate in (6000.0, 12000.0, 32000.0)
    ]
    assert errors == sorted(errors, reverse=True)


def test_a_range_is_as_the_whole_has_it() -> None:
    data, whole = file_of(16000.0), heard(16000.0)
    for start, end in ((0.3, 0.4), (0.97, 1.02), (1.5, 9.0)):
        part = from_ncf(codec("neu2-44khz"), data, start=start, end=end, threads=2).numpy()
        assert np.array_equal(part, whole[:, round(start * RATE) : round(end * RATE)])


def test_a_damaged_chunk_costs_its_second() -> None:
    whole = heard(16000.0)
    found = decoder(codec("neu2-44khz"), damaged(file_of(16000.0), 1), threads=1)
    audio = np.concatenate(list(found.blocks())).T
    assert found.lost_chunks == [1]
    near = 2560 + BLOCK + BLOCK // 8
    assert np.array_equal(audio[:, : STRIDE - near], whole[:, : STRIDE - near])
    assert np.array_equal(audio[:, 2 * STRIDE + near :], whole[:, 2 * STRIDE + near :])


@pytest.mark.parametrize(
    "options", [{"layer": False}, {"codebooks": 3}, {"rate_mode": "nominal"}, {"bitrate": 3000.0}]
)
def test_files_made_otherwise_have_none(options: dict[str, object]) -> None:
    audio = signal(4000, RATE, 1)[0]
    options = {"entropy": "none", "bitrate": None if "codebooks" in options else 8000.0} | options
    data = to_ncf(codec("neu2-44khz"), audio, **options)
    assert NcfReader(io.BytesIO(data)).header.layer != LayerKind.WAVEFORM


@pytest.mark.parametrize("samples", [1, BLOCK, STRIDE + 1])
def test_a_last_chunk_may_have_any_length(samples: int) -> None:
    audio = signal(samples, RATE, 1)[0]
    data = to_ncf(codec("neu2-44khz"), audio, bitrate=12000.0, entropy="none")
    found = from_ncf(codec("neu2-44khz"), data).numpy()
    assert found.shape == (1, samples) and np.isfinite(found).all()


def test_what_silence_saves_is_not_more_than_a_layer_may_take() -> None:
    """Noise after silence gets more bits than usual, and at the highest bitrate all that fit."""
    noise = np.random.default_rng(0).normal(0, 0.2, (1, STRIDE)).astype(np.float32)
    audio = np.concatenate([np.zeros((1, 6 * STRIDE), np.float32), noise], axis=1)
    data = to_ncf(
        codec("neu2-44khz"), torch.from_numpy(audio), bitrate=32000.0, threads=1, entropy="none"
    )
    reader = NcfReader(io.BytesIO(data))
    layers = [len(chunk.layer) for chunk in reader]
    assert layers[:5] == [0] * 5
    assert 0.9 * reader.header.largest_layer < max(layers) <= reader.header.largest_layer
