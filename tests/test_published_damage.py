"""Files of published codecs that no encoder of ours writes, or that were damaged: no traceback."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import signal
from published import decoder, from_ncf, small, to_ncf
from test_encodec import MONO, a_model, saved
from test_published_dac import STRIDE, codec_of, our_weights

from neucodec.formats import Chunk, NcfReader, NcfWriter
from neucodec.models.codec import Codec


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module", params=["context", "stream"])
def codec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Codec:
    path = tmp_path_factory.mktemp("weights")
    with torch.no_grad():
        if request.param == "stream":
            short = {"chunk_frames": 30, "chunk_stride": 30 * 320}
            return small("encodec-24khz", saved(a_model(), path), MONO, **short)
        return codec_of("44khz", our_weights(path), chunk_frames=20, chunk_stride=STRIDE)


def rewritten(data: bytes, **changes: dict[int, object]) -> bytes:
    """The same file, some fields of some chunks changed: field to index to value."""
    reader, target = NcfReader(io.BytesIO(data)), io.BytesIO()
    writer = NcfWriter(target, reader.header)
    for chunk in reader:
        new = {name: values[chunk.index] for name, values in changes.items()
               if chunk.index in values}  # fmt: skip
        writer.write(replace(chunk, **new))  # type: ignore[arg-type]
    writer.close(reader.frames or 0)
    return target.getvalue()


def fewer_codebooks(data: bytes, index: int) -> bytes:
    reader = NcfReader(io.BytesIO(data))
    chunk = reader.read_chunk(index)
    assert isinstance(chunk, Chunk)
    # A multiple of 8 codes: whole bytes for each codebook of 10-bit or 6-bit codes.
    half = len(chunk.payload) // 2
    return rewritten(
        data, payload={index: chunk.payload[:half]}, codebooks={index: chunk.codebooks // 2}
    )


def test_a_silent_chunk_is_silence(codec: Codec) -> None:
    stride = codec.card.chunk_stride
    data = to_ncf(codec, signal(4 * stride, 24000)[0], codebooks=4, entropy="none")
    out = from_ncf(codec, rewritten(data, codebooks={1: 0}, payload={1: b""}))
    assert out.shape == (1, 4 * stride)
    assert not out[:, stride : 2 * stride].any() and out[:, 2 * stride :].any()


def test_chunks_may_have_fewer_codebooks_than_their_neighbours(codec: Codec) -> None:
    stride = codec.card.chunk_stride
    data = to_ncf(codec, signal(4 * stride, 24000)[0], codebooks=8, entropy="none")
    out = from_ncf(codec, fewer_codebooks(data, 1))
    assert out.shape == (1, 4 * stride) and out[:, stride : 2 * stride].any()
    assert float(out.abs().max()) < 100


def test_mid_and_side_among_three_channels_are_the_first_two(codec: Codec) -> None:
    stride = codec.card.chunk_stride
    data = to_ncf(codec, signal(2 * stride, 24000, channels=3)[0], codebooks=2)
    marked = rewritten(data, mid_side={0: True, 1: True})
    reading = decoder(codec, marked)
    assert sum(len(block) for block in reading.blocks()) == 2 * stride
    assert not reading.damaged
    first, second, third = from_ncf(codec, data)
    expected = torch.stack([first + second, first - second, third])
    torch.testing.assert_close(from_ncf(codec, marked), expected, atol=1e-5, rtol=0)


def test_flipped_bits_and_cuts_never_raise(codec: Codec) -> None:
    rng = np.random.default_rng(0)
    data = to_ncf(codec, signal(5 * codec.card.chunk_stride, 24000)[0], codebooks=2)
    start = NcfReader(io.BytesIO(data)).table()[0].offset
    for _ in range(25):
        bad = bytearray(data)
        for at in rng.integers(start, len(bad), 3):
            bad[at] ^= 1 << int(rng.integers(8))
        cut = bytes(bad[: int(rng.integers(start, len(bad) + 1))])
        total = sum(len(block) for block in decoder(codec, cut).blocks())
        assert total <= 5 * codec.card.chunk_stride
