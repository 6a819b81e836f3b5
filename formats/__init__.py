"""Bytes on disk: the .ncf container and its reader. NumPy only, never torch."""

from neucodec.formats.entropy.adaptive import AdaptiveStepper, adaptive_intervals, can_adapt
from neucodec.formats.entropy.packed_codes import pack_codes, payload_bytes, unpack_codes
from neucodec.formats.entropy.range_coder import (
    Look,
    RangeDecoder,
    RowLook,
    SingleDecoder,
    encode_intervals,
    intervals_of,
)
from neucodec.formats.ncf.budget import pays_for
from neucodec.formats.ncf.chunk import Chunk, coded_streams, encode_chunk
from neucodec.formats.ncf.header import EntropyCoder, Header, LayerKind, ScaleKind
from neucodec.formats.ncf.header_bytes import SIGNATURE
from neucodec.formats.ncf.layer import (
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
from neucodec.formats.ncf.reader import NcfReader
from neucodec.formats.ncf.scale import byte_to_scale, scale_to_byte
from neucodec.formats.ncf.tag_text import TagText, values_of
from neucodec.formats.ncf.trailer import ChunkEntry
from neucodec.formats.ncf.waveform import (
    MAX_GAIN,
    MAX_MAGNITUDE,
    MAX_STRENGTH,
    WIDTH,
    ChunkWaveform,
    StreamWaveform,
    decode_waveform,
    encode_waveform,
    waveform_bits,
    waveform_gain,
    waveform_grid,
    waveform_places,
)
from neucodec.formats.ncf.waveform_grid import PARTS, WaveformGrid
from neucodec.formats.ncf.writer import NcfWriter

from .errors import NcfError

__all__ = [
    "BAND",
    "LAYER_SIZES",
    "MAX_BANDS",
    "MAX_GAIN",
    "MAX_MAGNITUDE",
    "MAX_STRENGTH",
    "PARTS",
    "SIGNATURE",
    "WIDTH",
    "AdaptiveStepper",
    "Chunk",
    "ChunkEntry",
    "ChunkWaveform",
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
    "StreamWaveform",
    "TagText",
    "WaveformGrid",
    "adaptive_intervals",
    "bands_of",
    "byte_to_scale",
    "can_adapt",
    "coded_streams",
    "decode_layer",
    "decode_waveform",
    "encode_chunk",
    "encode_intervals",
    "encode_layer",
    "encode_waveform",
    "intervals_of",
    "layer_width",
    "most_bands",
    "pack_codes",
    "payload_bytes",
    "pays_for",
    "scale_to_byte",
    "transform_length",
    "transforms",
    "unpack_codes",
    "values_of",
    "waveform_bits",
    "waveform_gain",
    "waveform_grid",
    "waveform_places",
]
