"""HiFi-Codec and SpecTokenizer through .ncf: segments and overlapped chunks, each by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import test_hificodec
import test_spectokenizer
import torch
from networks import agree, signal
from published import codes_in, damaged, decoder, from_ncf, small, to_ncf
from safetensors.torch import save_file
from test_hificodec import Reference

from neucodec.coding.chunks import extended
from neucodec.errors import NeucodecError
from neucodec.models.codec import Codec

FRAMES, OVERLAP = 12, 2 * 320
SEGMENT = FRAMES * 320
STRIDE = SEGMENT - OVERLAP
HIFI = test_hificodec.SMALL[0]


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def hifi(tmp_path_factory: pytest.TempPathFactory) -> tuple[Reference, Codec]:
    """The published network written out, and ours from its file, in segments of 12 frames."""
    with torch.no_grad():
        weights = test_hificodec.published(HIFI)
    path = tmp_path_factory.mktemp("hifi") / "HiFi-Codec-24k-320d"
    torch.save(weights, path)
    short = {"chunk_frames": FRAMES, "chunk_stride": STRIDE}
    codec = small("hificodec-24khz-320d", path, HIFI, **short, codebooks=4)
    return Reference(weights, HIFI), codec


def test_segments_are_coded_as_published_and_cross_faded(hifi: tuple[Reference, Codec]) -> None:
    reference, codec = hifi
    audio = signal(3 * STRIDE + 5 * 320, 24000)
    data = to_ncf(codec, audio[0])
    found = codes_in(data)
    parts = []
    for index, codes in enumerate(found):
        segment = audio[..., index * STRIDE : index * STRIDE + SEGMENT]
        agree(codes, reference.codes(segment))
        parts.append(reference.audio(codes)[0, 0])
    assert [c.shape[-1] for c in found] == [12, 12, 12, 5]

    expected = torch.zeros(audio.shape[-1])
    fade = torch.arange(1, OVERLAP + 1) / (OVERLAP + 1)
    for index, part in enumerate(parts):
        if index:
            part[:OVERLAP] *= fade
        if index < 3:
            part[STRIDE:] *= fade.flip(0)
        expected[index * STRIDE : index * STRIDE + len(part)] += part
    torch.testing.assert_close(from_ncf(codec, data)[0], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("samples", [1, 319, 320, STRIDE, STRIDE + 1, SEGMENT + 1, 20001])
def test_lengths_are_exact(hifi: tuple[Reference, Codec], samples: int) -> None:
    audio = signal(samples, 24000, channels=2)[0]
    assert from_ncf(hifi[1], to_ncf(hifi[1], audio)).shape == audio.shape


def test_only_the_published_number_of_codebooks_is_offered(hifi: tuple[Reference, Codec]) -> None:
    _, codec = hifi
    audio = signal(1000, 24000)[0]
    for wrong in ({"codebooks": 2}, {"bitrate": 1500.0}):
        with pytest.raises(NeucodecError, match=r"give 4|possible are 2\.16 kbps"):
            to_ncf(codec, audio, **wrong)


def test_a_lost_segment_is_a_gap_with_soft_edges(hifi: tuple[Reference, Codec]) -> None:
    _, codec = hifi
    data = to_ncf(codec, signal(5 * STRIDE, 24000)[0])
    whole = from_ncf(codec, data)
    out = torch.cat(
        [torch.from_numpy(b.T) for b in decoder(codec, damaged(data, 2)).blocks()], dim=1
    )
    assert not out[:, 2 * STRIDE + OVERLAP : 3 * STRIDE].any()
    for kept in (slice(0, 2 * STRIDE), slice(3 * STRIDE + OVERLAP, None)):
        assert torch.equal(out[:, kept], whole[:, kept])


def test_spectokenizer_chunks_join_to_the_signal_of_their_windows(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Each chunk is coded with half a hop around it, its windows ready to be added."""
    network = test_spectokenizer.a_model()
    path = tmp_path_factory.mktemp("spectokenizer") / "mini.safetensors"
    save_file(network.state_dict(), path)
    short = {"chunk_frames": 10, "chunk_stride": 3200, "level": "none"}
    codec = small("spectokenizer-16khz-mini", path, network.config, **short)
    audio = signal(3 * 3200, 16000)
    data = to_ncf(codec, audio[0], codebooks=4)

    padded = torch.from_numpy(extended(audio[0].numpy(), 160, 160))[None]
    expected = torch.zeros(1, 1, padded.shape[-1])
    for index, codes in enumerate(codes_in(data)):
        start = index * 3200
        chunk = padded[..., start : start + 3520]
        agree(codes, network.encode(chunk, 4))
        expected[..., start : start + 3520] += network.decode(codes)
    out = from_ncf(codec, data)
    inner = slice(160, 3 * 3200 - 160)  # outside of it, windows lack a neighbour
    torch.testing.assert_close(out[:, inner], expected[0, :, 160:-160][:, inner], atol=1e-5, rtol=0)
