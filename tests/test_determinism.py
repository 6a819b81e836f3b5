"""What docs/determinism.md promises of one machine: equal bits, whatever is done beside them.

No comparison here has a tolerance. CI runs this file again as other processors would compute.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import Run
from networks import signal
from published import decoder, from_ncf, to_ncf
from small_codecs import EMBEDDED, NAMES, codec, sound

import neucodec
from neucodec.api import ArraySource
from neucodec.audio.samples import Audio
from neucodec.coding.chunks import ChunkSplitter, Geometry
from neucodec.coding.encoder import encode
from neucodec.coding.entropy_models import SHARED
from neucodec.coding.options import EncodeOptions
from neucodec.coding.payloads import chunk_codes, codes_of
from neucodec.formats import NcfReader
from neucodec.models.batching import decode_together, encode_together
from neucodec.models.codec import AudioChunk, CodeChunk

EVERY = pytest.mark.parametrize("name", NAMES)
STREAMS = pytest.mark.parametrize(
    ("name", "channels"),
    [
        *((name, count) for name in NAMES for count in (1, 2)),
        *(pytest.param(name, 6, marks=pytest.mark.slow) for name in EMBEDDED),
    ],
)
APART = [name for name in NAMES if name != "encodec-24khz"]
"""Codecs whose chunks do not depend on each other."""


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch have so many threads inside a product."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def chunks_of(name: str, count: int, streams: int) -> list[AudioChunk]:
    """Cut as many whole chunks from a signal, each with real context, of so many streams."""
    found = codec(name)
    geometry, card = Geometry.of(found.card), found.card
    audio = sound(name, count * geometry.stride / card.sample_rate + 0.3, streams * card.channels)
    splitter = ChunkSplitter(geometry, streams * card.channels)
    pieces = itertools.islice(splitter.push(audio[0].numpy()), count)
    return [
        AudioChunk(
            audio=torch.from_numpy(piece.audio.reshape(streams, card.channels, -1)),
            before=piece.before, frames=piece.frames, last=False,
        )
        for piece in pieces
    ]  # fmt: skip


def length(name: str, channels: int = 1) -> float:
    """Return the seconds of two chunks and a part of a third; of six channels, of one less."""
    card = codec(name).card
    return (1.6 if channels == 6 else 2.6) * card.chunk_stride / card.sample_rate


def equal(one: CodeChunk, other: CodeChunk) -> bool:
    same = torch.equal(one.codes, other.codes)
    if one.scales is None or other.scales is None:
        return same and one.scales is other.scales
    return same and torch.equal(one.scales, other.scales)


@pytest.mark.parametrize("name", APART)
def test_a_chunk_does_not_depend_on_those_beside_it(name: str) -> None:
    found, rng = codec(name), np.random.default_rng(0)
    chunks = [chunk for s, count in ((1, 3), (2, 1), (6, 1)) for chunk in chunks_of(name, count, s)]
    with torch.inference_mode(), threads(1):
        alone = [found.encode(chunk, 4)[0] for chunk in chunks]
        heard = [found.decode(chunk)[0] for chunk in alone]
    for count, inside in ((2, 2), (5, 2)):
        group = rng.permutation(len(chunks))[:count]
        with torch.inference_mode(), threads(inside):
            coded = encode_together(found, [chunks[k] for k in group], 4)
            decoded = decode_together(found, [alone[k] for k in group])
        for k, codes, audio in zip(group, coded, decoded, strict=True):
            assert equal(codes, alone[k])
            assert torch.equal(audio, heard[k])


@EVERY
def test_a_stream_does_not_depend_on_those_beside_it(name: str) -> None:
    found = codec(name)
    streams = chunks_of(name, 1, 5)[0]
    with torch.inference_mode():
        coded = found.encode(streams, 4)[0]
        decoded = found.decode(coded)[0]
        for k in range(5):
            alone = found.encode(replace(streams, audio=streams.audio[k : k + 1]), 4)[0]
            assert torch.equal(alone.codes[0], coded.codes[k])
            assert torch.equal(found.decode(alone)[0][0], decoded[k])


@EVERY
def test_tensors_in_a_batch_are_coded_as_alone(name: str) -> None:
    model = neucodec.Model(codec(name))
    audio = sound(name, min(1.3, length(name)), model.card.channels, batch=3)
    with threads(2):
        tokens = model.encode(audio, codebooks=4)
        decoded = model.decode(tokens)
    with threads(1):
        for k in range(3):
            alone = model.encode(audio[k : k + 1], codebooks=4)
            assert torch.equal(alone.codes[0], tokens.codes[k])
            assert torch.equal(model.decode(alone)[0], decoded[k])


class Read(ArraySource):
    """Audio that comes in blocks of other lengths than those asked for, and perhaps from a pipe."""

    def __init__(self, audio: Audio, rate: int, lengths: list[int], live: bool) -> None:
        super().__init__(audio, rate)
        self._lengths = itertools.cycle(lengths)
        self.samples = None if live else len(audio)

    def blocks(self, blocksize: int = 0) -> Iterator[Audio]:
        whole, at = np.concatenate(list(super().blocks())), 0
        while at < len(whole):
            length = next(self._lengths)
            yield whole[at : at + length]
            at += length


def encoded(name: str, channels: int, lengths: list[int], live: bool, count: int) -> bytes:
    """Encode a signal that comes in blocks of these lengths, with so many threads."""
    found, rate = codec(name), 22050  # another rate, so that there is something to resample
    audio = signal(round(length(name, channels) * rate), rate, channels * found.card.channels)[0]
    silent = round(1.2 * rate * found.card.chunk_stride / found.card.sample_rate)
    audio[:1, :silent] = 0  # a stream without codes in a chunk
    target, options = io.BytesIO(), EncodeOptions(threads=count, codebooks=4, entropy="none")
    with threads(count):
        encode(Read(audio.numpy().T, rate, lengths, live), target, found, options)
    return target.getvalue()


@lru_cache
def file_of(name: str, channels: int) -> bytes:
    """Encode the same signal at once, with one thread."""
    return encoded(name, channels, [1 << 20], False, 1)


@STREAMS
def test_bytes_do_not_depend_on_how_samples_come_in(name: str, channels: int) -> None:
    whole = file_of(name, channels)
    assert encoded(name, channels, [1, 7, 8191, 441], False, 2) == whole
    assert encoded(name, channels, [999, 20000], True, 2) == whole


@STREAMS
def test_samples_do_not_depend_on_how_a_file_is_read(name: str, channels: int) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    found, data = codec(name), file_of(name, channels)
    with threads(1):
        whole = from_ncf(found, data, threads=1)
    with threads(2):
        piped, rate = neucodec.decode(Pipe(data), model=neucodec.Model(found))
        assert np.array_equal(piped.T, whole.numpy())
        second = found.card.chunk_stride / found.card.sample_rate
        for start, end in ((0.3 * second, 0.4 * second), (1.2345 * second, 9.0)):
            part = from_ncf(found, data, start=start, end=end, threads=2)
            assert torch.equal(part, whole[:, round(start * rate) : round(end * rate)])


@pytest.mark.parametrize("name", EMBEDDED)
@pytest.mark.parametrize("channels", [1, 2, pytest.param(6, marks=pytest.mark.slow)])
def test_average_rates_layers_and_squeezed_codes_are_the_same_in_any_grouping(
    name: str, channels: int
) -> None:
    """What everybody gets: levels, mid and side, layers, an entropy model, an average bitrate."""
    found, rate = codec(name), 48000
    audio = signal(round((2.2 if channels == 6 else 3.2) * rate), rate, channels)[0].numpy().T
    time = np.arange(rate) / rate
    audio[rate : 2 * rate] = 0.3 * np.sin(2 * np.pi * 3000 * time)[:, None]  # for a layer
    made = []
    ways = [(False, 1, [9600]), (True, 2, [5000, 77]), (False, 2, [9600])]
    for live, count, lengths in ways[: 2 if channels == 6 else 3]:
        target, options = io.BytesIO(), EncodeOptions(threads=count, bitrate=4000.0 * channels)
        with threads(count):
            encode(Read(audio, rate, lengths, live), target, found, options)
        made.append(target.getvalue())
    assert len(set(made)) == 1


def test_files_pipes_and_batches_give_the_same_bytes(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for channels in (1, 2, 6):
        audio = signal(round(1.3 * 44100), 44100, channels)[0].numpy().T
        soundfile.write(folder / f"{channels}.wav", audio, 44100, "FLOAT")
    options = ("-b", "6kbps")
    for jobs in (1, 2):
        assert run("encode", folder, "-o", tmp_path / f"j{jobs}", "-j", jobs, *options).code == 0
    for channels in (1, 2, 6):
        source = folder / f"{channels}.wav"
        assert run("encode", source, "-o", tmp_path / "one.ncf", "-f", *options).code == 0
        one = (tmp_path / "one.ncf").read_bytes()
        assert (tmp_path / "j1" / f"{channels}.ncf").read_bytes() == one
        assert (tmp_path / "j2" / f"{channels}.ncf").read_bytes() == one
        assert run("encode", "-", "-o", "-", *options, stdin=source.read_bytes()).out == one


def test_codes_do_not_depend_on_how_many_chunks_are_unpacked_together() -> None:
    found = codec("neu2-44khz")
    data = to_ncf(found, sound("neu2-44khz", 1.2, 2)[0], codebooks=2, entropy="lm")
    reader = NcfReader(io.BytesIO(data))
    chunks, model = list(reader), SHARED.of(reader.header)
    together = list(codes_of(chunks, reader.header, model))
    for chunk, expected in zip(chunks, together, strict=True):
        alone = chunk_codes(chunk, reader.header, model)
        assert alone is not None and np.array_equal(alone, expected)


def test_the_number_of_threads_is_given_back() -> None:
    found = codec("neu2-44khz")
    with threads(2):
        from_ncf(found, to_ncf(found, sound("neu2-44khz", 0.5)[0], codebooks=1))
        assert torch.get_num_threads() == 2
        assert decoder(found, to_ncf(found, sound("neu2-44khz", 0.1)[0])).channels == 1
