"""Layers of chunks, against the specification written out in integers."""

from __future__ import annotations

import layer_reference as reference
import ncf_examples as ncf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neucodec.coding.tones import render
from neucodec.formats import (
    LAYER_SIZES,
    MAX_BANDS,
    Header,
    LayerKind,
    NcfError,
    StreamLayer,
    decode_layer,
    encode_layer,
    layer_width,
    transform_length,
)

Streams = list[StreamLayer | None]

MONO = ncf.header(sample_rate=8000, layer=LayerKind.MDCT)
STEREO = ncf.header(
    sample_rate=16000,
    channels=2,
    streams=2,
    chunk_stride=1900,
    overlap=700,
    layer=LayerKind.MDCT,
)
FULL_RATE = ncf.header(layer=LayerKind.MDCT)
MANY = ncf.header(
    channels=5, streams=5, hop=16, chunk_stride=60, overlap=60, layer=LayerKind.MDCT, codebooks=127
)
HEADERS = st.sampled_from([MONO, STEREO, FULL_RATE, MANY])
FRAMES = st.integers(1, 4)
SEEDS = st.integers(0, 2**32)


def shape_of(header: Header, frames: int) -> reference.Shape:
    """What the specification takes of a header and a chunk."""
    samples = header.chunk_stride + header.overlap - (header.chunk_frames - frames) * header.hop
    return reference.Shape(header.streams, header.sample_rate, samples)


def zeros(header: Header, frames: int, size: int = 0, step: int = 100) -> StreamLayer:
    """A stream with all that it needs but for coefficients other than 0."""
    shape = shape_of(header, frames)
    coefficients = np.zeros((shape.transforms(size), shape.length(size)), np.int32)
    return StreamLayer(size, step, coefficients)


def drawn(header: Header, frames: int, seed: int) -> Streams:
    """Streams with nothing, few large coefficients or many small ones, here and there."""
    rng = np.random.default_rng(seed)
    streams: Streams = []
    for _ in range(header.streams):
        if rng.random() < 0.3:
            streams.append(None)
            continue
        stream = zeros(header, frames, int(rng.integers(3)), int(rng.integers(1, 256)))
        count, length = stream.coefficients.shape
        places = rng.random((count, length)) < rng.choice([0.002, 0.02, 0.5])
        places &= rng.random((count, 1)) < rng.choice([0.2, 1])
        values = rng.laplace(scale=2 ** rng.uniform(0, 15), size=(count, length))
        stream.coefficients[:] = np.clip(values * places, -65535, 65535)
        having = np.any(stream.coefficients.reshape(-1, 16), axis=1)
        beyond = np.cumsum(having) > shape_of(header, frames).most_bands
        stream.coefficients.reshape(-1, 16)[beyond] = 0
        streams.append(stream)
    return streams


def plain(streams: Streams) -> list[reference.Stream | None]:
    """The same as the specification has them."""
    return [
        None if s is None else reference.Stream(s.size, s.step, s.coefficients.tolist())
        for s in streams
    ]


def check(header: Header, frames: int, payload: bytes) -> None:
    """Any bytes are refused, or they are what encoding gives; the specification says which."""
    try:
        found = decode_layer(header, frames, payload)
    except NcfError:
        with pytest.raises(AssertionError, match="damaged"):
            reference.decode(shape_of(header, frames), payload)
    else:
        assert encode_layer(header, frames, found or [None] * header.streams) == payload
        assert plain(found) == (
            reference.decode(shape_of(header, frames), payload) if found else []
        )


@settings(max_examples=60)
@given(HEADERS, FRAMES, SEEDS)
def test_payloads_are_those_of_the_specification(header: Header, frames: int, seed: int) -> None:
    streams = drawn(header, frames, seed)
    payload = encode_layer(header, frames, streams)
    assert payload == reference.encode(shape_of(header, frames), plain(streams))
    assert plain(decode_layer(header, frames, payload)) == (plain(streams) if any(streams) else [])
    if payload:
        assert reference.decode(shape_of(header, frames), payload) == plain(streams)


@pytest.mark.parametrize("header", [MONO, MANY])
def test_where_no_stream_has_anything_there_are_no_bytes(header: Header) -> None:
    assert encode_layer(header, 4, [None] * header.streams) == b""
    assert decode_layer(header, 4, b"") == []


def test_streams_without_anything_stay_where_they_are() -> None:
    for having in range(5):
        streams: Streams = [None] * 5
        streams[having] = zeros(MANY, 4)
        payload = encode_layer(MANY, 4, streams)
        assert [stream is not None for stream in decode_layer(MANY, 4, payload)] == [
            stream is not None for stream in streams
        ]


@pytest.mark.parametrize("size", range(LAYER_SIZES))
def test_coefficients_may_have_sixteen_bits(size: int) -> None:
    stream = zeros(MONO, 4, size, step=255)
    stream.coefficients[0, [0, 1, -1]] = [65535, -65535, 65535]
    stream.coefficients[-1, 3:] = -65535
    payload = encode_layer(MONO, 4, [stream])
    assert payload == reference.encode(shape_of(MONO, 4), plain([stream]))
    assert plain(decode_layer(MONO, 4, payload)) == plain([stream])


@pytest.mark.parametrize(
    ("rate", "lengths"),
    [
        (1, [256, 64, 16]),
        (16000, [256, 64, 16]),
        (20479, [256, 64, 16]),
        (20480, [512, 128, 32]),
        (44100, [1024, 256, 64]),
        (2**19, [8192, 2048, 512]),
    ],
)
def test_transforms_last_a_fortieth_of_a_second_or_down_to_half_of_it(
    rate: int, lengths: list[int]
) -> None:
    header = ncf.header(sample_rate=rate, source_rate=rate, layer=LayerKind.MDCT)
    assert [transform_length(header, size) for size in range(LAYER_SIZES)] == lengths
    assert [shape_of(header, 4).length(size) for size in range(LAYER_SIZES)] == lengths


@given(HEADERS, FRAMES)
def test_short_chunks_have_layers_of_as_many_samples(header: Header, frames: int) -> None:
    assert layer_width(header, frames) == shape_of(header, frames).samples >= frames * header.hop


LONG = ncf.header(sample_rate=8000, chunk_frames=40, chunk_stride=20480, layer=LayerKind.MDCT)


def with_bands(count: int) -> StreamLayer:
    """A stream with one coefficient in each of so many bands, all of the first transforms'."""
    stream = zeros(LONG, 40)
    stream.coefficients.reshape(-1)[: 16 * count : 16] = 1
    return stream


def test_streams_may_have_1024_bands_with_anything() -> None:
    whole = encode_layer(LONG, 40, [with_bands(MAX_BANDS)])
    assert plain(decode_layer(LONG, 40, whole)) == plain([with_bands(1024)])
    with pytest.raises(NcfError, match="a layer of so many samples holds 1024 bands of each"):
        encode_layer(LONG, 40, [with_bands(1025)])
    more = reference.encode(shape_of(LONG, 40), plain([with_bands(1025)]), most=1025)
    with pytest.raises(NcfError, match="too many bands"):
        decode_layer(LONG, 40, more)


def test_streams_of_few_samples_may_have_fewer_bands() -> None:
    """A band for each sixteen: few bytes of a chunk that is hardly any sound take little work."""
    shape = shape_of(MONO, 1)
    assert shape.most_bands == 512 // 16 < shape.transforms(0) * shape.length(0) // 16
    stream = zeros(MONO, 1)
    stream.coefficients.reshape(-1)[: 16 * 32 : 16] = 1
    payload = encode_layer(MONO, 1, [stream])
    assert plain(decode_layer(MONO, 1, payload)) == plain([stream])
    stream.coefficients.reshape(-1)[16 * 32] = 1
    with pytest.raises(NcfError, match="a layer of so many samples holds 32 bands"):
        encode_layer(MONO, 1, [stream])
    more = reference.encode(shape, plain([stream]), most=33)
    with pytest.raises(NcfError, match="too many bands"):
        decode_layer(MONO, 1, more)


@pytest.mark.parametrize("value", [65536, -65536, 2**31 - 1, -(2**31)])
def test_larger_coefficients_are_not_written(value: int) -> None:
    stream = zeros(MONO, 4)
    stream.coefficients[0, 0] = value
    with pytest.raises(NcfError, match="a layer holds coefficients below 65536"):
        encode_layer(MONO, 4, [stream])


@pytest.mark.parametrize("step", [-1, 0, 256])
def test_steps_are_bytes_other_than_0(step: int) -> None:
    with pytest.raises(NcfError):
        encode_layer(MONO, 4, [zeros(MONO, 4, step=step)])


@pytest.mark.parametrize("size", [-1, 3, 4])
def test_there_are_three_sizes(size: int) -> None:
    # Of a rate at which there would be a fourth one.
    header = ncf.header(sample_rate=2**19, layer=LayerKind.MDCT)
    length = 8192 * 4 // 4 ** (size + 1)
    stream = StreamLayer(size, 100, np.zeros((-(-2048 // length) + 1, length), np.int32))
    with pytest.raises(NcfError):
        encode_layer(header, 4, [stream])


@pytest.mark.parametrize("shape", [(8, 256), (10, 256), (9, 64), (9, 255), (9 * 256,), (0, 256)])
def test_other_numbers_of_coefficients_are_not_written(shape: tuple[int, ...]) -> None:
    with pytest.raises(NcfError, match=r"where \(9, 256\) is needed"):
        encode_layer(MONO, 4, [StreamLayer(0, 100, np.zeros(shape, np.int32))])


@pytest.mark.parametrize("count", [1, 3])
def test_other_numbers_of_streams_are_not_written(count: int) -> None:
    with pytest.raises(NcfError):
        encode_layer(STEREO, 4, [zeros(STEREO, 4)] * count)


def started(size: int, step: int) -> reference.Writer:
    """What a layer of one stream starts with."""
    writer = reference.Writer()
    for bits, number in ((1, 1), (2, size), (8, step)):
        reference.even(writer, bits, number)
    return writer


@pytest.mark.parametrize(("size", "step"), [(3, 100), (0, 0), (3, 0)])
def test_unknown_sizes_and_steps_of_nothing_are_refused(size: int, step: int) -> None:
    with pytest.raises(NcfError, match="a layer of no known kind"):
        decode_layer(MONO, 4, started(size, step).payload())


def test_a_transform_said_to_have_something_has_a_band_that_has() -> None:
    writer, context, band = started(0, 100), reference.Context(), reference.Context()
    reference.ask(writer, context, 1)
    for _ in range(16):
        reference.ask(writer, band, 0)
    with pytest.raises(NcfError, match="none where there are said to be"):
        decode_layer(MONO, 4, writer.payload())


def test_a_band_said_to_have_something_has_a_coefficient_other_than_0() -> None:
    # The same sound would have two payloads else.
    writer, contexts = started(0, 100), [reference.Context() for _ in range(4)]
    transforms = [reference.Context() for _ in range(2)]
    reference.ask(writer, transforms[0], 1)
    for band in range(16):
        reference.ask(writer, contexts[2 * (band == 1)], int(band == 0))
    size = reference.Context()
    for _ in range(16):
        reference.ask(writer, size, 0)
    for before in (1, *[0] * 7):
        reference.ask(writer, transforms[before], 0)
    with pytest.raises(NcfError):
        decode_layer(MONO, 4, writer.payload())


@settings(max_examples=40)
@given(HEADERS, FRAMES, SEEDS, st.data())
def test_a_payload_with_another_byte_is_refused_or_that_of_another_layer(
    header: Header, frames: int, seed: int, draw: st.DataObject
) -> None:
    payload = encode_layer(header, frames, drawn(header, frames, seed))
    # What is changed near the end is noticed by the end alone.
    near_end = st.integers(max(0, len(payload) - 20), len(payload))
    at = draw.draw(st.integers(0, len(payload)) | near_end)
    other = draw.draw(st.binary(max_size=2))
    check(header, frames, payload[:at] + other + payload[at + draw.draw(st.integers(0, 2)) :])


def test_bytes_more_or_less_at_the_end_are_noticed() -> None:
    payload = encode_layer(STEREO, 4, drawn(STEREO, 4, seed=5))
    assert len(payload) > 30
    for other in (payload + b"\0", payload + b"\1", payload + bytes(20), payload[:-1], payload[:9]):
        with pytest.raises(NcfError):
            decode_layer(STEREO, 4, other)


@settings(max_examples=60)
@given(HEADERS, FRAMES, st.binary(max_size=200))
def test_any_bytes_are_refused_or_a_layer(header: Header, frames: int, payload: bytes) -> None:
    check(header, frames, payload)


def test_the_shortest_payloads_are_all_refused_or_layers() -> None:
    for first in range(256):
        check(MONO, 4, bytes([first]))
        check(STEREO, 1, bytes([first, 0x80]))


@pytest.mark.parametrize("byte", [0, 0x55, 0xFF])
def test_bytes_that_repeat_come_to_an_end(byte: int) -> None:
    for length in (1, 10, 1000):
        check(MONO, 4, bytes([byte]) * length)


@settings(max_examples=10)
@given(st.sampled_from([MONO, STEREO, MANY]), FRAMES, SEEDS)
def test_layers_sound_as_the_specification_sums_them(
    header: Header, frames: int, seed: int
) -> None:
    streams = drawn(header, frames, seed)
    shape = shape_of(header, frames)
    sound = render(streams, header, frames)
    assert sound.shape == (header.streams, shape.samples)
    for row, stream in zip(sound, plain(streams), strict=True):
        expected = reference.sound(shape, stream) if stream else np.zeros(shape.samples)
        loudest = np.abs(expected).max()
        assert np.abs(row - expected).max() <= 1e-5 * loudest
