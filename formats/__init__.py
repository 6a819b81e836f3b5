"""Bytes on disk: the .ncf container and its reader. NumPy only, never torch."""

from .adaptive import AdaptiveStepper, adaptive_intervals, can_adapt
from .bits import pack_codes, unpack_codes
from .budget import pays_for
from .chunk import Chunk, coded_streams, encode_chunk
from .errors import NcfError
from .fields import SIGNATURE
from .header import EntropyCoder, Header, LayerKind, ScaleKind
from .mdct_layer import (
    BAND,
    LAYER_SIZES,
    MAX_BANDS,
    StreamLayer,
    bands_of,
    decode_layer,
    encode_layer,
    layer_width,
    most_bands,
    transform_length,
    transforms,
)
from .range_coder import (
    Look,
    RangeDecoder,
    RowLook,
    SingleDecoder,
    encode_intervals,
    intervals_of,
)
from .reader import NcfReader
from .scale import byte_to_scale, scale_to_byte
from .table import ChunkEntry
from .writer import NcfWriter

__all__ = [
    "BAND",
    "LAYER_SIZES",
    "MAX_BANDS",
    "SIGNATURE",
    "AdaptiveStepper",
    "Chunk",
    "ChunkEntry",
    "EntropyCoder",
    "Header",
    "LayerKind",
    "Look",
    "NcfError",
    "NcfReader",
    "NcfWriter",
    "RangeDecoder",
    "RowLook",
    "ScaleKind",
    "SingleDecoder",
    "StreamLayer",
    "adaptive_intervals",
    "bands_of",
    "byte_to_scale",
    "can_adapt",
    "coded_streams",
    "decode_layer",
    "encode_chunk",
    "encode_intervals",
    "encode_layer",
    "intervals_of",
    "layer_width",
    "most_bands",
    "pack_codes",
    "pays_for",
    "scale_to_byte",
    "transform_length",
    "transforms",
    "unpack_codes",
]
