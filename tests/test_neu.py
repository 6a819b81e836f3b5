"""The embedded codec."""

import hashlib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from neucodec.models.catalogue.card import find_card
from neucodec.models.codec import AudioChunk, CodeChunk
from neucodec.models.errors import ModelError
from neucodec.models.families.neu.codec import NeuCodec
from neucodec.models.families.neu.network import Neu, NeuConfig
from neucodec.models.load import load_codec

CARD = find_card("neu2-44khz")
WEIGHTS = Path(str(files("neucodec.models"))) / "weights/neu2-44khz.safetensors"
SMALL = NeuConfig(encoder_width=16, encoder_blocks=1, decoder_width=16, decoder_blocks=1, latent=16)


@pytest.fixture(scope="module", params=["neu2-44khz", "neu-44khz"])
def codec(request: pytest.FixtureRequest) -> NeuCodec:
    loaded = load_codec(request.param, "cpu")
    assert isinstance(loaded, NeuCodec)
    return loaded


def chunk(frames: int, seed: int = 0) -> torch.Tensor:
    noise = torch.randn(1, 1, frames * 512 + 1536, generator=torch.Generator().manual_seed(seed))
    return noise.cumsum(-1) / 30  # more bass than treble, as most sound


def encode(codec: NeuCodec, audio: torch.Tensor, codebooks: int) -> torch.Tensor:
    frames = (audio.shape[-1] - 1536) // 512
    coded, _ = codec.encode(
        AudioChunk(audio=audio, before=768, frames=frames, last=False), codebooks
    )
    return coded.codes


def test_the_card_says_what_the_weights_are(codec: NeuCodec) -> None:
    card = find_card(codec.card.name)
    data = WEIGHTS.with_name(card.weights).read_bytes()
    assert hashlib.sha256(data).hexdigest() == card.sha256
    assert len(data) <= 15_000_000
    weights = sum(p.numel() for p in codec.network.state_dict().values())
    assert weights == card.parameters


def test_codes_are_one_column_per_frame(codec: NeuCodec) -> None:
    for frames in (1, 5, 86):
        codes = encode(codec, chunk(frames), 9)
        assert codes.shape == (1, 9, frames)
        assert int(codes.min()) >= 0 and int(codes.max()) < 1024
        assert codec.decode(CodeChunk(codes=codes, frames=frames))[0].shape == (
            1,
            1,
            frames * 512 + 1536,
        )


def test_fewer_codebooks_give_the_first_of_the_same_codes(codec: NeuCodec) -> None:
    audio = chunk(20)
    assert torch.equal(encode(codec, audio, 3), encode(codec, audio, 12)[:, :3])


def test_half_a_codec_does_half_the_work(codec: NeuCodec) -> None:
    encoder, decoder = (
        load_codec(codec.card.name, "cpu", half=half) for half in ("encoder", "decoder")
    )
    assert isinstance(encoder, NeuCodec) and isinstance(decoder, NeuCodec)
    codes = encode(codec, chunk(20), 9)
    assert torch.equal(encode(encoder, chunk(20), 9), codes)
    coded = CodeChunk(codes=codes, frames=20)
    assert torch.equal(decoder.decode(coded)[0], codec.decode(coded)[0])
    whole, *halves = (
        sum(p.numel() for p in c.network.parameters()) for c in (codec, encoder, decoder)
    )
    assert max(halves) < 0.8 * whole


def test_what_else_is_in_a_batch_does_not_matter(codec: NeuCodec) -> None:
    one, other = chunk(30, 1), chunk(30, 2)
    together = encode(codec, torch.cat([one, other]), 9)
    assert torch.equal(together[:1], encode(codec, one, 9))
    assert torch.equal(together[1:], encode(codec, other, 9))


@pytest.mark.parametrize(("shared", "stack"), [(0, 1), (2, 1), (1, 2)])
def test_windows_of_adjacent_chunks_add_up_to_one(shared: int, stack: int) -> None:
    """Also where they share frames; and they are what decoding weights a chunk by."""
    network = Neu(replace(SMALL, fade_frames=shared, stack=stack))
    codec = NeuCodec(CARD, network, torch.device("cpu"))
    window, stride = codec.window(10 // stack), (10 - shared * stack) * 512
    torch.testing.assert_close(
        window[stride:] + window[: len(window) - stride], torch.ones(len(window) - stride)
    )
    spectrum = network.spectrum.analyse(torch.ones(1, 10 * 512 + 1536))
    weighted = network.spectrum.synthesise(spectrum * network.frame_weights(10)[:, None])
    torch.testing.assert_close(weighted[0], window, atol=1e-5, rtol=0)


def stacked() -> NeuCodec:
    """Two spectra in a frame of codes, magnitudes in bands."""
    torch.manual_seed(0)
    network = Neu(replace(
        SMALL, window=640, hop=160, stack=2, bands=40, phase_bins=40, decoder_phase_bins=40,
        fade_frames=1,
    ))  # fmt: skip
    return NeuCodec(CARD, network, torch.device("cpu"))


def test_spectra_stacked_in_a_frame_are_coded_together() -> None:
    codec = stacked()
    network = codec.network
    assert network.hop == 320
    audio = chunk(3)[..., : 7 * 320 + 2 * network.context]
    for books in (1, 9):
        given = AudioChunk(audio=audio, before=network.context, frames=7, last=False)
        coded, _ = codec.encode(given, books)
        assert coded.codes.shape == (1, books, 7)
        assert torch.equal(coded.codes, network.encode(audio[:, 0], books))
        decoded = codec.decode(coded)[0][:, 0]
        assert decoded.shape == audio[:, 0].shape
        torch.testing.assert_close(decoded, network.decode(coded.codes), atol=1e-5, rtol=1e-4)
        assert decoded.std() > 0.01


def test_weights_of_another_shape_are_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from safetensors.torch import save_file

    save_file(Neu(SMALL).state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="other.safetensors does not fit the card of neu2-44khz"):
        NeuCodec.load(CARD, tmp_path / "other.safetensors", torch.device("cpu"))


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("decoder_phase_bins", 5, "5 of 1025 bins with a phase: give 32 to 1025"),
        ("hop", 500, "window of 2048 samples needs a hop of 512, not 500"),
        ("stack", 0, "0 spectra in a frame: give 1 or more"),
        ("bands", 1025, "1025 bands of 1025 bins: give 2 to 1024"),
        ("colour", 1, "unexpected keyword argument 'colour'"),
    ],
)
def test_a_card_of_no_network_is_refused(key: str, value: int, complaint: str) -> None:
    card = replace(CARD, config={**CARD.config, key: value})
    with pytest.raises(
        ModelError, match=rf"neu2-44khz: its \[config\] does not fit neu: .*{complaint}"
    ):
        NeuCodec.load(card, WEIGHTS, torch.device("cpu"))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match="no model is called 'mp3'; there are .*neu2-44khz"):
        find_card("mp3")


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ModelError, match="use auto, cpu, cuda or mps"):
        load_codec("neu2-44khz", "abacus")


def test_decoding_for_inference_is_the_network_but_for_rounding(codec: NeuCodec) -> None:
    for batch, books, frames in ((1, 9, 86), (2, 16, 5), (1, 1, 1)):
        generator = torch.Generator().manual_seed(frames)
        codes = torch.randint(0, 1024, (batch, books, frames), generator=generator)
        audio = codec.decode(CodeChunk(codes=codes, frames=frames))[0][:, 0]
        torch.testing.assert_close(audio, codec.network.decode(codes), atol=1e-5, rtol=1e-4)


def test_encoding_for_inference_gives_the_networks_codes(codec: NeuCodec) -> None:
    same = total = 0
    for batch, books, frames in ((1, 9, 86), (2, 16, 5), (3, 1, 1)):
        audio = torch.cat([chunk(frames, seed) for seed in range(batch)])
        codes, expected = encode(codec, audio, books), codec.network.encode(audio[:, 0], books)
        assert codes.shape == expected.shape
        same += int((codes == expected).sum())
        total += codes.numel()
    # Rounding may decide between two entries that are as near.
    assert same > 0.98 * total
