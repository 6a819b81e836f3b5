"""What one file may ask of whoever reads it: limits that multiply, bounded together.

A field by itself may be as large as its kind allows: 255 channels, 65536 entries, 250 kHz. What
work and memory come of them goes by their products, so products are what is bounded, at one door:
no header that asks for more is accepted, be it read or about to be written. See "Limits" in NCF.md.
"""

from __future__ import annotations

from neucodec.formats.errors import NcfError

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


def pays_for(payload_bytes: int, codes: int) -> bool:
    """Whether a payload under adaptive coding is long enough to stand for so many codes."""
    return codes <= FREE_CODES + CODES_PER_BYTE * payload_bytes


def check_limit(value: int, most: int, noun: str) -> None:
    """Raise NcfError where a chunk could have more of something than there may be."""
    if value > most:
        raise NcfError(f"chunks of up to {value} {noun}: at most {most} fit")
