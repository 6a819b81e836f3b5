"""DAC through .ncf: the peer's codes and audio of the whole file, whatever the chunks."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import agree, randomise, signal
from published import codes_in, damaged, decoder, from_ncf, small, to_ncf
from safetensors.torch import save_file
from test_dac import SMALL, VARIANTS, by_layers, saved, theirs

from neucodec.coding.decoder import Decoder
from neucodec.errors import NeucodecError
from neucodec.formats import NcfReader
from neucodec.models.codec import Codec
from neucodec.models.families.dac.network import Dac, DacConfig


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def narrow(variant: str) -> DacConfig:
    config = VARIANTS[variant]
    return replace(config, **SMALL, latent=16 if config.latent == 128 else 64)


def codec_of(variant: str, path: Path, **changes: Any) -> Codec:
    return small(f"dac-{variant}", path, narrow(variant), **changes)


def our_weights(path: Path, seed: int = 0) -> Path:
    """A file of a small 44.1 kHz model, for what needs no comparison."""
    torch.manual_seed(seed)
    network = Dac(narrow("44khz")).eval()
    for book in network.quantiser.codebooks:
        torch.nn.init.normal_(book.entries)
    audio = signal(4096, 44100, batch=2)
    randomise(network, lambda: by_layers(network, network.encode(audio, 4)), seed)
    save_file(network.state_dict(), path / "dac.safetensors")
    return path / "dac.safetensors"


STRIDE = 20 * 512


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    """In chunks of a quarter of a second."""
    with torch.no_grad():
        path = our_weights(tmp_path_factory.mktemp("weights"))
    return codec_of("44khz", path, chunk_frames=20, chunk_stride=STRIDE)


@pytest.mark.parametrize("variant", VARIANTS)
def test_codes_and_audio_are_those_of_the_peers_whole_file(variant: str, tmp_path: Path) -> None:
    model = theirs(narrow(variant))
    codec = codec_of(variant, saved(model, tmp_path))
    rate, books = codec.card.sample_rate, codec.card.codebooks
    audio = signal(3 * rate + 1234, rate, channels=2)[0]
    data = to_ncf(codec, audio, codebooks=books)

    one_each = audio[:, None]
    _, codes, *_ = model.encode(model.preprocess(one_each, None), books)
    found = torch.cat(codes_in(data), dim=-1)
    agree(found, codes)
    assert codes.unique().numel() > 30

    decoded = model.decode(model.quantizer.from_codes(found)[0])[:, 0, : audio.shape[-1]]
    out = from_ncf(codec, data)
    assert out.shape == audio.shape
    torch.testing.assert_close(out[:, : decoded.shape[-1]], decoded, atol=1e-4, rtol=0)
    assert 0.01 < float(decoded.std()) < 1


@pytest.mark.parametrize("samples", [1, 511, 513, STRIDE - 1, STRIDE, STRIDE + 1, 4 * STRIDE - 300])
def test_any_length_is_coded_as_in_one_piece(codec: Codec, samples: int) -> None:
    audio = signal(samples, 44100, seed=samples)
    data = to_ncf(codec, audio[0], codebooks=4)
    network = codec.network  # type: ignore[attr-defined]
    codes = torch.cat(codes_in(data), dim=-1)
    agree(codes, network.encode(audio, 4))
    whole = network.decode(codes)[0, :, :samples]
    torch.testing.assert_close(from_ncf(codec, data), whole, atol=5e-5, rtol=0)


def test_the_same_bytes_come_of_any_number_of_threads(codec: Codec) -> None:
    audio = signal(5 * STRIDE, 44100, channels=3)[0]
    assert len({to_ncf(codec, audio, codebooks=4, threads=n) for n in (1, 2, 5)}) == 1


@pytest.mark.parametrize("rate", [44100, 48000])
def test_a_range_is_sample_for_sample_what_the_whole_has_there(codec: Codec, rate: int) -> None:
    data = to_ncf(codec, signal(round(1.2 * rate), rate, channels=2)[0], rate, codebooks=4)
    whole = from_ncf(codec, data)
    for start, end in ((0.0, 0.1), (0.3, 0.8), (0.6966, 0.7), (1.1, 9.0)):
        part = from_ncf(codec, data, start=start, end=end)
        assert torch.equal(part, whole[:, round(start * rate) : round(end * rate)])


def test_damage_reaches_no_further_than_the_frames_that_see_it(codec: Codec) -> None:
    data = to_ncf(codec, signal(6 * STRIDE, 44100)[0], codebooks=4)
    whole = from_ncf(codec, data)
    broken = decoder(codec, damaged(data, 3))
    out = torch.cat([torch.from_numpy(block.T) for block in broken.blocks()], dim=1)
    assert broken.damaged == [
        (pytest.approx(3 * STRIDE / 44100), pytest.approx(4 * STRIDE / 44100))
    ]
    assert out.shape == whole.shape
    assert not out[:, 3 * STRIDE : 4 * STRIDE].any()
    reach = codec.card.chunk_code_context * 512
    # The same but for rounding: with another context, other frames are computed side by side.
    for kept in (slice(0, 3 * STRIDE - reach), slice(4 * STRIDE + reach, None)):
        torch.testing.assert_close(out[:, kept], whole[:, kept], atol=5e-5, rtol=0)
    for kept in (slice(0, 2 * STRIDE), slice(5 * STRIDE, None)):
        assert torch.equal(out[:, kept], whole[:, kept])


def test_silence_is_coded_like_anything_else(codec: Codec) -> None:
    data = to_ncf(codec, torch.zeros(2, 3 * STRIDE), codebooks=4)
    assert [codes.shape for codes in codes_in(data)] == 3 * [(2, 4, 20)]


def test_a_pipe_gives_what_a_file_gives(codec: Codec) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    data = to_ncf(codec, signal(3 * STRIDE + 99, 44100)[0], codebooks=4)
    piped = Decoder(NcfReader(Pipe(data)), codec)
    out = torch.cat([torch.from_numpy(block.T) for block in piped.blocks()], dim=1)
    assert torch.equal(out, from_ncf(codec, data))


def test_other_weights_are_refused_unless_any_will_do(codec: Codec, tmp_path: Path) -> None:
    data = to_ncf(codec, signal(STRIDE, 44100)[0], codebooks=4)
    retrained = codec_of(
        "44khz", our_weights(tmp_path, seed=1), chunk_frames=20, chunk_stride=STRIDE
    )
    with pytest.raises(NeucodecError, match="made with other weights of dac-44khz"):
        from_ncf(retrained, data)
    assert from_ncf(retrained, data, any_weights=True).shape == (1, STRIDE)
