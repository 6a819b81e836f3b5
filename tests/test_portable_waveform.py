"""The portable decoder reads waveform layers as the package does: all that they may hold, drawn."""

from __future__ import annotations

import io
import random
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_portable import assert_alike, built, ncfdec, noise

import neucodec
from neucodec.api import load_model
from neucodec.formats import (
    Chunk,
    ChunkWaveform,
    Header,
    LayerKind,
    NcfReader,
    NcfWriter,
    StreamWaveform,
    encode_waveform,
    pack_codes,
    waveform_grid,
)

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import fuzz_portable as portable

__all__ = ["built", "ncfdec"]

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler is here")


@pytest.fixture(scope="module", params=["neu2-44khz", "neu-16khz"])
def decoder(request: pytest.FixtureRequest, built: Path) -> Iterator[tuple[str, portable.Portable]]:
    """Each codec's name, and the program with its weights. Blocks of neu2-44khz have 1792 samples
    and sixteenths of 112; those of neu-16khz have 560, and an odd number, 35.
    """
    program = portable.Portable(built / "dump", str(built / f"{request.param}.ncfw"))
    yield request.param, program
    program.close()


@lru_cache
def header_of(name: str) -> Header:
    """The header of files of a codec, without layers."""
    rate = load_model(name).sample_rate
    data = neucodec.encode(noise(0.1, 1, rate), rate, model=name, codebooks=2, entropy="none")
    return NcfReader(io.BytesIO(data)).header


def layer(header: Header, frames: int, last: bool, seed: int) -> bytes:
    """Draw a layer; with an even seed all streams are in it."""
    rng, grid = np.random.default_rng(seed), waveform_grid(header)
    count = grid.count(frames * header.hop, last=last)
    streams: list[StreamWaveform | None] = []
    for stream in range(header.streams):
        if seed % 2 and stream == seed % header.streams:
            streams.append(None)
            continue
        top = int(rng.choice([1, grid.fine, rng.integers(1, grid.fine + 1)]))
        split = rng.integers(0, 3, count).astype(np.uint8)
        split[[0, -1]] %= 2
        values = rng.laplace(scale=rng.choice([0.3, 2.0, 12.0]), size=(count, 16 * top))
        values[:, 24:] *= rng.random(values[:, 24:].shape) < 0.03  # few, so that they fit
        values = np.round(values * (rng.random((count, 1)) < 0.8)).astype(np.int32)
        strengths = (int(number) for number in rng.integers(0, 16, 4))
        gain = int(rng.integers(400, 500))
        streams.append(StreamWaveform(gain, top, split, values, *strengths))
    return encode_waveform(header, frames, ChunkWaveform(last, streams))


def file(name: str, channels: int, chunks: Sequence[str], seed: int = 0) -> bytes:
    """Write an .ncf of random codes, and of chunks that are described by words: "plain" ones have
    no layer, "alone" no codes, "last" says that it is the last, "short" has 17 frames, "sides" has
    mid and side.
    """
    header = replace(header_of(name), channels=channels, streams=channels, layer=LayerKind.WAVEFORM)
    rng, out = np.random.default_rng(seed), io.BytesIO()
    writer = NcfWriter(out, header)
    for index, words in enumerate(chunks):
        frames = 17 if "short" in words else header.chunk_frames
        alone, last = "alone" in words, "last" in words or "short" in words
        codes = rng.integers(0, header.codebook_size, (channels, 2, frames))
        added = b"" if "plain" in words else layer(header, frames, last, seed + index)
        writer.write(
            Chunk(
                index=index,
                codebooks=0 if alone else 2,
                frames=frames,
                scales=() if alone else (130,) * channels,
                payload=b"" if alone else pack_codes(codes, header.code_bits),
                mid_side="sides" in words,
                layer=added,
            )
        )
    samples = (len(chunks) - 1) * header.chunk_stride + frames * header.hop
    writer.close(min(samples, len(chunks) * header.chunk_stride))
    return out.getvalue()


CHUNKS = {
    "whole": (1, ["", "", ""]),
    "ends short": (1, ["", "", "short"]),
    "ends whole": (1, ["", "last"]),
    "short alone": (2, ["short"]),
    "followed though last": (1, ["", "last", "", "last"]),
    "some without": (1, ["", "plain", "", "plain", "short"]),
    "without codes": (2, ["alone", "", "sides alone", "short alone"]),
    "mid and side": (2, ["sides", "", "sides", "sides short"]),
    "three channels": (3, ["", "sides", "short"]),
}


@pytest.mark.parametrize("kind", CHUNKS)
def test_drawn_layers_sound_alike(decoder: tuple[str, portable.Portable], kind: str) -> None:
    name, program = decoder
    data = file(name, *CHUNKS[kind], seed=len(kind))
    assert portable.differences(program, data) == []
    for how in (portable.DECODE_PIPE, portable.DECODE_FILE):
        assert_alike(program, how, data)


def test_a_lost_chunk_counts_as_one_with_a_layer(decoder: tuple[str, portable.Portable]) -> None:
    name, program = decoder
    data = bytearray(file(name, 1, ["", "", "", "plain", "short"]))
    table = NcfReader(io.BytesIO(bytes(data))).table()
    for index in (1, 4):
        damaged = bytearray(data)
        damaged[table[index].offset + 20] ^= 1
        for how in (portable.DECODE_PIPE, portable.DECODE_FILE):
            assert_alike(program, how, bytes(damaged))
    cut = bytes(data[: table[3].offset])
    assert_alike(program, portable.DECODE_FILE, cut)


def test_layers_of_other_bytes_are_damaged_alike(decoder: tuple[str, portable.Portable]) -> None:
    """Behind a valid checksum: only its end tells whether a layer is what encoding gives."""
    name, program = decoder
    data = file(name, 2, ["", "short"])
    for number in range(20):
        rng, damaged = random.Random(number), bytearray(data)
        entry = rng.choice(NcfReader(io.BytesIO(data)).table())
        end = entry.offset + entry.length - 4
        place = rng.choice(
            [end - 1, rng.randrange(end - 40, end), rng.randrange(entry.offset, end)]
        )
        damaged[place] ^= 1 << rng.randrange(8)
        damaged[end : end + 4] = zlib.crc32(damaged[entry.offset : end]).to_bytes(4, "little")
        assert portable.differences(program, bytes(damaged)) == [], f"case {number}"


@pytest.mark.parametrize("name", ["neu2-44khz", "neu-16khz"])
def test_any_part_is_the_same_as_of_the_whole(
    ncfdec: Callable[..., object], tmp_path: Path, name: str
) -> None:
    source, target = tmp_path / "a.ncf", tmp_path / "a.wav"
    source.write_bytes(file(name, 2, ["", "sides", "plain", "", "last", "", "short"], seed=5))
    rate, stride = header_of(name).sample_rate, header_of(name).chunk_stride
    ncfdec("-f", source, target)
    whole, _ = soundfile.read(target, dtype="float32")
    for first in (1, stride - 3, stride, 3 * stride - 100, 4 * stride + 1, 5 * stride, 6 * stride):
        start, end = first / rate, (first + 2000) / rate
        ncfdec("-f", "-s", start, "-e", end, source, target)
        part, _ = soundfile.read(target, dtype="float32")
        assert np.array_equal(part, whole[first : first + 2000])
