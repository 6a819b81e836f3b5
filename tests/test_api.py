"""The Python interface: documented examples, tensors in batches, threads."""

from __future__ import annotations

import doctest
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from networks import signal
from published import codes_in, small
from safetensors.torch import save_file
from test_encodec import MONO, STEREO, a_model, saved

import neucodec
import neucodec.api
import neucodec.encoding
import neucodec.loading
from neucodec import Model, NeucodecError
from neucodec.models.families.dac.network import Dac, DacConfig


@pytest.mark.parametrize(
    "module",
    [neucodec, neucodec.api, neucodec.encoding, neucodec.loading],
    ids=lambda m: m.__name__,
)
def test_the_documented_examples_hold(module: ModuleType) -> None:
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 2 and not found.failed


def dac(path: Path) -> Model:
    torch.manual_seed(0)
    config = DacConfig(encoder_width=4, decoder_width=32, latent=16, codebook_size=64)
    network = Dac(config)
    for book in network.quantiser.codebooks:
        torch.nn.init.normal_(book.entries)
    save_file(network.state_dict(), path / "dac.safetensors")
    return Model(small("dac-44khz", path / "dac.safetensors", config))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """One of each way in which chunks meet."""
    path = tmp_path_factory.mktemp("weights")
    segments = {"chunk_frames": 15, "chunk_stride": 4752}
    with torch.no_grad():
        found = {
            "overlap": neucodec.load_model(),
            "context": dac(path),
            "stream": Model(small("encodec-24khz", saved(a_model(), path), MONO)),
        }
        (path / "stereo").mkdir()
        stereo = saved(a_model(STEREO), path / "stereo")
        found["segments"] = Model(small("encodec-48khz", stereo, STEREO, **segments))
    return found


KINDS = pytest.mark.parametrize("kind", ["overlap", "context", "stream", "segments"])


@KINDS
def test_tensors_are_coded_as_files_are(models: dict[str, Model], kind: str) -> None:
    model = models[kind]
    samples, channels = 2 * model.sample_rate + 123, model.card.channels
    audio = signal(samples, model.sample_rate, channels)
    tokens = model.encode(audio, codebooks=4, uniform=False)
    assert tokens.codes.shape[:3] == (1, 1, 4) and tokens.codes.dtype == torch.int64

    whole = audio[0].numpy().T
    data = neucodec.encode(whole, model.sample_rate, codebooks=4, model=model, entropy="none")
    assert torch.equal(tokens.codes[0], torch.cat(codes_in(data), dim=-1))
    out = model.decode(tokens)
    decoded, _ = neucodec.decode(data, model=model)
    assert out.shape == audio.shape
    np.testing.assert_array_equal(out[0].numpy().T, decoded)


@KINDS
def test_results_do_not_depend_on_the_rest_of_the_batch(
    models: dict[str, Model], kind: str
) -> None:
    model = models[kind]
    width = model.card.channels
    audio = signal(model.sample_rate + 7, model.sample_rate, 2 * width, batch=3)
    tokens = model.encode(audio, codebooks=3, uniform=False)
    assert tokens.codes.shape[:3] == (3, 2, 3)
    alone = model.encode(audio[1:2, width:], codebooks=3, uniform=False)
    assert torch.equal(alone.codes, tokens.codes[1:2, 1:])
    assert model.decode(tokens).shape == audio.shape
    assert torch.equal(model.decode(alone)[0], model.decode(tokens)[1, width:])


def test_fewer_codebooks_are_the_first_ones() -> None:
    model = neucodec.load_model()
    audio = signal(30_000, 44100)
    many, few = model.encode(audio, codebooks=8), model.encode(audio, bitrate=2000)
    assert torch.equal(many.first(few.codes.shape[1]).codes, few.codes)
    assert model.decode(many.first(2)).shape == audio.shape


def test_what_cannot_be_is_said() -> None:
    model = neucodec.load_model()
    for audio in (torch.zeros(1, 1, 1, 8), torch.zeros(1, 1, 0), torch.tensor(0.0)):
        with pytest.raises(NeucodecError, match=r"give \[samples\], .*, samples\]"):
            model.encode(audio)
    with pytest.raises(NeucodecError, match=r"audio of torch.int64: give floats"):
        model.encode(torch.zeros(8, dtype=torch.int64))
    with pytest.raises(NeucodecError, match="neu2-44khz has no 17 codebooks: give 1 to 16"):
        model.encode(torch.zeros(1, 1, 8), codebooks=17)
    tokens = model.encode(torch.zeros(1, 1, 800), codebooks=2)
    with pytest.raises(NeucodecError, match="with 1 to 16 codebooks"):
        model.decode(neucodec.Tokens(tokens.codes, tokens.scales, 800))
    assert not model.decode(tokens).any()


def test_everything_expected_is_of_one_kind() -> None:
    silence = np.zeros(800)
    for fails, said in (
        (lambda: neucodec.decode(b"rubbish"), "not an .ncf file"),
        (lambda: neucodec.open(io.BytesIO(b"rubbish")), "not an .ncf file"),
        (lambda: neucodec.load_model("no-such"), "no model is called 'no-such'"),
        (lambda: neucodec.encode(silence, 8000, model="no-such"), "no model is called 'no-such'"),
        (lambda: neucodec.encode(silence, 0), "a sample rate of 0: give whole Hz above 0"),
        (lambda: neucodec.encode(silence, 44100.5), "a sample rate of 44100.5: give whole Hz"),  # type: ignore[arg-type]
        (lambda: neucodec.encode(silence, 8000, bitrate="much"), "bitrate"),
        (lambda: neucodec.encode(silence, 8000, bitrate="900kbps"), "kbps"),
        (lambda: neucodec.encode(silence, 8000, tags={"A=B": ""}), "tag name"),
    ):
        with pytest.raises(NeucodecError) as caught:
            fails()
        assert said in str(caught.value) and "\n" not in str(caught.value)


def test_threads_share_a_model_and_get_what_one_alone_gets() -> None:
    model = neucodec.load_model()
    clips = [signal(9_000 + 999 * k, 44100, seed=k)[0, 0].numpy() for k in range(4)]

    def there_and_back(clip: np.ndarray) -> tuple[bytes, bytes]:
        data = neucodec.encode(clip, 44100, codebooks=3)
        return data, neucodec.decode(data)[0].tobytes()

    alone = [there_and_back(clip) for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(there_and_back, clips)) == alone
        again = pool.map(lambda _: neucodec.load_model().codec, range(8))
        assert all(codec is model.codec for codec in again)


def test_files_are_taken_as_bytes_paths_and_open_files(tmp_path: Path) -> None:
    data = neucodec.encode(np.zeros(4000), 8000, codebooks=1)
    (tmp_path / "a.ncf").write_bytes(data)
    with (tmp_path / "a.ncf").open("rb") as file:
        for given in (data, tmp_path / "a.ncf", str(tmp_path / "a.ncf"), io.BytesIO(data), file):
            audio, samplerate = neucodec.decode(given)
            assert (audio.shape, samplerate) == ((4000, 1), 8000)


def test_what_has_moved_is_found_at_its_old_place_with_a_warning() -> None:
    from neucodec.interchange import tokens

    with pytest.warns(DeprecationWarning, match=r"neucodec\.interchange\.tokens\.read_tokens"):
        from neucodec.tokens import read_tokens
    assert read_tokens is tokens.read_tokens
