"""Cutting into chunks and joining them again."""

import numpy as np
import pytest
import torch

from neucodec.coding.chunks import (
    Audio,
    ChunkSplitter,
    Geometry,
    OverlapAdder,
    extended,
)
from neucodec.models.parts.spectrum import Spectrum

GEOMETRY = Geometry(stride=86 * 512, context=768, overlap=1536, filled=True, hop=512, frames=86)
CHUNK = GEOMETRY.stride


def fade() -> Audio:
    """The fade-in of overlap-added squared Hann windows."""
    window = torch.hann_window(2048).square().numpy() / 1.5
    total = np.zeros(1536, np.float32)
    for start in (0, 512, 1024):
        total[start:] += window[: 1536 - start]
    return total


def window(frames: int) -> Audio:
    """Of a whole chunk: faded on both sides."""
    weight = np.ones(GEOMETRY.width(frames), np.float32)
    weight[:1536] += fade() - 1
    weight[-1536:] -= fade()
    return weight


def split(audio: Audio, block: int) -> list[Audio]:
    splitter = ChunkSplitter(GEOMETRY, len(audio))
    chunks: list[Audio] = []
    for start in range(0, audio.shape[1], block):
        chunks += [p.audio for p in splitter.push(audio[:, start : start + block])]
    return chunks + [p.audio for p in splitter.finish()]


def frames_of(chunk: Audio) -> int:
    return (chunk.shape[1] - 2 * GEOMETRY.context) // GEOMETRY.hop


def join(chunks: list[Audio | None], first: int = 0) -> Audio:
    """Analyse and synthesise each chunk by itself, as a perfect codec would."""
    spectrum, adder = Spectrum(2048, 512), OverlapAdder(GEOMETRY, 2, window, first)
    parts = [np.zeros((2, 0), np.float32)]
    for index, chunk in enumerate(chunks, start=first):
        if chunk is None:
            parts.append(adder.push(index, None, GEOMETRY.frames))
        else:
            decoded = spectrum.synthesise(spectrum.analyse(torch.from_numpy(chunk))).numpy()
            parts.append(adder.push(index, decoded, frames_of(chunk)))
    return np.concatenate([*parts, adder.finish()], axis=1)


def noise(length: int) -> Audio:
    return np.random.default_rng(1).standard_normal((2, length)).astype(np.float32)


@pytest.mark.parametrize(
    "length", [1, 511, 512, 513, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + 769, 2 * CHUNK, 150_000]
)
def test_what_was_split_joins_to_the_same_signal(length: int) -> None:
    audio = noise(length)
    joined = join(list(split(audio, 7777)))
    assert joined.shape[1] - length in range(512)  # padded to whole frames
    np.testing.assert_allclose(joined[:, :length], audio, atol=1e-5)


@pytest.mark.parametrize("length", [1, 300, 100_000])
def test_beyond_its_ends_the_signal_is_extended(length: int) -> None:
    audio = noise(length)
    expected = extended(audio, GEOMETRY.context, GEOMETRY.context + GEOMETRY.hop)
    for index, chunk in enumerate(split(audio, 999)):
        start = index * GEOMETRY.stride
        np.testing.assert_array_equal(chunk, expected[:, start : start + chunk.shape[1]])


def test_a_tone_goes_on_beyond_its_ends() -> None:
    tone = np.sin(np.arange(-100, 1100) * 0.3)[None].astype(np.float32)
    whole = extended(tone[:, 100:], 100, 0)  # it begins at zero
    np.testing.assert_allclose(whole[0], tone[0], atol=1e-5)
    assert extended(tone[:, :3], 5, 5).shape == (1, 13)


def test_nothing_gives_no_chunks() -> None:
    assert split(noise(0), 1000) == []


def test_blocks_of_any_size_give_the_same_chunks() -> None:
    audio = noise(100_000)
    for one, other in zip(split(audio, 99), split(audio, 100_000), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_last_chunk_has_only_the_frames_it_needs() -> None:
    assert [frames_of(c) for c in split(noise(CHUNK + 600), 5000)] == [86, 2]


def test_a_lost_chunk_leaves_silence_that_long_and_no_longer() -> None:
    audio = noise(5 * CHUNK)
    chunks: list[Audio | None] = list(split(audio, 10_000))
    chunks[2] = None
    joined = join(chunks)
    whole = join(list(split(audio, 10_000)))
    lost = slice(2 * CHUNK + 768, 3 * CHUNK - 768)
    assert not joined[:, lost].any()
    for kept in (slice(0, 2 * CHUNK - 768), slice(3 * CHUNK + 768, 5 * CHUNK)):
        np.testing.assert_array_equal(joined[:, kept], whole[:, kept])


def test_joining_from_the_middle_gives_the_same_samples() -> None:
    chunks = list(split(noise(5 * CHUNK), 10_000))
    whole, part = join(list(chunks)), join(list(chunks[2:]), first=2)
    np.testing.assert_array_equal(part[:, 1536:], whole[:, 2 * CHUNK + 1536 :])


def test_a_short_chunk_amid_others_keeps_its_place() -> None:
    chunks = list(split(noise(3 * CHUNK), 10_000))
    short = chunks[1][:, : GEOMETRY.width(10)]
    joined = join([chunks[0], short, chunks[2]])
    assert joined.shape[1] == 3 * CHUNK


@pytest.mark.parametrize("rest", [1, 79, 80, 81, 240, 400])
def test_only_the_last_of_overlapping_segments_is_short(rest: int) -> None:
    """A rest that a short segment has within its overlap makes no segment of its own."""
    segments = Geometry(hop=320, frames=15, stride=4400, overlap=400)
    splitter = ChunkSplitter(segments, 1)
    length = 2 * 4400 + rest
    pieces = [*splitter.push(np.ones((1, length), np.float32)), *splitter.finish()]
    assert [p.frames == 15 for p in pieces[:-1]] == [True] * (len(pieces) - 1)
    assert [p.last for p in pieces] == [False] * (len(pieces) - 1) + [True]
    ends = [p.index * 4400 + p.audio.shape[1] for p in pieces]
    assert ends[-1] == length and len(pieces) == (2 if rest <= 80 else 3)


@pytest.mark.parametrize("length", [1, 500, 1000, 1001, 4321])
def test_real_context_ends_where_the_signal_ends(length: int) -> None:
    geometry = Geometry(hop=100, frames=10, stride=1000, context=200)
    signal = np.arange(length, dtype=np.float32)[None]
    splitter = ChunkSplitter(geometry, 1)
    pieces = [p for block in np.array_split(signal, 7, axis=1) for p in splitter.push(block)]
    pieces += splitter.finish()
    assert len(pieces) == -(-length // 1000)
    for piece in pieces:
        start = piece.index * 1000
        assert piece.before == min(200, start)
        whole = signal[:, start - piece.before : start + 1200]
        np.testing.assert_array_equal(piece.audio, whole)


def ramp(geometry: Geometry, frames: int) -> Audio:
    """A weight that rises and falls over what two chunks share."""
    fade = np.arange(1, geometry.overlap + 1, dtype=np.float32) / (geometry.overlap + 1)
    whole = np.ones(geometry.width(geometry.frames), np.float32)
    if len(fade):
        whole[: len(fade)] *= fade
        whole[-len(fade) :] *= fade[::-1]
    return whole[: geometry.width(frames)]


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry(hop=100, frames=10, stride=1000, context=150, overlap=300, filled=True),
        Geometry(hop=100, frames=10, stride=800, context=150, overlap=500, filled=True),
        Geometry(hop=100, frames=10, stride=1000, context=200, code_context=2),
        Geometry(hop=100, frames=10, stride=1000, sequential=True, warmup=2),
        Geometry(hop=100, frames=10, stride=950, overlap=50),
        Geometry(hop=100, frames=10, stride=700, overlap=300),
    ],
    ids=["overlap", "overlap with shared frames", "context", "stream", "segments", "long fade"],
)
@pytest.mark.parametrize("length", [1, 100, 950, 1000, 1001, 3333, 4000])
def test_every_geometry_joins_what_it_has_split(geometry: Geometry, length: int) -> None:
    audio = noise(length)
    splitter = ChunkSplitter(geometry, 2)
    pieces = [*splitter.push(audio), *splitter.finish()]
    for first in {0, len(pieces) // 2}:
        adder = OverlapAdder(geometry, 2, lambda frames: ramp(geometry, frames), first)
        parts = []
        for piece in pieces[first:]:
            width = geometry.width(piece.frames)
            decoded = piece.audio[:, piece.before - geometry.lead :][:, :width]
            decoded = np.pad(decoded, ((0, 0), (0, width - decoded.shape[1])))
            weighted = decoded * ramp(geometry, piece.frames)
            parts.append(adder.push(piece.index, weighted, piece.frames))
        joined = np.concatenate([*parts, adder.finish()], axis=1)
        assert joined.shape[1] >= length - first * geometry.stride
        # Where joining starts amid the signal, the first fade lacks its neighbour.
        start = geometry.overlap - geometry.lead if first else 0
        expected = audio[:, first * geometry.stride + start :]
        found = joined[:, start : start + expected.shape[1]]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_short_chunk_is_complete_when_it_comes() -> None:
    adder = OverlapAdder(GEOMETRY, 1, window)
    given = 0
    for index, frames in enumerate([GEOMETRY.frames, GEOMETRY.frames, 3]):
        width = GEOMETRY.width(frames)
        given += adder.push(index, np.ones((1, width), np.float32), frames).shape[1]
    assert given == 2 * GEOMETRY.stride + 3 * GEOMETRY.hop
    assert adder.finish().shape[1] == 0
