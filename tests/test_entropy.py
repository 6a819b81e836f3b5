"""Squeezed codes, from chunks to payloads and back, and files made of them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import ncf_examples as ncf
import numpy as np
import pytest
import torch
from conftest import MakeClip, Run
from test_encode_decode import samples, sound
from torch import Tensor

import neucodec
from neucodec.api import ArraySource
from neucodec.encoder import EncodeOptions
from neucodec.encoder import encode as encode_source
from neucodec.entropy import (
    Adaptive,
    Codes,
    EntropyModel,
    Learned,
    decode_payloads,
    encode_payload,
)
from neucodec.errors import NeucodecError
from neucodec.formats import Chunk, EntropyCoder, Header, NcfReader, NcfWriter
from neucodec.models.lm import registry
from neucodec.models.lm.frequencies import FrequencyModel, Stepper


class Hashed:
    """A model in integers whose rows depend on everything that a row may depend on."""

    name = "test-lm"
    fingerprint = bytes(range(8))
    codebooks, codebook_size, frames = 16, 1024, 86

    def __init__(self, factor: int = 7919) -> None:
        self._factor = factor

    def rows(self, past: Tensor, book: int, codebooks: int) -> Tensor:
        """Frequencies [B, size] after codes that come down to ``past`` [B]."""
        mixed = past[:, None] * 31 + book * 17 + codebooks
        weights = (mixed + torch.arange(1024)) * self._factor % 1021
        rows = 1 + weights * weights // 100
        rows[torch.arange(len(past)), past % 1024] += 2**24 - rows.sum(dim=1)
        return rows.int()

    def frequencies(self, codes: Tensor) -> Tensor:
        """See `FrequencyModel`."""
        stepper, (_, books, frames) = self.stepper(len(codes), codes.shape[1]), codes.shape
        rows = []
        for at in range(frames * books):
            rows.append(stepper.row())
            stepper.push(codes[:, at % books, at // books])
        return torch.stack(rows, dim=1).reshape(len(codes), frames, books, 1024)

    def stepper(self, batch: int, codebooks: int) -> Stepper:
        """See `FrequencyModel`."""
        return HashedStepper(self, batch, codebooks)


class HashedStepper:
    def __init__(self, model: Hashed, batch: int, codebooks: int) -> None:
        self._model, self._codebooks = model, codebooks
        self._past, self._book = torch.zeros(batch, dtype=torch.int64), 0

    def row(self) -> Tensor:
        return self._model.rows(self._past, self._book, self._codebooks)

    def push(self, codes: Tensor) -> None:
        self._past = (self._past * 37 + codes) % 65521
        self._book = (self._book + 1) % self._codebooks


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> FrequencyModel:
    """The embedded codec has this entropy model."""
    model: FrequencyModel = Hashed()
    monkeypatch.setattr(registry, "entropy_model_for", lambda card: model)
    return model


@pytest.fixture(params=["adaptive", "lm"])
def mode(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each way to squeeze."""
    if request.param == "lm":
        request.getfixturevalue("learned")
    yield request.param


MODELS: list[EntropyModel] = [Adaptive(1024), Learned(Hashed())]


def encoded(seconds: float, entropy: str, channels: int = 1, **options: int) -> bytes:
    target = io.BytesIO()
    source = ArraySource(sound(seconds, channels=channels), 44100)
    given = EncodeOptions(entropy=entropy, **options)  # type: ignore[arg-type]
    encode_source(source, target, neucodec.load_model().codec, given)
    return target.getvalue()


def header_of(model: EntropyModel, **changes: object) -> Header:
    return ncf.header(
        entropy=model.coder, entropy_model=model.name, entropy_fingerprint=model.fingerprint,
        **changes,
    )  # fmt: skip


def likely(model: EntropyModel, shape: tuple[int, int, int], seed: int) -> Codes:
    """Codes of which four in five are what the model expects."""
    rng, (streams, books, frames) = np.random.default_rng(seed), shape
    stepper, codes = model.stepper(streams, books), np.zeros(shape, np.int64)
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


@pytest.mark.parametrize("channels", [1, 2])
def test_squeezing_leaves_the_sound_as_it_is(mode: str, channels: int) -> None:
    plain, squeezed = (encoded(4.3, entropy, channels) for entropy in ("none", mode))
    whole = samples(plain)
    np.testing.assert_array_equal(samples(squeezed), whole)
    np.testing.assert_array_equal(samples(squeezed, start=1.5, end=3.2), whole[66150:141120])
    pipe = Decoder_of(ncf.Pipe(squeezed, most=100))
    np.testing.assert_array_equal(np.concatenate(list(pipe)), whole)


def Decoder_of(pipe: ncf.Pipe) -> Iterator[np.ndarray]:  # noqa: N802
    from neucodec.decoder import Decoder

    return Decoder(NcfReader(pipe), neucodec.load_model().codec).blocks()


def test_adaptive_files_are_smaller() -> None:
    plain, squeezed = (encoded(4, entropy, codebooks=4) for entropy in ("none", "adaptive"))
    assert len(squeezed) < 0.95 * len(plain)


def test_the_bytes_do_not_depend_on_the_threads(mode: str) -> None:
    assert len({encoded(3, mode, threads=threads) for threads in (1, 3)}) == 1


def test_codes_are_at_hand(mode: str) -> None:
    files = [neucodec.open(io.BytesIO(encoded(2.5, entropy, 2))) for entropy in ("none", mode)]
    for index in range(3):
        one, other = (file.codes(index) for file in files)
        assert one is not None and other is not None and np.array_equal(one, other)


def test_a_flipped_bit_costs_one_chunk(mode: str) -> None:
    data = bytearray(encoded(5, mode))
    whole = samples(bytes(data))
    data[len(data) // 2] ^= 4
    found = samples(bytes(data))
    different = np.nonzero((found != whole).any(axis=1))[0]
    assert 35000 < different[-1] - different[0] < 44100 + 2 * 2560


def test_a_chunk_whose_codes_do_not_fit_is_silence_and_said_so(learned: FrequencyModel) -> None:
    """Its checksum holds, but another program has written it."""
    reader = NcfReader(io.BytesIO(encoded(4, "lm")))
    chunks = list(reader)
    wrong = Chunk(**{**vars(chunks[1]), "payload": chunks[2].payload[:-3], "raw": False})
    target = io.BytesIO()
    writer = NcfWriter(target, reader.header)
    for chunk in (chunks[0], wrong, *chunks[2:]):
        writer.write(chunk)
    writer.close(4 * 44100)
    from neucodec.decoder import Decoder

    decoder = Decoder(NcfReader(io.BytesIO(target.getvalue())), neucodec.load_model().codec)
    audio = np.concatenate(list(decoder.blocks()))
    [(start, end)] = decoder.damaged
    assert (round(start, 3), round(end, 3)) == (0.975, 1.95)
    assert not audio[round(start * 44100) + 2560 : round(end * 44100) - 2560].any()


def test_a_file_names_its_entropy_model(learned: FrequencyModel) -> None:
    header = NcfReader(io.BytesIO(encoded(1, "lm"))).header
    assert header.entropy == EntropyCoder.LM
    assert (header.entropy_model, header.entropy_fingerprint) == ("test-lm", bytes(range(8)))


def test_another_version_of_the_model_is_refused(
    learned: FrequencyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(1, "lm")
    other = Hashed()
    other.fingerprint = bytes(8)
    monkeypatch.setattr(registry, "entropy_model_for", lambda card: other)
    with pytest.raises(NeucodecError, match="another version of the entropy model test-lm"):
        samples(data)
    with pytest.raises(NeucodecError, match="another version of the entropy model test-lm"):
        samples(data, any_weights=True)
    monkeypatch.setattr(registry, "entropy_model_for", lambda card: None)
    with pytest.raises(NeucodecError, match="need the entropy model test-lm, which is not here"):
        samples(data)


def test_info_says_what_squeezing_saved(run: Run, clip: MakeClip) -> None:
    path = clip(seconds=3, rate=44100)
    target = path.with_suffix(".ncf")
    assert run("encode", path, "--entropy", "adaptive", "-n", "4").code == 0
    found = json.loads(run("info", "--json", target).out)
    assert found["entropy"] == "adaptive" and found["format"] == "1.1"
    stored, raw = found["payload_bytes"], found["raw_payload_bytes"]
    assert raw == sum(-(-frames * 4 * 10 // 8) for frames in (86, 86, 86, 7))
    saved = f"{1 - stored / raw:.1%}"
    assert f"  entropy  adaptive, {saved} saved\n" in run("info", target).out.decode()


def test_an_entropy_model_that_there_is_not_is_refused(run: Run, clip: MakeClip) -> None:
    ran = run("encode", clip(), "-m", "neu-44khz", "--entropy", "strong")
    assert ran.code == 2 and "'strong' is not one of 'auto', 'none'" in ran.err
