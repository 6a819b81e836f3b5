"""EnCodec through .ncf: the 24 kHz model as one stream, the 48 kHz model in the peer's segments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from networks import agree, signal
from published import codes_in, damaged, decoder, from_ncf, scales_in, small, to_ncf
from safetensors.torch import save_file
from test_encodec import MONO, STEREO, a_model, saved, their_codes, theirs
from torch import Tensor

from neucodec.models.codec import AudioChunk, Codec
from neucodec.models.families.encodec.network import rename
from neucodec.models.parts.state_dict import read_checkpoint
from neucodec.models.strategies import StreamCodec, cancel

STRIDE = 24000  # of the mono model
SEGMENTS = {"chunk_frames": 15, "chunk_stride": 4752}


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


class Pair(NamedTuple):
    """The peer's small model, and ours from its file."""

    peer: Any
    ours: Codec


@pytest.fixture(scope="module")
def mono(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    with torch.no_grad():
        model = theirs(MONO)
    path = saved(model, tmp_path_factory.mktemp("mono"))
    return Pair(model, small("encodec-24khz", path, MONO))


@pytest.fixture(scope="module")
def stereo(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    with torch.no_grad():
        model = theirs(STEREO)
    path = saved(model, tmp_path_factory.mktemp("stereo"))
    return Pair(model, small("encodec-48khz", path, STEREO, **SEGMENTS))


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    """A small mono model of our own, for what needs no comparison."""
    path = tmp_path_factory.mktemp("ours")
    with torch.no_grad():
        return small("encodec-24khz", saved(a_model(), path), MONO)


@pytest.mark.parametrize("samples", [1, 2000, STRIDE, STRIDE + 1, 3 * STRIDE + 4321])
def test_a_stream_is_coded_as_the_peer_codes_the_whole(mono: Pair, samples: int) -> None:
    audio = signal(samples, 24000, channels=2, seed=samples)[0]
    data = to_ncf(mono.ours, audio, codebooks=8)
    [(codes, _)] = their_codes(mono.peer, audio[:, None], 8)
    found = torch.cat(codes_in(data), dim=-1)
    agree(found, codes)
    decoded = mono.peer.decode([(found, None)])[:, 0, :samples]
    torch.testing.assert_close(from_ncf(mono.ours, data), decoded, atol=1e-4, rtol=0)


def test_frames_are_as_many_as_the_bitrate_says(mono: Pair) -> None:
    codes = codes_in(to_ncf(mono.ours, signal(4 * STRIDE, 24000)[0], codebooks=2))
    assert [c.shape for c in codes] == 4 * [(1, 2, 75)]


def test_a_stream_is_the_same_however_many_chunks_are_under_way(stream: Codec) -> None:
    audio = signal(6 * STRIDE + 99, 24000, channels=2)[0]
    coded = [to_ncf(stream, audio, codebooks=8, threads=n) for n in (1, 2, 5)]
    assert coded[0] == coded[1] == coded[2]
    alone, *others = (from_ncf(stream, coded[0], threads=n) for n in (1, 2, 5))
    assert all(torch.equal(alone, other) for other in others)


def test_a_chunk_does_not_wait_for_one_that_has_failed(stream: Codec) -> None:
    assert isinstance(stream, StreamCodec)
    audio = signal(STRIDE, 24000)
    first, second = (
        AudioChunk(audio=part, before=0, frames=75, last=last)
        for part, last in ((audio, False), (audio, True))
    )
    place = stream.prepare_encoding(first, None)
    following = stream.prepare_encoding(second, place)
    with pytest.raises(ValueError, match="99 codebooks"):
        stream.encode(first, 99, place)
    stream.encode(second, 8, following)  # the first got through all that the second needs
    place = stream.prepare_encoding(first, None)
    following = stream.prepare_encoding(second, place)
    cancel(place)
    with pytest.raises(RuntimeError, match="chunk before has failed"):
        stream.encode(second, 8, following)


def test_a_stream_from_the_middle_soon_is_that_from_the_start(stream: Codec) -> None:
    """The LSTM forgets in the chunks that are decoded before the first one wanted."""
    data = to_ncf(stream, signal(8 * STRIDE, 24000)[0], codebooks=8)
    whole = from_ncf(stream, data)
    part = from_ncf(stream, data, start=6.5, end=7.25)
    torch.testing.assert_close(part, whole[:, 156000:174000], atol=1e-4, rtol=0)
    early = from_ncf(stream, data, start=1.5, end=2.25)  # there, it has run from the start
    assert torch.equal(early, whole[:, 36000:54000])


def test_damage_to_a_stream_is_forgotten(stream: Codec) -> None:
    data = to_ncf(stream, signal(8 * STRIDE, 24000)[0], codebooks=8)
    whole = from_ncf(stream, data)
    broken = decoder(stream, damaged(data, 3))
    out = torch.cat([torch.from_numpy(block.T) for block in broken.blocks()], dim=1)
    assert broken.damaged == [(3.0, 4.0)]
    assert not out[:, 3 * STRIDE : 4 * STRIDE].any()
    assert torch.equal(out[:, : 3 * STRIDE], whole[:, : 3 * STRIDE])
    torch.testing.assert_close(out[:, 7 * STRIDE :], whole[:, 7 * STRIDE :], atol=1e-4, rtol=0)


def by_segment(model: Any, audio: Tensor, codebooks: int) -> list[tuple[Tensor, Tensor]]:
    return their_codes(model, audio[None], codebooks)  # type: ignore[return-value]


@pytest.mark.parametrize("samples", [1, 4000, 4752, 4800, 4752 + 400, 3 * 4752 + 1000, 30000])
def test_segments_and_their_scales_are_the_peers(stereo: Pair, samples: int) -> None:
    audio = signal(samples, 48000, channels=2, seed=samples)[0]
    data = to_ncf(stereo.ours, audio, codebooks=4)
    expected = by_segment(stereo.peer, audio, 4)
    for found, scales, (codes, scale) in zip(
        codes_in(data), scales_in(data), expected, strict=True
    ):
        agree(found, codes)
        torch.testing.assert_close(torch.tensor(scales), scale[:, 0])
    decoded = stereo.peer.decode(expected)[0, :, :samples]
    torch.testing.assert_close(from_ncf(stereo.ours, data), decoded, atol=1e-4, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_channel_without_a_partner_comes_back_alone(stereo: Pair, channels: int) -> None:
    audio = signal(9000, 48000, channels)[0]
    data = to_ncf(stereo.ours, audio, codebooks=16)
    out = from_ncf(stereo.ours, data)
    assert out.shape == audio.shape
    [twice, *_] = by_segment(stereo.peer, audio[-1:].expand(2, -1), 16)
    agree(codes_in(data)[0][-1:], twice[0])
    pair = to_ncf(stereo.ours, audio[-1:].expand(2, -1), codebooks=16)
    torch.testing.assert_close(out[-1], from_ncf(stereo.ours, pair).mean(dim=0))


def test_a_range_of_segments_is_what_the_whole_has_there(stereo: Pair) -> None:
    data = to_ncf(stereo.ours, signal(48000, 48000, channels=2)[0], codebooks=4)
    whole = from_ncf(stereo.ours, data)
    for start, end in ((0.0, 0.05), (0.0991, 0.3), (0.4, 2.0)):
        part = from_ncf(stereo.ours, data, start=start, end=end)
        assert torch.equal(part, whole[:, round(start * 48000) : round(end * 48000)])


def test_the_same_weights_in_another_format_have_the_same_fingerprint(
    mono: Pair, stream: Codec, tmp_path: Path
) -> None:
    folded = rename(read_checkpoint(saved(mono.peer, tmp_path)).tensors)
    save_file(folded, tmp_path / "model.safetensors")
    other = small("encodec-24khz", tmp_path / "model.safetensors", MONO)
    assert other.fingerprint == mono.ours.fingerprint != stream.fingerprint
