"""The files of other codecs' programs: .ecdc and .dac. This is the face of the room."""

from .dac import MAGIC as DAC_MAGIC
from .dac import DacFile, read_dac, write_dac
from .ecdc import LAYOUTS, Ecdc, Segment, read_ecdc, write_ecdc
from .ecdc import MAGIC as ECDC_MAGIC

__all__ = [
    "DAC_MAGIC",
    "ECDC_MAGIC",
    "LAYOUTS",
    "DacFile",
    "Ecdc",
    "Segment",
    "read_dac",
    "read_ecdc",
    "write_dac",
    "write_ecdc",
]
