"""What one file may ask of whoever reads it: limits that multiply, bounded together.

A field by itself may be as large as its kind allows: 255 channels, 65536 entries, 250 kHz. What
work and memory come of them goes by their products, so products are what is bounded, at one door:
no header that asks for more is accepted, be it read or about to be written. See "Limits" in NCF.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neucodec.formats.errors import NcfError

if TYPE_CHECKING:
    from .header import Header

MAX_CHUNK_BYTES = 2**22
MAX_CHUNK_SAMPLES = 2**26
"""Of a chunk over all channels, at the model's rate and at the source's."""
MAX_STREAM_CODES = 2**12
"""Of a stream of a chunk under an entropy coder: a few bytes of payload may stand for as many."""
FREE_CODES, CODES_PER_BYTE = 2**10, 32
"""What a payload under adaptive coding may stand for, of a few bytes and with each byte more. The
same code ever again takes a byte for 22 of them in chunks of 150 frames."""
MAX_LAYER_CODEBOOKS = 127
MAX_LAYER_RATE = 2**19
MAX_LAYER_SAMPLES = 2**24
"""Of a chunk that may have a layer, over all streams and with what it shares with the next."""
MAX_LAYER_SAMPLES_1_2 = 2**20
"""The same up to version 1.2, of which 24 channels at 44.1 kHz have more."""


def check_budget(header: Header) -> None:
    """Raise NcfError where a chunk could ask for more than a reader is to give."""
    stretch = -(-header.chunk_stride * header.source_rate // header.sample_rate)
    longest = max(header.chunk_frames * header.hop + header.overlap, stretch)
    _check(longest * header.channels, MAX_CHUNK_SAMPLES, "samples over all channels")
    _check(header.largest_chunk, MAX_CHUNK_BYTES, "bytes")
    if header.entropy:
        codes = header.codebooks * header.chunk_frames
        by = f"({header.codebooks} x {header.chunk_frames})"
        _check(codes, MAX_STREAM_CODES, f"codes {by} per stream under an entropy coder")
    if header.layer:
        _check(header.layer_samples, MAX_LAYER_SAMPLES, "samples over all streams with layers")
        _check(header.codebooks, MAX_LAYER_CODEBOOKS, "codebooks with layers")
        _check(header.sample_rate, MAX_LAYER_RATE, "Hz with layers")


def pays_for(payload_bytes: int, codes: int) -> bool:
    """Whether a payload under adaptive coding is long enough to stand for so many codes."""
    return codes <= FREE_CODES + CODES_PER_BYTE * payload_bytes


def _check(value: int, most: int, noun: str) -> None:
    if value > most:
        raise NcfError(f"chunks of up to {value} {noun}: at most {most} fit")
