"""Bound the numbers of a card: by what an .ncf can hold, and all else by what makes sense."""

from __future__ import annotations

RANGES = {
    "sample_rate": (1, 2**20),
    "channels": (1, 255),
    "hop": (1, 2**26),
    "codebooks": (1, 255),
    "codebook_size": (2, 65536),
    "default_codebooks": (1, 255),
    "chunk_frames": (1, 2**20),
    "chunk_stride": (1, 2**26),
    "chunk_context": (0, 2**24),
    "chunk_code_context": (0, 2**16),
    "chunk_warmup": (0, 2**10),
    "chunk_trim": (0, 2**26),
    "layer_gain": (0, 1000),
    "waveform_bitrate": (0, 2**20),
    "waveform_codebooks": (0, 127),
    "default_bitrate": (1, 2**20),
}
"""Smallest and largest value of each whole number, by its name."""
