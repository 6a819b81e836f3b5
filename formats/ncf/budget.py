"""Limit what one file may ask of its reader: products of fields, bounded together.

A field by itself may be as large as its kind allows: 255 channels, 65536 entries, 250 kHz. Work and
memory depend on products of fields, so products are bounded, in one place: no header that asks for
more is read or written. See "Limits" in NCF.md.
"""

from __future__ import annotations

from neucodec.formats.errors import NcfError

MAX_CHUNK_BYTES = 2**22
"""Most bytes of a chunk."""
MAX_CHUNK_SAMPLES = 2**26
"""Most samples of a chunk over all channels, at the model's rate and at the source's."""
MAX_STREAM_CODES = 2**12
"""Most codes of a stream of a chunk under an entropy coder, where a few bytes of payload may stand
for all of them."""
FREE_CODES, CODES_PER_BYTE = 2**10, 32
"""Most codes that a payload under adaptive coding may stand for: of a few bytes, and more with each
byte. In chunks of 150 frames a code that always repeats takes a byte for 22 codes."""
MAX_LAYER_CODEBOOKS = 127
"""Most codebooks in a file whose chunks may have layers."""
MAX_LAYER_RATE = 2**19
"""Highest sample rate in Hz of the model in a file whose chunks may have layers."""
MAX_LAYER_SAMPLES = 2**24
"""Most samples of a chunk that may have a layer, over all streams, with those that it shares with
the next chunk."""
MAX_LAYER_SAMPLES_1_2 = 2**20
"""The same up to version 1.2 of the format; 24 channels at 44.1 kHz have more."""
WAVEFORM_SAMPLES = 8
"""A waveform layer may have a byte for so many samples of a stream,"""
MIN_WAVEFORM_BYTES = 64
"""and so many more."""


def pays_for(payload_bytes: int, codes: int) -> bool:
    """Return whether a payload under adaptive coding is long enough for ``codes`` codes."""
    return codes <= FREE_CODES + CODES_PER_BYTE * payload_bytes


def check_limit(value: int, most: int, noun: str) -> None:
    """Raise NcfError where a chunk could have more than ``most`` of the things called ``noun``."""
    if value > most:
        raise NcfError(f"chunks of up to {value} {noun}: at most {most} fit")
