"""`.dac`: the files of the package ``descript-audio-codec`` (its class ``DACFile``, 1.0.0).

    numpy.save of {"codes": uint16 [channels, codebooks, frames], "metadata": {...}}

which makes it a pickle, and unpickling runs whatever a file tells it to. Here nothing is unpickled:
the opcodes are read one by one, and those that make numbers, text, lists, dictionaries and plain
arrays are followed. Everything else is refused.

With *padding* the codes are those of the whole signal. Without, they are windows of *chunk_length*
frames, each to be decoded by itself by convolutions that pad nothing; windows overlap, so
that there are more frames than the signal has.
"""

from __future__ import annotations

import io
import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from .errors import NcfError

MAGIC = b"\x93NUMPY"
VERSION = "1.0.0"
_MOST_OPCODES = 10_000
_MOST_HEADER = 1024

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class DacFile:
    """What a .dac holds. It names neither its model nor that model's sample rate."""

    codes: Codes
    """[channels, codebooks, frames]; one after the other the windows, where there are any."""
    chunk_length: int
    """Frames in each window; all frames where there are none."""
    original_length: int
    """Samples per channel of the source."""
    sample_rate: int
    """Hz, of the source."""
    input_db: float
    """Loudness in LUFS that the decoded audio is to be brought to."""
    padding: bool
    """Whether the codes are those of the whole signal."""

    @property
    def windows(self) -> int:
        """How many of them there are."""
        return int(self.codes.shape[2]) // self.chunk_length


def read_dac(data: bytes) -> DacFile:
    """Parse a whole file. Raises NcfError for anything but what the package itself writes."""
    try:
        tree = _Machine(_pickle_of(data)).run()
    except NcfError:
        raise
    except Exception as error:  # of whatever kind: the bytes are anyone's
        raise NcfError(f"not a .dac, or damaged: {type(error).__name__}: {error}") from None
    return _checked(_item(tree))


def write_dac(file: DacFile) -> bytes:
    """The bytes of a file, as the package writes them."""
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
    """The pickle behind the header of the .npy."""
    file: BinaryIO = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise NcfError(f"not a .dac: .npy of version {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_MOST_HEADER)
    if shape != () or dtype != np.dtype(object):
        raise NcfError("not a .dac: an array of numbers, where a .dac has a dictionary")
    return file.read()


def _checked(tree: Any) -> DacFile:
    """The parts in their places and of their kinds."""
    _need(isinstance(tree, dict) and isinstance(tree.get("metadata"), dict), "no metadata")
    metadata, codes = tree["metadata"], tree.get("codes")
    version = metadata.get("dac_version")
    if version != VERSION:
        raise NcfError(f".dac of version {version!r}: only {VERSION} is known")
    _need(isinstance(codes, np.ndarray) and codes.ndim == 3 and codes.dtype.kind in "iu", "codes")
    rate, length, window, channels = (
        _integer(metadata, key)
        for key in ("sample_rate", "original_length", "chunk_length", "channels")
    )
    padding = metadata.get("padding")
    _need(isinstance(padding, bool), "padding")
    _need(codes.shape[0] == channels <= 255 and 1 <= codes.shape[1] <= 255, "channels")
    count = codes.shape[2]
    _need(window <= count and count % window == 0, "chunk_length")
    _need(not padding or window == count, "chunk_length")
    level = np.asarray(metadata.get("input_db"))
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
    """What stands in an array without dimensions."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value.item()
    return value[()] if isinstance(value, _Objects) else value


class _Objects(dict[tuple[()], Any]):
    """An array of objects without dimensions: the one that it holds, under ()."""


class _Mark:
    """Where on the stack a list begins."""


@dataclass
class _Name:
    """Something that a pickle refers to by its name; never imported."""

    name: str


@dataclass
class _Kind:
    """An array's type of numbers."""

    code: str
    order: str = "="

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.order.replace("|", "=") + self.code)


@dataclass
class _Array:
    """An array that has been announced, and is filled when its numbers come."""

    value: Any = None


_RECONSTRUCT = {
    "numpy.core.multiarray _reconstruct",
    "numpy._core.multiarray _reconstruct",
}
_SCALAR = {"numpy.core.multiarray scalar", "numpy._core.multiarray scalar"}
_NUMBERS = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"}


class _Machine:
    """Follows the opcodes of a pickle as far as they only make data."""

    def __init__(self, data: bytes) -> None:
        self._opcodes = pickletools.genops(data)
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """What the pickle holds."""
        for count, (opcode, argument, _) in enumerate(self._opcodes):
            if count > _MOST_OPCODES:
                raise NcfError("not a .dac: too long a pickle")
            name = opcode.name
            if name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name]())
            elif name in _LITERALS:
                self._stack.append(argument)
            elif name == "STOP":
                return _value(self._stack.pop())
            elif name in _STEPS:
                _STEPS[name](self, argument)
            else:
                raise NcfError(f"not a .dac: its pickle has the opcode {name}, which is not data")
        raise NcfError("this .dac is cut off")

    def _pop(self) -> Any:
        return _value(self._stack.pop())

    def _to_mark(self) -> list[Any]:
        items: list[Any] = []
        while not isinstance(item := self._stack.pop(), _Mark):
            items.append(_value(item))
        return items[::-1]

    def nothing(self, _: Any) -> None:
        """Framing."""

    def name(self, argument: str) -> None:
        """GLOBAL."""
        self._stack.append(_Name(argument))

    def name_on_stack(self, _: Any) -> None:
        """STACK_GLOBAL."""
        name, module = self._stack.pop(), self._stack.pop()
        self._stack.append(_Name(f"{module} {name}"))

    def put(self, argument: int) -> None:
        """BINPUT."""
        self._memo[argument] = self._stack[-1]

    def memoize(self, _: Any) -> None:
        """MEMOIZE."""
        self._memo[len(self._memo)] = self._stack[-1]

    def get(self, argument: int) -> None:
        """BINGET."""
        self._stack.append(self._memo[argument])

    def tuple_of(self, count: int) -> None:
        """TUPLE1 and its like."""
        items = [self._pop() for _ in range(count)][::-1]
        self._stack.append(tuple(items))

    def tuple_to_mark(self, _: Any) -> None:
        """TUPLE."""
        self._stack.append(tuple(self._to_mark()))

    def append(self, _: Any) -> None:
        """APPEND."""
        item = self._pop()
        self._list().append(item)

    def appends(self, _: Any) -> None:
        """APPENDS."""
        items = self._to_mark()
        self._list().extend(items)

    def set_item(self, _: Any) -> None:
        """SETITEM."""
        value, key = self._pop(), self._pop()
        self._dict()[key] = value

    def set_items(self, _: Any) -> None:
        """SETITEMS."""
        items = self._to_mark()
        self._dict().update(zip(items[::2], items[1::2], strict=True))

    def _list(self) -> list[Any]:
        if type(self._stack[-1]) is not list:
            raise NcfError("not a .dac: appends to what is no list")
        return self._stack[-1]

    def _dict(self) -> dict[Any, Any]:
        if type(self._stack[-1]) is not dict:
            raise NcfError("not a .dac: adds an item to what is no dictionary")
        return self._stack[-1]

    def reduce(self, _: Any) -> None:
        """REDUCE: the few calls that make arrays and their types."""
        arguments, called = self._stack.pop(), self._stack.pop()
        name = called.name if isinstance(called, _Name) else None
        if name == "numpy dtype":
            self._stack.append(_Kind(str(arguments[0])))
        elif name in _RECONSTRUCT and arguments[0] == _Name("numpy ndarray"):
            self._stack.append(_Array())
        elif name in _SCALAR:
            self._stack.append(_numbers(arguments[0], (), arguments[1], "C").item())
        else:
            raise NcfError(f"not a .dac: its pickle calls {name or 'something'}, which is not data")

    def build(self, _: Any) -> None:
        """BUILD: fills what REDUCE made."""
        state, target = self._pop(), self._stack[-1]
        if isinstance(target, _Kind):
            target.order = str(state[1])
        elif isinstance(target, _Array):
            _, shape, kind, fortran, content = state
            if isinstance(kind, _Kind) and kind.code == "O8":
                if shape != () or not isinstance(content, list) or len(content) != 1:
                    raise NcfError("not a .dac: an array of objects")
                target.value = _Objects({(): content[0]})
            else:
                target.value = _numbers(kind, shape, content, "F" if fortran else "C")
        else:
            raise NcfError("not a .dac: sets the state of what is no array")


def _value(item: Any) -> Any:
    """An array in place of its announcement."""
    return item.value if isinstance(item, _Array) else item


def _numbers(kind: Any, shape: Any, content: Any, order: str) -> npt.NDArray[Any]:
    """A plain array of numbers, no larger than its bytes."""
    if not isinstance(kind, _Kind) or kind.code not in _NUMBERS or kind.order not in "<>|=":
        raise NcfError("not a .dac: an array of something else than numbers")
    if not isinstance(content, bytes) or not all(type(n) is int and n >= 0 for n in shape):
        raise NcfError("not a .dac: an array without its bytes")
    if math.prod(shape) * kind.numpy.itemsize != len(content):
        raise NcfError(f"this .dac is damaged: {len(content)} bytes for an array of {shape}")
    flat: npt.NDArray[Any] = np.frombuffer(content, kind.numpy)
    array: npt.NDArray[Any] = flat.reshape(shape, order="F" if order == "F" else "C")
    return array


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict, "MARK": _Mark,
}  # fmt: skip
_LITERALS = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _Machine.nothing, "FRAME": _Machine.nothing,
    "GLOBAL": _Machine.name, "STACK_GLOBAL": _Machine.name_on_stack,
    "BINPUT": _Machine.put, "LONG_BINPUT": _Machine.put, "MEMOIZE": _Machine.memoize,
    "BINGET": _Machine.get, "LONG_BINGET": _Machine.get,
    "TUPLE": _Machine.tuple_to_mark,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "APPEND": _Machine.append, "APPENDS": _Machine.appends,
    "SETITEM": _Machine.set_item, "SETITEMS": _Machine.set_items,
    "REDUCE": _Machine.reduce, "BUILD": _Machine.build,
}  # fmt: skip
