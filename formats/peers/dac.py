"""Read and write `.dac`, the package ``descript-audio-codec``'s files (class ``DACFile``, 1.0.0).

    numpy.save of {"codes": uint16 [channels, codebooks, frames], "metadata": {...}}

This makes it a pickle. It is never unpickled, but read as data by `pickle_data`, which follows only
calls that make plain arrays. Everything else is refused.

With *padding* the codes are those of the whole signal. Without, they are windows of *chunk_length*
frames, each to be decoded by itself by convolutions that pad nothing; windows overlap, so
that there are more frames than the signal has.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from neucodec.formats.errors import NcfError
from neucodec.safety.pickle_data import Call, Name, NotDataError, read_pickle

MAGIC = b"\x93NUMPY"
VERSION = "1.0.0"
_MOST_OPCODES = 10_000
_MOST_HEADER = 1024

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class DacFile:
    """Content of a .dac, which names neither its model nor that model's sample rate."""

    codes: Codes
    """Codes [channels, codebooks, frames]; windows, where there are any, follow each other."""
    chunk_length: int
    """Frames in each window; all frames where there are no windows."""
    original_length: int
    """Samples per channel of the source."""
    sample_rate: int
    """Sample rate of the source in Hz."""
    input_db: float
    """Loudness in LUFS that the decoded audio is to be brought to."""
    padding: bool
    """Whether the codes are those of the whole signal."""

    @property
    def windows(self) -> int:
        """How many windows there are."""
        return int(self.codes.shape[2]) // self.chunk_length


def read_dac(data: bytes) -> DacFile:
    """Parse a whole file. Raises NcfError for anything but what the package itself writes."""
    try:
        tree = read_pickle(_pickle_of(data), _CALLS, max_objects=_MOST_OPCODES)
    except NcfError:
        raise
    except NotDataError as error:
        raise NcfError(f"not a .dac: its pickle {error}") from None
    except Exception as error:  # of whatever kind: the bytes are anyone's
        text = " ".join(str(error).split())[:100]
        raise NcfError(f"not a .dac, or damaged: {type(error).__name__}: {text}") from None
    return _checked(_item(tree))


def write_dac(file: DacFile) -> bytes:
    """Return the bytes of a file, as the package writes them."""
    channels = len(file.codes)
    metadata = {
        "input_db": np.array([file.input_db], np.float32),
        "original_length": file.original_length,
        "sample_rate": file.sample_rate,
        "chunk_length": file.chunk_length,
        "channels": channels,
        "padding": file.padding,
        "dac_version": VERSION,
    }
    target = io.BytesIO()
    np.save(target, cast(Any, {"codes": file.codes.astype(np.uint16), "metadata": metadata}))
    return target.getvalue()


def _pickle_of(data: bytes) -> bytes:
    """Return the pickle behind the header of the .npy."""
    file: BinaryIO = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise NcfError(f"not a .dac: .npy of version {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_MOST_HEADER)
    if shape != () or dtype != np.dtype(object):
        raise NcfError("not a .dac: an array of numbers, where a .dac has a dictionary")
    return file.read()


def _checked(tree: Any) -> DacFile:
    """Make a DacFile of the parts; NcfError where one is missing or of another kind."""
    _need(isinstance(tree, dict) and isinstance(tree.get("metadata"), dict), "no metadata")
    metadata, codes = tree["metadata"], tree.get("codes")
    version = metadata.get("dac_version")
    if version != VERSION:
        said = repr(version) if isinstance(version, str) and len(version) < 20 else "another kind"
        raise NcfError(f".dac of version {said}: only {VERSION} is known")
    _need(isinstance(codes, np.ndarray) and codes.ndim == 3 and codes.dtype.kind in "iu", "codes")
    rate, length, window, channels = (
        _integer(metadata, key)
        for key in ("sample_rate", "original_length", "chunk_length", "channels")
    )
    padding = metadata.get("padding")
    _need(isinstance(padding, bool), "padding")
    _need(codes.shape[0] == channels <= 255 and 1 <= codes.shape[1] <= 255, "channels")
    _need(codes.size == 0 or 0 <= codes.min() <= codes.max() < 1 << 16, "codes")
    count = codes.shape[2]
    _need(window <= count and count % window == 0, "chunk_length")
    _need(not padding or window == count, "chunk_length")
    level = metadata.get("input_db")
    if type(level) in (int, float):
        level = np.float64(max(-1e9, min(1e9, level)))
    _need(isinstance(level, (np.ndarray, np.float64)), "input_db")
    _need(level.size == 1 and level.dtype.kind in "fiu", "input_db")
    loudness = float(level.reshape(()))
    _need(math.isfinite(loudness) and abs(loudness) <= 200, "input_db")
    return DacFile(
        codes=codes.astype(np.int64),
        chunk_length=window,
        original_length=length,
        sample_rate=rate,
        input_db=loudness,
        padding=padding,
    )


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise NcfError(f"not a .dac, or damaged: its {what} cannot be")


def _integer(metadata: dict[Any, Any], key: str) -> int:
    value = _item(metadata.get(key))
    _need(type(value) is int and 1 <= value < 2**32, key)
    return cast(int, value)


def _item(value: Any) -> Any:
    """Return the content of an array without dimensions; other values as they are."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value.item()
    return value[()] if isinstance(value, _Objects) else value


class _Objects(dict[tuple[()], Any]):
    """An array of objects without dimensions: the one that it holds, under ()."""


class _Kind:
    """Type of an array's numbers, whose byte order the pickle gives afterwards."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        code = arguments[0] if arguments else None
        if not isinstance(code, str):
            raise NotDataError("is damaged: a type of numbers without a name")
        self.code, self.order = code, "="

    def build(self, state: Any) -> None:
        if not isinstance(state, tuple) or not isinstance(state[1], str):
            raise NotDataError("is damaged: a type of numbers without a byte order")
        self.order = state[1]

    @property
    def value(self) -> _Kind:
        return self

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.order.replace("|", "=") + self.code)


class _Array:
    """Array that has been announced, and is filled when its numbers come."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        if not arguments or arguments[0] != Name("numpy ndarray"):
            raise NotDataError("calls for an array of another kind, which is not data")
        self.value: Any = None

    def build(self, state: Any) -> None:
        _, shape, kind, fortran, content = state
        if isinstance(kind, _Kind) and kind.code == "O8":
            if shape != () or not isinstance(content, list) or len(content) != 1:
                raise NotDataError("has an array of objects")
            self.value = _Objects({(): content[0]})
        else:
            self.value = _numbers(kind, shape, content, "F" if fortran else "C")


def _scalar(arguments: tuple[Any, ...]) -> Any:
    kind, content = arguments
    return _numbers(kind, (), content, "C").item()


def _numbers(kind: Any, shape: Any, content: Any, order: str) -> npt.NDArray[Any]:
    """Make a plain array of numbers, no larger than its bytes; NotDataError for anything else."""
    if not isinstance(kind, _Kind) or kind.code not in _NUMBERS or kind.order not in _ORDERS:
        raise NotDataError("has an array of something else than numbers")
    if not isinstance(content, bytes) or not isinstance(shape, tuple) or len(shape) > 3:
        raise NotDataError("has an array without its bytes")
    if not all(type(n) is int and n >= 0 for n in shape):
        raise NotDataError("has an array without its bytes")
    if math.prod(shape) * kind.numpy.itemsize != len(content):
        raise NotDataError(f"is damaged: {len(content)} bytes for an array of another size")
    flat: npt.NDArray[Any] = np.frombuffer(content, kind.numpy)
    array: npt.NDArray[Any] = flat.reshape(shape, order="F" if order == "F" else "C")
    return array


_NUMBERS = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"}
_ORDERS = ("<", ">", "|", "=")
_CALLS: dict[str, Call] = {
    "numpy dtype": _Kind,
    "numpy.core.multiarray _reconstruct": _Array,
    "numpy._core.multiarray _reconstruct": _Array,
    "numpy.core.multiarray scalar": _scalar,
    "numpy._core.multiarray scalar": _scalar,
}
"""Calls in a .dac's pickle that are followed: arrays, their types, and single numbers."""
