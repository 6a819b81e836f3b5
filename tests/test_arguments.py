"""What the Python interface is given: taken as callers have it in hand, or refused in one line."""

from __future__ import annotations

import io
import mmap
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import neucodec
import neucodec.loading
from neucodec import Model, NcfDamageWarning, NeucodecError, Tokens
from neucodec.coding.entropy_models import SHARED

RATE = 16000
SMALL = "specmini-16khz"


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)


@pytest.fixture(scope="module")
def song(noise: np.ndarray) -> bytes:
    return neucodec.encode(noise, RATE, model=SMALL, codebooks=2)


@pytest.fixture(scope="module")
def damaged(noise: np.ndarray) -> bytes:
    """Four seconds, the second one of which is damaged."""
    data = bytearray(neucodec.encode(np.tile(noise, 2), RATE, model=SMALL, codebooks=2))
    with neucodec.open(bytes(data)) as file:
        entry = file.reader.table()[1]
    data[entry.offset + entry.length // 2] ^= 1
    return bytes(data)


@pytest.fixture(scope="module")
def model() -> Model:
    return neucodec.load_model(SMALL)


@pytest.fixture(scope="module")
def tokens(model: Model, noise: np.ndarray) -> Tokens:
    return model.encode(torch.from_numpy(noise)[None, None], codebooks=3, uniform=False)


class BytesPath:
    """A path as some libraries have it."""

    def __init__(self, path: Path) -> None:
        self._path = os.fsencode(path)

    def __fspath__(self) -> bytes:
        return self._path


def test_an_ncf_is_taken_in_whatever_holds_it(noise: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "söng.ncf"
    song = neucodec.encode(noise[: RATE // 2], RATE, model=SMALL, codebooks=1)
    path.write_bytes(song)
    audio, _ = neucodec.decode(song)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        forms: list[Any] = [
            song, bytearray(song), memoryview(song), path, str(path), BytesPath(path),
            io.BytesIO(song), mapped,
        ]  # fmt: skip
        for given in forms:
            if hasattr(given, "seek"):
                given.seek(0)
            assert np.array_equal(neucodec.decode(given)[0], audio)
            if hasattr(given, "seek"):
                given.seek(0)
            with neucodec.open(given) as opened:
                assert np.array_equal(opened.read(), audio)


def test_numbers_tags_and_models_are_taken_as_callers_have_them(
    noise: np.ndarray, song: bytes, model: Model
) -> None:
    for codebooks in (np.int64(2), np.uint8(2), torch.tensor(2)):
        data = neucodec.encode(noise, np.int32(RATE), model=model, codebooks=codebooks)  # type: ignore[arg-type]
        assert data == song
    tags = {"TRACKNUMBER": 3, "GAIN": np.float32(0.5), "TITLE": "a"}
    with neucodec.open(neucodec.encode(noise, RATE, model=SMALL, tags=tags)) as file:
        assert file.tags == {"TRACKNUMBER": "3", "GAIN": "0.5", "TITLE": "a"}
        assert file.codes(np.int64(1)) is not None
        assert file.seek(np.int64(100)) == 100 and len(file.read(np.int16(7))) == 7
    with pytest.raises(NeucodecError, match="no model is called 'x.toml'"):
        neucodec.load_model(Path("x.toml"))


REFUSED: list[tuple[str, Callable[[Any], object], type[Exception], str]] = [
    ("codebooks", lambda s: neucodec.encode(s, RATE, codebooks=2.0), TypeError, "whole number"),
    ("codebooks", lambda s: neucodec.encode(s, RATE, codebooks=0), ValueError, "1 or more"),
    ("bitrate", lambda s: neucodec.encode(s, RATE, bitrate=float("nan")), ValueError, "above 0"),
    ("bitrate", lambda s: neucodec.encode(s, RATE, bitrate=-8000), ValueError, "above 0"),
    ("bitrate", lambda s: neucodec.encode(s, RATE, bitrate=[8000, 1]), TypeError, "a number"),
    ("model", lambda s: neucodec.encode(s, RATE, model=7), TypeError, "its name, a path"),
    ("model", lambda s: neucodec.load_model(None), TypeError, "its name, or a path"),
    ("tag", lambda s: neucodec.encode(s, RATE, tags={"A": b"x"}), TypeError, "names and texts"),
    ("tags", lambda s: neucodec.encode(s, RATE, tags=[("A", "x")]), TypeError, "a dict"),
    ("array", lambda s: neucodec.encode(np.zeros((9, 9, 9)), RATE), ValueError, r"\[samples\]"),
    ("array", lambda s: neucodec.encode(np.zeros(9, int), RATE), TypeError, "give floats"),
    ("audio", lambda s: neucodec.encode([[0.0], [0.0, 1.0]], RATE), TypeError, "no array"),
    ("samples", lambda s: neucodec.encode(np.full(9, 1e39), RATE), ValueError, "full scale"),
    ("an .ncf", lambda s: neucodec.decode(7), TypeError, "give bytes, a path"),
    ("a file", lambda s: neucodec.open(io.StringIO("x")), TypeError, "opened in binary mode"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "call", "kind", "allowed"), REFUSED)
def test_what_cannot_be_taken_is_refused_by_name(
    noise: np.ndarray, what: str, call: Callable[[Any], object], kind: type[Exception], allowed: str
) -> None:
    with pytest.raises(NeucodecError, match=f"{what}.*{allowed}") as caught:
        call(noise)
    assert isinstance(caught.value, kind) and "\n" not in str(caught.value)


def test_tokens_that_no_encoder_gives_are_refused(model: Model, tokens: Tokens) -> None:
    codes, scales, samples = tokens.codes, tokens.scales, tokens.samples
    assert scales is not None
    bad: list[tuple[Any, Any, Any, str]] = [
        (codes + 5000, scales, samples, "codes from .*: specmini-16khz has 0 to 1023"),
        (codes * 0 - 1, scales, samples, "codes from -1 to -1"),
        (codes.float(), scales, samples, "torch.float32: give integers"),
        (codes.numpy(), scales, samples, "codes given as ndarray"),
        (codes[:0], scales[:0], samples, "codes of shape"),
        (codes[..., :0], scales, samples, "codes of shape"),
        (codes, scales[..., :1], samples, r"scales of \[1, 1, 1\]: give .* \[1, 1, 2\] here"),
        (codes, -scales, samples, "negative or not finite"),
        (codes, scales, -1, "samples is -1: give 0 to"),
        (codes, scales, samples + 9999, "samples is .*: give 0 to"),
        (codes, scales, 1.5, "samples is 1.5: give a whole number"),
    ]
    for some_codes, some_scales, count, message in bad:
        with pytest.raises(NeucodecError, match=message) as caught:
            model.decode(Tokens(some_codes, some_scales, count))
        assert isinstance(caught.value, (ValueError, TypeError))
    with pytest.raises(NeucodecError, match="codebooks is 4: give 1 to 3"):
        tokens.first(4)
    whole = model.decode(tokens)
    assert torch.equal(model.decode(Tokens(codes.int(), scales.double(), np.int64(samples))), whole)  # type: ignore[arg-type]


def test_tensors_that_are_no_audio_are_refused(model: Model) -> None:
    for audio, message in (
        ("song.wav", "audio of <U8: give floats"),
        (np.zeros((1, 1, 9), np.uint8), "audio of uint8: give floats"),
        (np.zeros((44100, 2), np.float32), "44100 channels.*samples last"),
        (torch.zeros(0, 1, 9), "with samples"),
        (torch.full((1, 1, 9), float("nan")), "NaN or infinity"),
    ):
        with pytest.raises(NeucodecError, match=message):
            model.encode(audio)


def test_chunks_that_there_are_not_are_no_damaged_ones(damaged: bytes) -> None:
    with neucodec.open(damaged) as file:
        assert file.codes(1) is None and file.codes(0) is not None
        for index in (-1, file.chunk_count, 1 << 70):
            with pytest.raises(IndexError, match=f"chunk {index} of a file with 4: 0 to 3"):
                file.codes(index)
        for call in (
            lambda: file.codes(0.0), lambda: file.read(100.0), lambda: file.seek(0.5 * RATE),  # type: ignore[arg-type]
            lambda: file.blocks(10.0),  # type: ignore[arg-type]
        ):  # fmt: skip
            with pytest.raises(NeucodecError, match="give a whole number") as caught:
                call()
            assert isinstance(caught.value, TypeError)
        for call in (
            lambda: file.read(-2), lambda: file.seek(-1), lambda: file.seek(1 << 40),
            lambda: file.blocks(10, 10), lambda: file.seek(0, 3),
        ):  # fmt: skip
            with pytest.raises(NeucodecError) as caught:
                call()
            assert isinstance(caught.value, ValueError)


def test_damage_is_warned_of_with_its_spans(damaged: bytes) -> None:
    with pytest.warns(NcfDamageWarning, match=r"silence at 0:01.0-0:02.0 \(strict") as caught:
        audio, _ = neucodec.decode(damaged)
    warning = caught[0].message
    assert isinstance(warning, NcfDamageWarning)
    assert (warning.spans, warning.cut_off) == ([(1.0, 2.0)], False)
    assert caught[0].filename == __file__
    assert not audio[RATE + RATE // 4 : 2 * RATE - RATE // 4].any()


def test_reading_warns_of_each_chunk_once_and_where_it_is(damaged: bytes) -> None:
    with neucodec.open(damaged) as file, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for second in range(4):
            file.read(RATE)
            assert len(caught) == (second > 0)
        file.seek(RATE)
        file.read(100)
        assert [str(w.category) for w in caught] == [str(NcfDamageWarning)]
        assert caught[0].filename == __file__


def test_strict_raises_where_something_is_damaged(damaged: bytes, song: bytes) -> None:
    with pytest.raises(NeucodecError, match="damaged from 1.0 to 2.0 s"):
        neucodec.decode(damaged, strict=True)
    with neucodec.open(damaged, strict=True) as file:
        assert len(file.read(RATE // 2)) == RATE // 2
        with pytest.raises(NeucodecError, match="damaged from 1.0 to 2.0 s"):
            file.read(2 * RATE)
    for cut in (song[:-5], song + song):
        with pytest.raises(NeucodecError, match="cut off|followed by another"):
            neucodec.decode(cut, strict=True)
        with pytest.raises(NeucodecError, match="cut off|followed by another"):
            neucodec.open(cut, strict=True)
        with pytest.warns(NcfDamageWarning, match="cut off|followed by another"):
            neucodec.decode(cut)
        with neucodec.open(cut) as file, pytest.warns(NcfDamageWarning):
            file.read()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(neucodec.decode(song, strict=True)[0]) == 2 * RATE


@pytest.fixture(params=[torch.float64, torch.bfloat16, torch.float16], ids=str)
def default(request: pytest.FixtureRequest) -> Iterator[torch.dtype]:
    """A default that a program has set, with nothing loaded yet."""
    neucodec.loading.loaded.cache_clear()
    kept = dict(SHARED._loaded)
    SHARED._loaded.clear()
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(torch.float32)
    neucodec.loading.loaded.cache_clear()
    SHARED._loaded.clear()
    SHARED._loaded.update(kept)


@pytest.mark.parametrize("name", [SMALL, "neu2-44khz"])
def test_a_program_may_have_another_default_than_float32(
    noise: np.ndarray, name: str, default: torch.dtype
) -> None:
    data = neucodec.encode(noise[:3000], RATE, model=name, codebooks=2)
    audio, _ = neucodec.decode(data)
    assert torch.get_default_dtype() == default
    torch.set_default_dtype(torch.float32)
    assert neucodec.encode(noise[:3000], RATE, model=name, codebooks=2) == data
    assert np.array_equal(neucodec.decode(data)[0], audio)
