"""Raw payloads and scale bytes."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neucodec.formats import NcfError, byte_to_scale, pack_codes, scale_to_byte, unpack_codes


def test_codes_stand_stream_by_stream_book_by_book_most_significant_bit_first() -> None:
    codes = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 0]]])  # 2 streams, 2 codebooks, 2 frames
    assert pack_codes(codes, 3) == bytes([0b001_010_01, 0b1_100_101_1, 0b10_111_000])


@settings(deadline=None)
@given(
    st.integers(2, 65536),
    st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 5)),
    st.integers(0, 2**32 - 1),
)
def test_codes_of_any_codebook_come_back(size: int, shape: tuple[int, int, int], seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, size, shape)
    bits = math.ceil(math.log2(size))
    payload = pack_codes(codes, bits)
    assert len(payload) == math.ceil(codes.size * bits / 8)
    assert np.array_equal(unpack_codes(payload, *shape, size), codes)


@pytest.mark.parametrize("payload", [b"", b"\0" * 9, b"\0" * 11])
def test_a_payload_of_another_length_is_refused(payload: bytes) -> None:
    with pytest.raises(NcfError, match="take 10"):
        unpack_codes(payload, 1, 2, 4, 1024)


def test_a_code_outside_its_codebook_is_refused() -> None:
    payload = pack_codes(np.full((1, 1, 4), 1000), 10)
    with pytest.raises(NcfError, match="code 1000 in a codebook of 1000 entries"):
        unpack_codes(payload, 1, 1, 4, 1000)


@pytest.mark.parametrize("codes", [np.full((1, 1, 1), 8), np.full((1, 1, 1), -1)])
def test_codes_that_do_not_fit_are_not_packed(codes: npt.NDArray[np.int64]) -> None:
    with pytest.raises(NcfError, match="do not fit into 3 bits"):
        pack_codes(codes, 3)


def test_only_integers_of_three_dimensions_are_packed() -> None:
    with pytest.raises(NcfError, match="float64 of shape"):
        pack_codes(np.zeros((1, 1, 1)), 3)  # type: ignore[arg-type]
    with pytest.raises(NcfError, match=r"of shape \(4,\)"):
        pack_codes(np.zeros(4, np.int64), 3)


def test_scale_bytes_are_sixths_of_an_octave_around_one() -> None:
    assert [scale_to_byte(s) for s in (1.0, 2.0, 0.5, 1.0 * 2 ** (1 / 6))] == [160, 166, 154, 161]
    assert byte_to_scale(166) == 2.0


def test_only_exact_silence_has_scale_byte_zero() -> None:
    assert (scale_to_byte(0.0), scale_to_byte(1e-30), scale_to_byte(1e30)) == (0, 1, 255)
    assert byte_to_scale(0) == 0.0


@settings(deadline=None)
@given(st.integers(0, 255))
def test_scale_bytes_come_back(byte: int) -> None:
    assert scale_to_byte(byte_to_scale(byte)) == byte


@settings(deadline=None)
@given(st.floats(2e-8, 5e4))
def test_a_scale_is_kept_within_half_a_decibel(scale: float) -> None:
    assert abs(20 * math.log10(byte_to_scale(scale_to_byte(scale)) / scale)) < 0.502


@pytest.mark.parametrize("scale", [math.nan, math.inf, -1.0])
def test_a_scale_that_is_no_level_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="not a finite level"):
        scale_to_byte(scale)
