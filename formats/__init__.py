"""Bytes on disk: the .ncf container and its reader. NumPy only, never torch."""

from .bits import pack_codes, unpack_codes
from .chunk import Chunk, coded_streams
from .errors import NcfError
from .header import EntropyCoder, Header, ScaleKind
from .reader import NcfReader
from .scale import byte_to_scale, scale_to_byte
from .table import ChunkEntry
from .writer import NcfWriter

__all__ = [
    "Chunk",
    "ChunkEntry",
    "EntropyCoder",
    "Header",
    "NcfError",
    "NcfReader",
    "NcfWriter",
    "ScaleKind",
    "byte_to_scale",
    "coded_streams",
    "pack_codes",
    "scale_to_byte",
    "unpack_codes",
]
