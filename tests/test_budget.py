"""What a small file may ask for: work and memory go by its bytes, not by what it claims."""

from __future__ import annotations

import hashlib
import io
import struct
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from conftest import Run
from safetensors.numpy import load_file

import neucodec
from neucodec.coding.entropy import Adaptive
from neucodec.coding.integrity import check_ncf
from neucodec.coding.payloads import codes_of, encode_payload, undecodable
from neucodec.formats import (
    Chunk,
    EntropyCoder,
    Header,
    LayerKind,
    NcfReader,
    NcfWriter,
    ScaleKind,
    StreamLayer,
    decode_layer,
    encode_chunk,
    encode_layer,
    transform_length,
    transforms,
)
from neucodec.formats.entropy.varint import encode_varint
from neucodec.formats.ncf.crc import Registers, registers
from neucodec.models.catalogue.card import find_card

CARD = find_card("neu2-44khz")
HEADER = Header(
    codec=CARD.name, fingerprint=CARD.fingerprint, sample_rate=44100, source_rate=44100,
    channels=1, streams=1, codebooks=16, codebook_size=1024, hop=512, chunk_frames=86,
    chunk_stride=43008, overlap=2560, scale_kind=ScaleKind.LOG,
)  # fmt: skip
ALL = replace(HEADER, channels=255, streams=255)


def file_of(header: Header, chunks: list[Chunk]) -> bytes:
    file = io.BytesIO()
    writer = NcfWriter(file, header)
    for chunk in chunks:
        writer.write(chunk)
    samples = len(chunks) * header.chunk_stride * header.source_rate // header.sample_rate
    writer.close(samples)
    return file.getvalue()


def silence(count: int) -> list[Chunk]:
    return [Chunk(index=index, codebooks=0, frames=86) for index in range(count)]


def claims(header: Header, count: int) -> list[Chunk]:
    """Chunks that say they have all codes that there can be, and hold none."""
    scales = (140,) * header.streams
    full = {"codebooks": header.codebooks, "frames": header.chunk_frames, "scales": scales}
    return [Chunk(index=index, **full) for index in range(count)]  # type: ignore[arg-type]


def seconds_of(work: Callable[[], object]) -> float:
    """Of a processor."""
    began = time.process_time()
    work()
    return time.process_time() - began


def peak_of(work: Callable[[], object]) -> int:
    """Bytes of memory that arrays and objects take at most meanwhile."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "header",
    [
        replace(ALL, entropy=EntropyCoder.ADAPTIVE),
        replace(
            ALL, entropy=EntropyCoder.ADAPTIVE, codebooks=125, chunk_frames=32, hop=512,
            chunk_stride=16384, overlap=0, codebook_size=256,
        ),
        replace(HEADER, entropy=EntropyCoder.ADAPTIVE, codebooks=47, codebook_size=65536),
        replace(
            HEADER, entropy=EntropyCoder.ADAPTIVE, codebooks=1, chunk_frames=2**12, hop=1,
            chunk_stride=2**12, overlap=0, codebook_size=65536,
        ),
    ],
    ids=["255 channels", "codebooks, too", "entries", "frames"],
)  # fmt: skip
def test_payloads_cost_what_they_hold_and_not_what_they_claim(header: Header) -> None:
    data = file_of(header, claims(header, 8))
    assert len(data) < 10_000

    def verify() -> None:
        reader = NcfReader(io.BytesIO(data))
        found = check_ncf(
            reader, lambda chunks: undecodable(chunks, header, Adaptive(header.codebook_size))
        )
        assert found.chunks == 0 and len(found.damaged) == 1

    assert seconds_of(verify) < 2
    assert peak_of(verify) < 100_000_000


@pytest.mark.parametrize("streams", [1, 3, 200])
def test_codes_are_found_again_however_many_chunks_go_together(streams: int) -> None:
    rng = np.random.default_rng(0)
    header = replace(
        HEADER, channels=streams, streams=streams, entropy=EntropyCoder.ADAPTIVE, codebooks=3,
        chunk_frames=9, hop=512, chunk_stride=4608, overlap=0,
    )  # fmt: skip
    model, chunks, expected = Adaptive(1024), [], []
    for index in range(12):
        sounding = rng.random(streams) < (1, 0.5)[index % 2]
        sounding[0] = True
        shape = (int(sounding.sum()), 1 + index % 3, 9)
        codes = np.minimum(rng.geometric((0.5, 0.01)[index % 2], shape) - 1, 1023)
        codes[0] = 7
        payload, raw = encode_payload(codes, 10, model)
        scales = tuple(int(140 * heard) for heard in sounding)
        chunk = Chunk(
            index=index, codebooks=shape[1], frames=9, scales=scales, payload=payload, raw=raw
        )
        # Of every other one a byte is another: what is lost must not harm the rest.
        if index % 4 == 3 and not raw:
            chunk = replace(chunk, payload=bytes([payload[0] ^ 255]) + payload[1:])
        chunks.append(chunk)
        expected.append(None if index % 4 == 3 and not raw else codes)
    for size in (1, 2, 5, 12):
        found = [
            codes
            for first in range(0, 12, size)
            for codes in codes_of(chunks[first : first + size], header, model)
        ]
        for codes, right in zip(found, expected, strict=True):
            if right is not None:
                assert codes is not None and np.array_equal(codes, right)
        assert any(right is not None for right in expected)


def test_a_layer_costs_what_it_holds() -> None:
    header = replace(ALL, layer=LayerKind.MDCT)
    size = 2
    shape = transforms(header, size, 86), transform_length(header, size)
    one = np.zeros(shape, np.int32)
    one[0, 0] = 1
    # Streams that have one coefficient each, and 254 others that would be there if zeros were.
    whole = encode_layer(header, 86, [StreamLayer(size, 160, one)] * 255)
    assert len(decode_layer(header, 86, whole)) == 255
    cut = [
        Chunk(index=index, codebooks=0, frames=86, layer=whole[:length])
        for index, length in enumerate(range(1, 40))
    ]
    took = seconds_of(lambda: undecodable(cut, header, None))
    assert undecodable(cut, header, None) == [chunk.index for chunk in cut]
    assert took < 2


def test_silence_is_checked_as_fast_as_it_is_read() -> None:
    header = NcfReader(io.BytesIO(file_of(HEADER, []))).header
    start = file_of(header, [])[:-17]
    chunks = b"".join(encode_chunk(header, chunk) for chunk in silence(4096)) * 100
    for complete in (False, True):
        data = start + chunks
        if complete:
            data = file_of_lengths(start, chunks, [7] * 409600)
        reader = NcfReader(io.BytesIO(data))
        assert reader.complete == complete
        took = seconds_of(lambda reader=reader: check_ncf(reader))
        found = check_ncf(reader)
        assert (found.chunks, found.damaged) == (409600, [])
        assert took < 1
    # One by one they are what they always were, and damage among them is found.
    damaged = bytearray(data)
    damaged[len(start) + 7 * 5000 + 4] ^= 1
    reader = NcfReader(io.BytesIO(bytes(damaged)))
    indices = [chunk.index for chunk in reader]
    assert indices == [index for index in range(409600) if index != 5000]
    assert reader.damaged == [5000]


def file_of_lengths(start: bytes, chunks: bytes, lengths: list[int]) -> bytes:
    from neucodec.formats.ncf.trailer import TrailerBuilder

    trailer = TrailerBuilder()
    for length in lengths:
        trailer.add(length)
    return start + chunks + trailer.encode(len(lengths) * HEADER.chunk_stride)


def test_heads_that_claim_megabytes_cost_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever trailers claim to be there, a checksum takes in each byte at most once."""
    summed = []

    def counting(data: bytes, first: int = 0xFFFFFFFF) -> Registers:
        summed.append(len(data))
        return registers(data, first)

    monkeypatch.setattr("neucodec.formats.ncf.crc.registers", counting)
    head = struct.pack("<H", 0x8005) + encode_varint(1 << 20) + b"\x05\x00"
    data = file_of(HEADER, [])[:-17] + head * (1_500_000 // len(head))
    reader = NcfReader(io.BytesIO(data))
    assert list(reader) == [] and not reader.complete
    assert 0 < sum(summed) <= len(data)


def test_silence_of_many_channels_is_decoded_in_a_few_times_the_memory_of_what_it_is() -> None:
    header = replace(HEADER, channels=32, streams=32, source_rate=250_000)
    data = file_of(header, silence(1))

    def decode() -> None:
        audio, rate = neucodec.decode(data)
        assert audio.shape == (243_809, 32) and rate == 250_000 and not audio.any()

    decode()  # what is loaded for the first time
    assert peak_of(decode) < 4 * 243_809 * 32 * 4


def test_tokens_of_very_many_channels_take_little_memory(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.ncf"
    path.write_bytes(file_of(ALL, silence(60)))
    for kind in ("npz", "npy"):
        out = tmp_path / f"a.{kind}"
        run("tokens", path, "-o", out)  # what is loaded for the first time
        took = peak_of(lambda out=out: run("tokens", "-f", path, "-o", out))
        assert took < 20_000_000
        found = np.load(out, mmap_mode="r" if kind == "npy" else None)
        codes = found if kind == "npy" else found["codes"]
        assert codes.shape == (255, 16, 60 * 86) and (codes == -1).all()


@pytest.mark.parametrize("channels", [24, 255])
def test_very_many_channels_are_encoded_by_default_and_decoded(channels: int) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, (200, channels))
    tone = 0.3 * np.sin(2 * np.pi * 3000 * np.arange(200) / 8000)
    noise[:, 1] = tone
    data = neucodec.encode(noise, 8000, codebooks=1)
    reader = NcfReader(io.BytesIO(data))
    assert (reader.header.layer, reader.header.streams) == (LayerKind.MDCT, channels)
    audio, _ = neucodec.decode(data)
    assert audio.shape == noise.shape
    alone, _ = neucodec.decode(neucodec.encode(noise[:, 0], 8000, codebooks=1, entropy="none"))
    np.testing.assert_allclose(audio[:, :1], alone, atol=1e-3)


def test_what_follows_an_ncf_is_no_part_of_it_and_said(run: Run, tmp_path: Path) -> None:
    one = neucodec.encode(np.full(4000, 0.1), 8000, codebooks=1, model="specmini-16khz")
    audio, _ = neucodec.decode(one)
    for extra, what in ((one, "another .ncf"), (b"rubbish", "other bytes")):
        two, out = tmp_path / "two.ncf", tmp_path / "two.wav"
        two.write_bytes(one + extra)
        said = f"followed by {what}, no part of it"
        for source, stdin in ((two, b""), ("-", one + extra)):
            ran = run("verify", source, stdin=stdin)
            assert ran.code == 1 and f"{said}, which is neither checked" in ran.err
            ran = run("decode", "-f", source, "-o", out, stdin=stdin)
            assert ran.code == 0 and f"warning: {said}: not decoded" in ran.err
            ran = run("decode", "-f", "--strict", source, "-o", out, stdin=stdin)
            assert ran.code == 1 and said in ran.err
        assert f"complete, {said}" in run("info", two).out.decode()
        with pytest.warns(neucodec.NcfDamageWarning, match=said):
            again, _ = neucodec.decode(one + extra)
        assert np.array_equal(again, audio)
    assert run("verify", "-", stdin=one).code == 0


def test_the_fingerprint_of_every_embedded_codec_is_what_the_specification_says() -> None:
    folder = files("neucodec.models") / "weights"
    for name in ("neu2-44khz", "neu-16khz", "neu-44khz", "specmini-16khz"):
        card = find_card(name)
        data = (folder / card.weights).read_bytes()
        digest = hashlib.sha256(data)
        if card.family != "neu":
            tensors = load_file(str(folder / card.weights))
            digest = hashlib.sha256()
            for book in range(card.codebooks):
                entries = tensors[f"quantiser.codebooks.{book}.entries"]
                digest.update(entries.astype("<f4").tobytes())
        found = neucodec.load_model(name).codec.fingerprint
        assert found == digest.digest()[:8], name
