"""Bytes on disk: the .ncf container and its reader. NumPy only, never torch."""

from .adaptive import AdaptiveStepper, adaptive_intervals, can_adapt
from .bits import pack_codes, unpack_codes
from .chunk import Chunk, coded_streams, encode_chunk
from .errors import NcfError
from .header import EntropyCoder, Header, ScaleKind
from .range_coder import RangeDecoder, encode_intervals, intervals_of
from .reader import NcfReader
from .scale import byte_to_scale, scale_to_byte
from .table import ChunkEntry
from .writer import NcfWriter

__all__ = [
    "AdaptiveStepper",
    "Chunk",
    "ChunkEntry",
    "EntropyCoder",
    "Header",
    "NcfError",
    "NcfReader",
    "NcfWriter",
    "RangeDecoder",
    "ScaleKind",
    "adaptive_intervals",
    "byte_to_scale",
    "can_adapt",
    "coded_streams",
    "encode_chunk",
    "encode_intervals",
    "intervals_of",
    "pack_codes",
    "scale_to_byte",
    "unpack_codes",
]
