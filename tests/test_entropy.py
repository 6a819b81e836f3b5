"""Squeezed codes, from chunks to payloads and back, and files made of them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import ncf_examples as ncf
import numpy as np
import pytest
import torch
from conftest import MakeClip, Run
from lm_models import fixed_transformer
from test_encode_decode import sound
from torch import Tensor

import neucodec
from neucodec.api import ArraySource
from neucodec.audio.samples import Audio
from neucodec.coding.decoder import Decoder
from neucodec.coding.encoder import encode as encode_source
from neucodec.coding.entropy import Adaptive, Codes, EntropyModel, Learned
from neucodec.coding.entropy_models import SHARED, EntropyModels
from neucodec.coding.options import DecodeOptions, EncodeOptions
from neucodec.coding.payloads import decode_payloads, encode_payload
from neucodec.errors import NeucodecError
from neucodec.file import NcfFile
from neucodec.formats import (
    AdaptiveStepper,
    Chunk,
    EntropyCoder,
    Header,
    NcfReader,
    NcfWriter,
    encode_intervals,
)
from neucodec.models.catalogue.card import find_card
from neucodec.models.catalogue.weights_store import EMBEDDED
from neucodec.models.codec import Codec
from neucodec.models.errors import ModelError
from neucodec.models.lm import load
from neucodec.models.lm.frequencies import FrequencyModel, Stepper, fixed_integers
from neucodec.models.lm.integer import IntegerTransformer


class Hashed:
    """A model in integers whose rows depend on everything that a row may depend on."""

    name = "test-lm"
    fingerprint = bytes(range(8))
    codebooks, codebook_size, frames = 16, 1024, 86

    def __init__(self, factor: int = 7919) -> None:
        self._factor = factor

    def row(self, past: Tensor, book: int, counts: Tensor) -> Tensor:
        """Frequencies [B, size] after codes that come down to ``past`` [B]."""
        mixed = past * 31 + book * 17 + counts
        weights = (mixed[:, None] + torch.arange(1024)) * self._factor % 1021
        rows = 1 + weights * weights // 100
        rows[torch.arange(len(past)), past % 1024] += 2**24 - rows.sum(dim=1)
        return rows.int()

    def rows(self, codes: Tensor) -> Iterator[Tensor]:
        """See `FrequencyModel`."""
        return stepped(self, codes)

    def stepper(self, counts: Sequence[int]) -> Stepper:
        """See `FrequencyModel`."""
        return HashedStepper(self, counts)


def stepped(model: FrequencyModel, codes: Tensor) -> Iterator[Tensor]:
    """Frequencies [B, F, size] of each codebook of codes [B, K, F], found a symbol at a time."""
    batch, books, frames = codes.shape
    stepper, rows = model.stepper([books] * batch), []
    for at in range(frames * books):
        rows.append(stepper.row())
        stepper.push(codes[:, at % books, at // books])
    return (torch.stack(rows[book::books], dim=1) for book in range(books))


class HashedStepper:
    def __init__(self, model: Hashed, counts: Sequence[int]) -> None:
        self._model, self._counts = model, torch.tensor(counts)
        self._past, self._book = torch.zeros(len(counts), dtype=torch.int64), 0

    def _having(self) -> Tensor:
        return self._counts > self._book

    def row(self) -> Tensor:
        having = self._having()
        return self._model.row(self._past[having], self._book, self._counts[having])

    def push(self, codes: Tensor) -> None:
        having = self._having()
        self._past[having] = (self._past[having] * 37 + codes) % 65521
        self._book = (self._book + 1) % int(self._counts[0])


class Counted:
    """A model that fits any codes a little, by counting them."""

    name = "test-lm"
    fingerprint = bytes(range(8))
    codebooks, codebook_size, frames = 16, 1024, 86

    def rows(self, codes: Tensor) -> Iterator[Tensor]:
        """See `FrequencyModel`."""
        return stepped(self, codes)

    def stepper(self, counts: Sequence[int]) -> Stepper:
        """See `FrequencyModel`."""
        return CountedStepper(AdaptiveStepper(counts, 1024))


class CountedStepper:
    def __init__(self, stepper: AdaptiveStepper) -> None:
        self._stepper = stepper

    def row(self) -> Tensor:
        return torch.from_numpy(self._stepper.row())

    def push(self, codes: Tensor) -> None:
        self._stepper.push(codes.numpy())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded codec as one's own, with an entropy model."""
    folder = tmp_path_factory.mktemp("own")
    card = (files("neucodec.models") / "cards" / "neu2-44khz.toml").read_text(encoding="utf-8")
    head, config = card.split("[config]")
    head = head.split("[entropy]")[0].replace("embedded = true", "")
    entropy = "\n".join(
        f'{key} = "{value}"'
        for key, value in {
            "name": "test-lm", "weights": "lm.safetensors", "license_code": "MIT",
            "license_weights": "MIT",
        }.items()
    )  # fmt: skip
    (folder / "card.toml").write_text(f"{head}[entropy]\n{entropy}\n[config]{config}")
    weights = find_card("neu2-44khz").weights
    (folder / weights).symlink_to(EMBEDDED / weights)
    (folder / "lm.safetensors").write_bytes(b"integers")
    return folder


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded as its entropy model counts codes."""
    monkeypatch.setattr(load, "build_entropy_model", lambda card, path: Counted())
    monkeypatch.setattr(SHARED, "_loaded", {})


@pytest.fixture(scope="module")
def codec(folder: Path) -> Codec:
    return neucodec.load_model(str(folder)).codec


MODES = pytest.mark.parametrize("mode", ["adaptive", "lm"])
MODELS: list[EntropyModel] = [Adaptive(1024), Learned(Hashed())]


def encoded(codec: Codec, seconds: float, entropy: str, channels: int = 1, **options: int) -> bytes:
    target = io.BytesIO()
    source = ArraySource(sound(seconds, channels=channels), 44100)
    given = EncodeOptions(entropy=entropy, **{"codebooks": 4, **options})  # type: ignore[arg-type]
    encode_source(source, target, codec, given)
    return target.getvalue()


def decoded(codec: Codec, file: io.BytesIO | ncf.Pipe, **options: float) -> Audio:
    given = DecodeOptions(**options)  # type: ignore[arg-type]
    return np.concatenate(list(Decoder(NcfReader(file), codec, given).blocks()))


def header_of(model: EntropyModel, **changes: object) -> Header:
    return ncf.header(
        entropy=model.coder, entropy_model=model.name, entropy_fingerprint=model.fingerprint,
        **changes,
    )  # fmt: skip


def likely(model: EntropyModel, shape: tuple[int, int, int], seed: int) -> Codes:
    """Codes of which four in five are what the model expects."""
    rng, (streams, books, frames) = np.random.default_rng(seed), shape
    stepper, codes = model.stepper([books] * streams), np.zeros(shape, np.int64)
    for frame in range(frames):
        for book in range(books):
            expected = stepper.row().argmax(axis=1)
            other = rng.integers(0, 1024, streams)
            codes[:, book, frame] = np.where(rng.random(streams) < 0.8, expected, other)
            stepper.push(codes[:, book, frame])
    return codes


def mixed_chunks(header: Header, model: EntropyModel) -> tuple[list[Chunk], list[Codes]]:
    """Twelve chunks with one to three streams, a few numbers of codebooks, the last one short."""
    rng = np.random.default_rng(0)
    chunks, expected = [], []
    for index in range(12):
        scales = [(140, 140, 140), (140, 0, 140), (0, 0, 9)][index % 3]
        frames = header.chunk_frames if index < 11 else 5
        shape = (3 - scales.count(0), [4, 4, 3, 1][index % 4], frames)
        codes = rng.integers(0, 1024, shape) if index % 5 == 1 else likely(model, shape, index)
        payload, raw = encode_payload(codes, 10, model)
        chunks.append(
            Chunk(
                index=index, codebooks=shape[1], frames=frames, scales=scales, payload=payload,
                raw=raw,
            )
        )  # fmt: skip
        expected.append(codes)
    return chunks, expected


@pytest.mark.parametrize("model", MODELS, ids=["adaptive", "lm"])
def test_chunks_decode_to_their_codes_together_and_alone(model: EntropyModel) -> None:
    header = header_of(model, channels=3, streams=3, codebooks=4, chunk_frames=20)
    chunks, expected = mixed_chunks(header, model)
    assert {chunk.raw for chunk in chunks} == {True, False}
    alone = [decode_payloads([chunk], header, model)[0] for chunk in chunks]
    together = decode_payloads(chunks, header, model)
    for one, other, codes in zip(alone, together, expected, strict=True):
        assert one is not None and other is not None
        assert np.array_equal(one, codes) and np.array_equal(other, codes)


@pytest.mark.parametrize("model", MODELS, ids=["adaptive", "lm"])
def test_a_payload_of_other_codes_than_its_chunk_claims_is_lost_alone(model: EntropyModel) -> None:
    header = header_of(model, channels=3, streams=3, codebooks=4, chunk_frames=20)
    chunks, expected = mixed_chunks(header, model)
    at = next(n for n, chunk in enumerate(chunks) if not chunk.raw)
    fields = {**vars(chunks[at]), "codebooks": chunks[at].codebooks - 1 or 2}
    chunks[at] = Chunk(**fields)
    for n, (found, codes) in enumerate(
        zip(decode_payloads(chunks, header, model), expected, strict=True)
    ):
        assert found is None if n == at else np.array_equal(found, codes)


@pytest.mark.parametrize("model", MODELS, ids=["adaptive", "lm"])
def test_any_bytes_decode_to_codes_or_to_nothing(model: EntropyModel) -> None:
    rng = np.random.default_rng(0)
    header = header_of(model, channels=3, streams=3, codebooks=4, chunk_frames=20)
    chunks = [
        Chunk(
            index=index, codebooks=int(rng.integers(1, 5)), frames=20, scales=(9, 0, 9),
            payload=rng.bytes(int(rng.integers(0, 50))),
        )
        for index in range(100)
    ]  # fmt: skip
    for chunk, codes in zip(chunks, decode_payloads(chunks, header, model), strict=True):
        if codes is not None:
            assert encode_payload(codes, 10, model) == (chunk.payload, False)


def test_payloads_of_a_model_are_the_same_bytes_for_ever() -> None:
    model = Learned(IntegerTransformer("small", fixed_transformer()))
    left, width = model.intervals(fixed_integers((2, 3, 12), 64, seed=5).numpy())
    payload = encode_intervals(*(p.transpose(2, 1, 0).reshape(-1) for p in (left, width)))
    assert payload.hex() == (
        "900710a2dc7394ab718899949fe0670c6dc582949af890fe8074ee68e86b3f33ca1d5715d071e4e86d1d0cab52"
        "b100d214551984301d019f0524e456f65ed49649e9d58ffc1b979605db817e18f07aae45184c2308324de0de65"
        "a4310760e0f3b919db993d1703f76cd46d2b55f23e07"
    )


@MODES
@pytest.mark.parametrize("channels", [1, 2])
def test_squeezing_leaves_the_sound_as_it_is(codec: Codec, mode: str, channels: int) -> None:
    plain, squeezed = (encoded(codec, 4.3, entropy, channels) for entropy in ("none", mode))
    assert len(squeezed) < 0.96 * len(plain)
    assert not all(chunk.raw for chunk in NcfReader(io.BytesIO(squeezed)))
    whole = decoded(codec, io.BytesIO(plain))
    np.testing.assert_array_equal(decoded(codec, io.BytesIO(squeezed)), whole)
    np.testing.assert_array_equal(decoded(codec, ncf.Pipe(squeezed, most=100)), whole)
    part = decoded(codec, io.BytesIO(squeezed), start=1.5, end=3.2)
    np.testing.assert_array_equal(part, whole[66150:141120])


@MODES
def test_the_bytes_do_not_depend_on_the_threads(codec: Codec, mode: str) -> None:
    assert len({encoded(codec, 3, mode, threads=threads) for threads in (1, 3)}) == 1


@MODES
def test_codes_are_at_hand(codec: Codec, mode: str) -> None:
    files = [
        NcfFile(io.BytesIO(encoded(codec, 2.5, entropy, 2)), codec) for entropy in ("none", mode)
    ]
    for index in range(3):
        one, other = (file.codes(index) for file in files)
        assert one is not None and other is not None and np.array_equal(one, other)


@MODES
def test_a_flipped_bit_costs_one_chunk(codec: Codec, mode: str) -> None:
    data = bytearray(encoded(codec, 5, mode))
    whole = decoded(codec, io.BytesIO(data))
    data[len(data) // 2] ^= 4
    found = decoded(codec, io.BytesIO(data))
    different = np.nonzero((found != whole).any(axis=1))[0]
    assert 35000 < different[-1] - different[0] < 44100 + 2 * 2560


def with_a_wrong_payload(data: bytes) -> bytes:
    """The same file, but that a program in error has written the second chunk of it."""
    reader, target = NcfReader(io.BytesIO(data)), io.BytesIO()
    writer = NcfWriter(target, reader.header)
    for chunk in list(reader):
        wrong = chunk.index == 1
        writer.write(replace(chunk, payload=chunk.payload[:-20]) if wrong else chunk)
    writer.close(reader.frames or 0)
    return target.getvalue()


@MODES
def test_a_chunk_whose_codes_do_not_fit_is_silence_and_said_so(codec: Codec, mode: str) -> None:
    data = with_a_wrong_payload(encoded(codec, 4, mode))
    decoder = Decoder(NcfReader(io.BytesIO(data)), codec)
    audio = np.concatenate(list(decoder.blocks()))
    [(start, end)] = decoder.damaged
    assert (round(start, 3), round(end, 3)) == (0.975, 1.95)
    assert not audio[round(start * 44100) + 2560 : round(end * 44100) - 2560].any()


def test_verify_finds_such_a_chunk_if_it_unpacks_codes(
    codec: Codec, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "a.ncf"
    path.write_bytes(encoded(codec, 4, "adaptive"))
    for options in ([], ["--codes"]):
        assert run("verify", *options, path).code == 0
    path.write_bytes(with_a_wrong_payload(path.read_bytes()))
    assert run("verify", path).code == 0
    ran = run("verify", "--codes", path)
    assert ran.code == 1 and "damaged at 0:01.0-0:02.0" in ran.err


def test_a_file_names_its_entropy_model(codec: Codec) -> None:
    header = NcfReader(io.BytesIO(encoded(codec, 1, "auto"))).header
    assert header.entropy == EntropyCoder.LM
    assert (header.entropy_model, header.entropy_fingerprint) == ("test-lm", bytes(range(8)))


def test_another_version_of_the_model_is_refused(
    codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(codec, 1, "lm")
    other = Counted()
    other.fingerprint = bytes(8)
    monkeypatch.setattr(load, "build_entropy_model", lambda card, path: other)
    monkeypatch.setattr(SHARED, "_loaded", {})
    for any_weights in (False, True):
        with pytest.raises(NeucodecError, match="another version of the entropy model test-lm"):
            decoded(codec, io.BytesIO(data), any_weights=any_weights)
    plain = replace(codec.card, entropy=None)
    with pytest.raises(NeucodecError, match="need the entropy model test-lm, which is not here"):
        SHARED.of(NcfReader(io.BytesIO(data)).header, plain)


def test_a_model_that_cannot_be_had_is_asked_for_in_one_line(codec: Codec, folder: Path) -> None:
    header = NcfReader(io.BytesIO(encoded(codec, 1, "lm"))).header
    assert codec.card.entropy is not None
    entropy = replace(codec.card.entropy, weights="gone.safetensors")
    lost = replace(codec.card, entropy=entropy)
    with pytest.raises(NeucodecError, match=r"gone\.safetensors is not there"):
        SHARED.of(header, lost)
    with pytest.raises(ModelError, match=r"gone\.safetensors is not there"):
        SHARED.choose(lost, "lm")


def test_what_is_fetched_is_used_only_if_asked_for() -> None:
    assert find_card("encodec-24khz").entropy is not None
    assert isinstance(SHARED.choose(find_card("encodec-24khz"), "auto"), Adaptive)
    with pytest.raises(ModelError, match="encodec-24khz-lm is not here, and --offline forbids"):
        EntropyModels("--offline").choose(find_card("encodec-24khz"), "lm")
    with pytest.raises(NeucodecError, match="no entropy model for dac-44khz: use --entropy adap"):
        SHARED.choose(find_card("dac-44khz"), "lm")


def test_the_command_line_squeezes_with_a_model(run: Run, clip: MakeClip, folder: Path) -> None:
    path = clip(seconds=2)
    target, back = path.with_suffix(".ncf"), path.with_name("back.wav")
    assert run("encode", path, "-m", folder, "--entropy", "lm", "-n", "4").code == 0
    assert "  entropy  lm, test-lm, " in run("info", target).out.decode()
    assert run("decode", target, "-m", folder, "-o", back).code == 0
    ran = run("encode", path, "-f", "-m", "dac-44khz", "--entropy", "lm")
    assert ran.code == 2 and "no entropy model for dac-44khz" in ran.err


def test_info_says_what_squeezing_saved(run: Run, clip: MakeClip) -> None:
    path = clip(seconds=3, rate=44100)
    target = path.with_suffix(".ncf")
    assert run("encode", path, "--entropy", "adaptive", "-n", "4").code == 0
    found = json.loads(run("info", "--json", target).out)
    assert found["entropy"] == "adaptive" and found["format"] == "1.2"
    stored, raw = found["payload_bytes"], found["raw_payload_bytes"]
    assert raw == sum(-(-frames * 4 * 10 // 8) for frames in (86, 86, 86, 7))
    saved = f"{1 - stored / raw:.1%}"
    assert f"  entropy  adaptive, {saved} saved\n" in run("info", target).out.decode()


def test_an_entropy_coder_that_there_is_not_is_refused(run: Run, clip: MakeClip) -> None:
    ran = run("encode", clip(), "--entropy", "strong")
    assert ran.code == 2 and "'strong' is not one of 'auto', 'none'" in ran.err
    with pytest.raises(NeucodecError, match="'strong': give auto, none, adaptive, lm"):
        neucodec.encode(sound(1), 44100, entropy="strong")
