"""The .ecdc format: bytes, without any model."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ncf_examples import codes as some_codes
from networks import peer

from neucodec.formats import NcfError
from neucodec.formats.peers.ecdc import LAYOUTS, Ecdc, Segment, read_ecdc, write_ecdc


def example(model: str = "encodec_48khz", samples: int = 100_000, codebooks: int = 4) -> Ecdc:
    layout = LAYOUTS[model]
    segments = []
    for seed, length in enumerate(layout.lengths(samples)):
        codes = some_codes(1, codebooks, -(-length // 320), seed)[0]
        segments.append(Segment(codes, 0.125 * (seed + 1) if layout.scaled else None))
    return Ecdc(model, samples, segments)


def file_of(metadata: object, rest: bytes = b"", version: int = 0) -> bytes:
    text = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    return struct.pack(">4sBI", b"ECDC", version, len(text)) + text + rest


def same(one: Ecdc, other: Ecdc) -> bool:
    pairs = zip(one.segments, other.segments, strict=True)
    return (one.model, one.samples) == (other.model, other.samples) and all(
        a.scale == b.scale and np.array_equal(a.codes, b.codes) for a, b in pairs
    )


# 6720 is among the lengths at which the package expects a frame more than it writes.
@pytest.mark.parametrize("samples", [1, 320, 6720, 16321, 47520, 47521, 95040 + 160, 500_001])
@pytest.mark.parametrize("model", LAYOUTS)
@pytest.mark.parametrize("codebooks", [1, 2, 16])
def test_what_is_written_is_read(model: str, samples: int, codebooks: int) -> None:
    written = example(model, samples, codebooks)
    assert same(read_ecdc(write_ecdc(written)), written)


@pytest.mark.parametrize("bits", [10])
@pytest.mark.parametrize("count", [1, 3, 4, 320])
def test_codes_are_packed_as_the_package_packs_them(bits: int, count: int) -> None:
    import io

    binary = peer("encodec.binary")
    target = io.BytesIO()
    packer = binary.BitPacker(bits, target)
    codes = some_codes(1, 2, count)[0]
    for code in codes.T.reshape(-1).tolist():
        packer.push(code)
    packer.flush()
    data = write_ecdc(Ecdc("encodec_24khz", 320 * count, [Segment(codes)]))
    assert data.endswith(target.getvalue())
    assert binary.read_ecdc_header(io.BytesIO(data)) == {
        "m": "encodec_24khz", "al": 320 * count, "nc": 2, "lm": False,
    }  # fmt: skip


GOOD = {"m": "encodec_24khz", "al": 320, "nc": 2, "lm": False}


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "not an .ecdc: its first bytes are others"),
        (b"RIFF....WAVE", "not an .ecdc: its first bytes are others"),
        (file_of(GOOD, b"abc", version=1), ".ecdc of version 1: only 0 is known"),
        (struct.pack(">4sBI", b"ECDC", 0, 2**31), "metadata: cut off or damaged"),
        (file_of(b"[" * 60_000), "its metadata are not those of an .ecdc: damaged"),
        (file_of(b"[1]"), "its metadata are not those of an .ecdc: damaged"),
        (file_of(GOOD | {"m": "encodec_96khz"}), "'encodec_96khz': encodec_24khz and encodec_48kh"),
        (file_of(GOOD | {"m": ["encodec_24khz"]}), "made with ['encodec_24khz']: encodec_24khz"),
        (file_of(GOOD | {"lm": True}, b"abc"), "decode it with encodec itself"),
        (file_of(GOOD | {"al": 0}), ".ecdc of 0 samples: 1 or more are possible"),
        (file_of(GOOD | {"al": True}, b"abc"), ".ecdc of True samples"),
        (file_of(GOOD | {"nc": 33}), "33 codebooks: encodec_24khz has 1 to 32"),
        (file_of(GOOD | {"al": 2**62}, b"abc"), "samples take more"),
        (file_of(GOOD, b"ab"), "this .ecdc is cut off"),
        (file_of(GOOD, b"abcd"), "its metadata make it"),
        (
            file_of(GOOD | {"m": "encodec_48khz"}, b"\x7f\xc0\0\0abc"),
            ".ecdc with a scale of nan: damaged",
        ),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(data: bytes, line: str) -> None:
    with pytest.raises(NcfError) as refused:
        read_ecdc(data)
    assert line in str(refused.value) and "\n" not in str(refused.value)


@given(st.data())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    whole = write_ecdc(example(samples=data.draw(st.integers(1, 60_000))))
    cut = data.draw(st.integers(0, len(whole)))
    broken = bytearray(whole[:cut] if data.draw(st.booleans()) else whole)
    for _ in range(data.draw(st.integers(0, 3)) if broken else 0):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_ecdc(bytes(broken))
    except NcfError:
        return
    assert sum(segment.codes.size for segment in found.segments) * 10 <= 8 * len(broken)
