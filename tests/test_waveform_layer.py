"""Waveform layers, against the specification written out in integers and float64."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import ncf_examples as ncf
import numpy as np
import pytest
import waveform_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from neucodec.audio.samples import Audio
from neucodec.coding.chunks import Geometry, OverlapAdder
from neucodec.coding.unpacking import UnpackedChunk
from neucodec.coding.waveform_joiner import WaveformJoiner
from neucodec.formats import (
    PARTS,
    Chunk,
    ChunkWaveform,
    Header,
    LayerKind,
    NcfError,
    StreamWaveform,
    decode_waveform,
    encode_waveform,
    waveform_grid,
)


def header(rate: int, stride: int, streams: int = 1, hop: int = 512, **more: Any) -> Header:
    """Make the header of a file with waveform layers."""
    frames = -(-stride // hop)
    return ncf.header(
        sample_rate=rate, source_rate=rate, channels=streams, streams=streams, hop=hop,
        chunk_frames=frames, chunk_stride=stride, overlap=frames * hop - stride,
        layer=LayerKind.WAVEFORM, **more,
    )  # fmt: skip


FULL_RATE = header(44100, 43008)
WIDE_BAND = header(16000, 15680, 2, hop=320)
TINY = header(8000, 64 * 16, 3, hop=96)
SHORT_BLOCKS = header(400, 64, 2, hop=24)
"""Of 16 samples: their sixteenths have one each, and no slope between them."""
ODD = header(2400, 48 * 25, 2, hop=100)
"""Of 80 samples, and sixteenths of 5; and"""
ODDEST = header(1200, 48 * 25, 1, hop=100)
"""of 48, and 3."""
SMALL = st.sampled_from([TINY, SHORT_BLOCKS, ODD, ODDEST])
SEEDS = st.integers(0, 2**32)


def shape_of(head: Header) -> reference.Shape:
    """Return what the specification takes of a header."""
    return reference.Shape(
        head.streams, head.sample_rate, head.chunk_stride, head.hop, head.chunk_frames
    )


def a_stream(
    head: Header, count: int, rng: np.random.Generator, top: int | None = None
) -> StreamWaveform:
    """Draw a stream of a layer of so many blocks: nothing, little or much of any size."""
    fine = waveform_grid(head).fine
    top = top or int(rng.choice([1, fine, rng.integers(1, fine + 1)]))
    split = rng.integers(0, 3, count).astype(np.uint8)
    split[[0, -1]] %= 2
    scale = 2.0 ** rng.uniform(-3, rng.choice([1, 4, 15]))
    values = rng.laplace(scale=scale, size=(count, 16 * top)) * (rng.random((count, 1)) < 0.8)
    values = np.clip(np.round(values), -65541, 65541).astype(np.int32)
    return StreamWaveform(
        int(rng.integers(1024)), top, split, values, *(int(k) for k in rng.integers(0, 16, 4))
    )


def drawn(
    head: Header, seed: int, top: int | None = None, last: bool | None = None
) -> tuple[int, ChunkWaveform]:
    """Draw a layer, and the number of its chunk's frames."""
    rng = np.random.default_rng(seed)
    last = bool(rng.integers(2)) if last is None else last
    frames = int(rng.integers(1, head.chunk_frames + 1)) if last else head.chunk_frames
    count = waveform_grid(head).count(frames * head.hop, last=last)
    streams = [
        a_stream(head, count, rng, top) if rng.random() < 0.8 else None for _ in range(head.streams)
    ]
    return frames, ChunkWaveform(last, streams)


def plain(layer: ChunkWaveform) -> reference.Layer:
    """Return the same as the specification has it."""
    return reference.Layer(layer.last, [s and plain_stream(s) for s in layer.streams])


def plain_stream(stream: StreamWaveform) -> reference.Stream:
    """Return the same as the specification has it."""
    return reference.Stream(
        stream.gain, stream.top, stream.fill_low, stream.fill_high, stream.prediction,
        stream.above, [PARTS[k] for k in stream.split], stream.values.tolist(),
    )  # fmt: skip


def check(head: Header, frames: int, payload: bytes) -> None:
    """Check that bytes are refused, or what encoding gives, as the specification says."""
    try:
        found = decode_waveform(head, frames, payload)
    except NcfError:
        with pytest.raises(AssertionError, match="damaged"):
            reference.decode(shape_of(head), frames, payload)
    else:
        assert encode_waveform(head, frames, found) == payload
        assert reference.decode(shape_of(head), frames, payload) == plain(found)


def check_payload(head: Header, frames: int, layer: ChunkWaveform) -> None:
    """Check that a layer has the specification's bytes, and comes back from them."""
    payload = reference.encode(shape_of(head), frames, plain(layer))
    if sum(len(s.split) for s in layer.streams if s) > 8 + len(payload):
        with pytest.raises(NcfError, match="rows"):
            encode_waveform(head, frames, layer)
        return
    assert encode_waveform(head, frames, layer) == payload
    assert plain(decode_waveform(head, frames, payload)) == plain(layer)
    assert reference.decode(shape_of(head), frames, payload) == plain(layer)


@settings(max_examples=4)
@given(SMALL, SEEDS)
def test_payloads_are_those_of_the_specification(head: Header, seed: int) -> None:
    check_payload(head, *drawn(head, seed))


@pytest.mark.parametrize(("head", "top"), [(FULL_RATE, 2), (WIDE_BAND, 3)])
@pytest.mark.parametrize("last", [False, True])
def test_so_are_those_of_the_codecs_rates(head: Header, top: int, last: bool) -> None:
    check_payload(head, *drawn(head, 3, top, last))


@pytest.mark.parametrize(
    ("head", "blocks", "block"),
    [(FULL_RATE, 24, 1792), (WIDE_BAND, 28, 560), (TINY, 4, 256), (SHORT_BLOCKS, 4, 16),
     (ODD, 15, 80), (ODDEST, 25, 48)],
)  # fmt: skip
def test_blocks_last_a_twenty_fifth_of_a_second(head: Header, blocks: int, block: int) -> None:
    grid = waveform_grid(head)
    assert (grid.blocks, grid.block) == (blocks, block)
    assert (shape_of(head).blocks, shape_of(head).block) == (blocks, block)


@given(st.integers(1, 2**19), st.integers(1, 2**16) | st.integers(1, 2**12).map(lambda k: 16 * k))
def test_strides_have_blocks_as_the_specification_says(rate: int, stride: int) -> None:
    shape = reference.Shape(1, rate, stride, 1, stride)
    if shape.possible:
        grid = waveform_grid(header(rate, stride, hop=stride))
        assert (grid.blocks, grid.block) == (shape.blocks, shape.block)
    else:
        with pytest.raises(NcfError, match="a waveform layer over"):
            header(rate, stride, hop=stride)


def test_largest_magnitudes_and_every_length_beyond_seven_come_back() -> None:
    stream = a_stream(TINY, 4, np.random.default_rng(0), 16)
    edges = [n for k in range(1, 17) for n in ((1 << k) + 4, (1 << k) + 5, (1 << k) + 6)]
    stream.values.reshape(-1)[: len(edges)] = [min(n, 65541) for n in edges]
    stream.values.reshape(-1)[-len(edges) :] = [-min(n, 65541) for n in edges]
    check_payload(TINY, TINY.chunk_frames, ChunkWaveform(False, [stream, None, stream]))


def audio_of(head: Header, chunks: int, rng: np.random.Generator) -> Audio:
    """Make sound whose loudness changes by much from place to place."""
    count = chunks * head.chunk_stride
    levels = 10 ** rng.uniform(-3, 0, (head.streams, -(-count // 7)))
    samples = rng.normal(size=(head.streams, count)) * np.repeat(levels, 7, axis=1)[:, :count]
    return samples.astype(np.float32)


Held = tuple[int, ChunkWaveform, bool] | None


def decoded(head: Header, sound: Audio, layers: list[Held], lost: set[int]) -> Audio:
    """Join the sound of chunks, one after the other, with these layers."""
    stride, whole = head.chunk_stride, head.chunk_frames
    geometry = Geometry(hop=head.hop, frames=whole, stride=stride, overlap=head.overlap)

    def window(frames: int) -> Audio:
        # Each chunk's own samples alone, so that ``sound`` is what is joined.
        return (np.arange(geometry.width(frames)) < stride).astype(np.float32)

    joiner = WaveformJoiner(OverlapAdder(geometry, head.channels, window), head, 0)
    out = []
    for index, held in enumerate(layers):
        frames, layer, mid_side = held or (whole, None, False)
        chunk = Chunk(index=index, codebooks=0, frames=frames, mid_side=mid_side)
        unpacked = UnpackedChunk(index, frames, None if index in lost else chunk, waveform=layer)
        own = np.zeros((head.channels, geometry.width(frames)), np.float32)
        part = sound[:, index * stride : index * stride + min(stride, own.shape[1])]
        own[:, : part.shape[1]] = part
        out.append(joiner.push(unpacked, own))
    return np.concatenate([*out, joiner.finish()], axis=1)


def check_sound(head: Header, layers: list[Held], lost: set[int], seed: int) -> None:
    """Check that what is joined is what the specification sums."""
    # So many bits as float32 has for the loudest: gains near 1, integers of some tens.
    layers = [held and (held[0], tamed(held[1]), held[2]) for held in layers]
    rng = np.random.default_rng(seed)
    sound = audio_of(head, len(layers), rng)
    found = decoded(head, sound, layers, lost)
    length = found.shape[1]
    frames = layers[-1][0] if layers[-1] else head.chunk_frames
    assert length == (len(layers) - 1) * head.chunk_stride + frames * head.hop
    whole = np.zeros((head.channels, length))
    whole[:, : sound.shape[1]] = sound[:, :length]
    expected = reference.joined(
        shape_of(head),
        whole,
        [held and (held[0], plain(held[1]), held[2]) for held in layers],
        lost,
    )
    change = np.abs(expected - whole).max()
    assert np.abs(found - expected).max() <= 1e-4 * max(change, 1.0)


def tamed(layer: ChunkWaveform) -> ChunkWaveform:
    """Return a layer whose steps and integers are as those that are found."""
    streams = [
        s and replace(s, gain=400 + s.gain % 128, values=np.clip(s.values, -40, 40))
        for s in layer.streams
    ]
    return ChunkWaveform(layer.last, streams)


@settings(max_examples=4)
@given(SMALL, SEEDS, st.lists(st.sampled_from(["layered", "lost", "bare"]), max_size=2))
def test_layers_sound_as_the_specification_sums_them(
    head: Header, seed: int, before: list[str]
) -> None:
    layers: list[Held] = []
    for number, kind in enumerate(before):
        mid_side = head.streams > 1 and (seed + number) % 3 == 0
        whole = head.chunk_frames, drawn(head, seed + number, last=False)[1], mid_side
        layers.append(whole if kind == "layered" else None)
    layers.append((*drawn(head, seed, last=True), head.streams > 1 and seed % 2 == 0))
    check_sound(head, layers, {k for k, kind in enumerate(before) if kind == "lost"}, seed)


@pytest.mark.parametrize(("head", "top"), [(FULL_RATE, 20), (WIDE_BAND, 9)])
def test_so_do_those_of_the_codecs_rates(head: Header, top: int) -> None:
    first = head.chunk_frames, drawn(head, 8, top, last=False)[1], False
    check_sound(head, [first, (*drawn(head, 9, top, last=True), False)], set(), 1)


FRAMES = TINY.chunk_frames
ONE = a_stream(TINY, 4, np.random.default_rng(7), 16)


def written(**changes: Any) -> bytes:
    """Return the bytes of a layer of one stream, changed as told, whatever may be in it."""
    stream = replace(plain_stream(ONE), **changes)
    layer = reference.Layer(False, [stream, None, None])
    return reference.encode(shape_of(TINY), FRAMES, layer, checked=False)


@pytest.mark.parametrize("top", [0, 17, 65535])
def test_layers_up_to_nothing_or_beyond_the_spectrum_are_refused(top: int) -> None:
    symbols = reference.Writer()
    for bits, number in ((1, 0), (1, 1), (10, 500), (16, top), (16, 0)):
        symbols.even(bits, number)
    short = symbols.payload()
    with pytest.raises(NcfError, match=f"up to {top}: 1 to 16 are possible"):
        decode_waveform(TINY, FRAMES, short)
    with pytest.raises(NcfError, match=f"up to {top}: 1 to 16 are possible"):
        encode_waveform(TINY, FRAMES, ChunkWaveform(False, [replace(ONE, top=top), None, None]))


@pytest.mark.parametrize(
    "changes",
    [{"gain": 1024}, {"gain": -1}, {"fill_low": 16}, {"fill_high": -1}, {"prediction": 16},
     {"above": 16}, {"split": np.array([2, 0, 0, 0], np.uint8)},
     {"split": np.array([0, 0, 0, 2], np.uint8)}, {"split": np.array([0, 3, 0, 0], np.uint8)},
     {"split": np.zeros(3, np.uint8)}, {"values": np.zeros((3, 256), np.int32)},
     {"values": np.full((4, 256), 65542, np.int32)}, {"values": np.full((4, 256), -(2**31))}],
)  # fmt: skip
def test_what_cannot_be_read_again_is_not_written(changes: dict[str, Any]) -> None:
    with pytest.raises(NcfError, match="waveform layer|gain"):
        encode_waveform(TINY, FRAMES, ChunkWaveform(False, [replace(ONE, **changes), None, None]))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_other_numbers_of_streams_are_not_written(count: int) -> None:
    with pytest.raises(NcfError, match=f"a layer of {count} streams: 3 are needed"):
        encode_waveform(TINY, FRAMES, ChunkWaveform(False, [ONE] * count))


@pytest.mark.parametrize("at", [0, 3])
def test_first_and_last_blocks_in_sixteenths_are_refused(at: int) -> None:
    parts = [1, 16, 4, 1]
    parts[at] = 16
    with pytest.raises(NcfError):
        decode_waveform(TINY, FRAMES, written(parts=parts))


def test_a_short_chunk_that_is_not_the_last_is_refused() -> None:
    layer = reference.Layer(False, [plain_stream(ONE), None, None])
    payload = reference.encode(shape_of(TINY), 3, layer, checked=False)
    with pytest.raises(NcfError, match="a short chunk that is not the last"):
        decode_waveform(TINY, 3, payload)


def test_bytes_more_or_less_at_the_end_are_noticed() -> None:
    payload = written()
    assert decode_waveform(TINY, FRAMES, payload).streams[0]
    for other in (
        payload + b"\0", payload + b"\1", payload + bytes(40), payload[:-1], payload[:9], b"\0",
    ):  # fmt: skip
        with pytest.raises(NcfError):
            decode_waveform(TINY, FRAMES, other)


def test_rows_are_paid_for_in_bytes() -> None:
    """Few bytes take little work: hardly a bit of them says that a row has nothing."""
    head = header(2400, 48 * 400, hop=100)
    count = waveform_grid(head).blocks
    nothing = StreamWaveform(500, 1, np.zeros(count, np.uint8), np.zeros((count, 16), np.int32))
    frames = head.chunk_frames
    payload = reference.encode(
        shape_of(head), frames, plain(ChunkWaveform(False, [nothing])), checked=False
    )
    assert count > 8 + len(payload)
    for attempt in (
        lambda: encode_waveform(head, frames, ChunkWaveform(False, [nothing])),
        lambda: decode_waveform(head, frames, payload),
    ):
        with pytest.raises(NcfError, match=f"bytes with {count} rows"):
            attempt()


@settings(max_examples=4)
@given(SMALL, SEEDS, st.data())
def test_a_payload_with_another_byte_is_refused_or_that_of_another_layer(
    head: Header, seed: int, draw: st.DataObject
) -> None:
    frames, layer = drawn(head, seed)
    payload = reference.encode(shape_of(head), frames, plain(layer))
    near_end = st.integers(max(0, len(payload) - 20), len(payload))
    at = draw.draw(st.integers(0, len(payload)) | near_end)
    other = draw.draw(st.binary(max_size=2))
    check(head, frames, payload[:at] + other + payload[at + draw.draw(st.integers(0, 2)) :])


@settings(max_examples=30)
@given(SMALL, st.binary(max_size=40))
def test_any_bytes_are_refused_or_a_layer(head: Header, payload: bytes) -> None:
    check(head, head.chunk_frames, payload)
