"""Read what a checkpoint holds by its header alone: names, shapes and what it says beside them.

No tensor is made before the header was read. A pickle of a few bytes may describe tensors of any
size (a stride of 0, one storage under a thousand names, records that unpack to gigabytes). Here
their sizes are computed from the description, and what passes takes no more memory than the file
allows.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError, safe_open

from neucodec.models.errors import ModelError
from neucodec.safety.pickle_data import Call, Name, NotDataError, read_pickle

MOST_OPCODES = 500_000
"""How many opcodes a pickle may have, and how many objects it may stand for: some 40 for a tensor,
thousands of tensors."""
MOST_TIMES = 4
"""How many bytes all tensors together may have for each byte of the file, since tensors may share
their storage."""
MOST_DIMENSIONS = 8
"""How many dimensions a tensor may have."""
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""First bytes of PyTorch's files before version 1.6: a pickle with a number."""
_ZIP = b"PK\x03\x04"
_SIZES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2,
    "LongStorage": 8, "IntStorage": 4, "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1,
    "BoolStorage": 1,
}  # fmt: skip
_MOST_SAID = 100

Shape = tuple[int, ...]


@dataclass(frozen=True)
class CheckpointHeader:
    """Names and shapes of a checkpoint's tensors, as the file has them."""

    shapes: dict[str, Shape]
    """Shapes by the tensors' names."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What the file says beside its tensors: constructor arguments in DAC's files, strings in the
    header of safetensors."""
    is_safetensors: bool = False
    """Whether the file is safetensors, not PyTorch's."""


def read_header(path: Path) -> CheckpointHeader:
    """Read the header of a ``.safetensors`` or PyTorch file; the kind is told by content.

    Raises ModelError in one line for anything else, or for tensors that the file has no room for,
    and OSError if the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(len(_LEGACY))
        size = file.seek(0, 2)
        file.seek(0)
        if head[8:9] == b"{":
            return _of_safetensors(path)
        try:
            if head.startswith(_ZIP):
                content = _of_zip(file, size)
            elif head == _LEGACY:
                content = _of_legacy(file, size)
            else:
                raise ModelError(
                    f"{path.name} is no checkpoint of plain tensors: neither safetensors nor "
                    "PyTorch's"
                )
        except NotDataError as error:
            raise ModelError(
                f"{path.name} is no checkpoint of plain tensors, and nothing else is opened: its "
                f"pickle {error}"
            ) from None
    return _flattened(content, path.name)


def unwrapped(content: object) -> tuple[Mapping[Any, Any], dict[str, Any]]:
    """Find the state dict in what a PyTorch file holds; return it and the metadata beside it."""
    metadata: dict[str, Any] = {}
    if isinstance(content, dict) and "state_dict" in content:
        told = content.get("metadata")
        metadata = dict(told) if isinstance(told, dict) else {}
        content = content["state_dict"]
    return (content if isinstance(content, dict) else {"content": content}), metadata


def joined(name: object, key: object) -> str:
    """Join the names of a tensor in a dictionary of dictionaries; the key "" stands for none."""
    return f"{name}.{key}" if key != "" else str(name)


def _of_safetensors(path: Path) -> CheckpointHeader:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            names = list(file.keys())
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            return CheckpointHeader(shapes, dict(file.metadata() or {}), is_safetensors=True)
    except SafetensorError as error:
        reason = " ".join(str(error).split())[:_MOST_SAID]
        raise ModelError(f"{path.name} is not a sound safetensors file: {reason}") from None


def _of_zip(file: BinaryIO, size: int) -> object:
    """Read the tree of a PyTorch file: a zip with a pickle and a record for every storage."""
    try:
        with zipfile.ZipFile(file) as archive:
            records = archive.infolist()
            pickles = [each for each in records if each.filename.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise NotDataError("is not there: this is another kind of zip")
            if any(each.compress_type != zipfile.ZIP_STORED for each in records) or (
                sum(each.file_size for each in records) > size
            ):
                raise NotDataError("stands in a zip whose records are packed or overlap")
            data = archive.read(pickles[0])
    except NotDataError:
        raise
    except Exception as error:  # of whatever kind: zipfile raises many
        reason = " ".join(str(error).split())[:_MOST_SAID]
        raise NotDataError(f"cannot be read: {reason or type(error).__name__}") from None
    return _tree(data, size)


def _of_legacy(file: BinaryIO, size: int) -> object:
    """Read the tree of a file of PyTorch before 1.6: the fourth of five pickles in a row."""
    for _ in range(3):
        read_pickle(file, {}, max_objects=1000)
    return _tree(file, size)


def _tree(source: bytes | BinaryIO, size: int) -> object:
    storages = _Storages(size)
    tree = read_pickle(source, _CALLS, max_objects=MOST_OPCODES, persistent=storages.named)
    storages.check(tree)
    return tree


@dataclass(frozen=True)
class _Storage:
    """The memory that tensors of a pickle lie in."""

    key: str
    count: int
    """How many elements it has."""
    width: int
    """How many bytes an element has."""


@dataclass(frozen=True)
class TensorShape:
    """A tensor that a pickle describes."""

    shape: Shape
    bytes: int
    """How many bytes its elements take."""


class _Storages:
    """The storages that the tensors of a pickle lie in, none of them larger than the file."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: dict[str, _Storage] = {}

    def named(self, place: tuple[Any, ...]) -> _Storage:
        """Read the storage of a persistent id: ("storage", type, key, device, elements, ...)."""
        if len(place) < 5 or place[0] != "storage" or not isinstance(place[1], Name):
            raise NotDataError("refers to what is no storage of a tensor")
        width = _SIZES.get(place[1].name.removeprefix("torch "))
        key, count = place[2], place[4]
        if width is None or not isinstance(key, str) or not _is_count(count):
            raise NotDataError("has a storage of another kind than numbers")
        storage = self._known.setdefault(key, _Storage(key, count, width))
        if (storage.count, storage.width) != (count, width):
            raise NotDataError("has a storage of two sizes")
        if storage.count * storage.width > self._size:
            raise NotDataError("has tensors that the file is too short for")
        return storage

    def check(self, tree: object) -> None:
        """Raise NotDataError where storages or tensors together take more than the file allows."""
        held = sum(storage.count * storage.width for storage in self._known.values())
        if held > self._size or _bytes_of(tree) > MOST_TIMES * self._size:
            raise NotDataError("has tensors that the file is too short for")


def _bytes_of(tree: object) -> int:
    """Return the bytes of all tensors in a tree whose size has been checked."""
    if isinstance(tree, TensorShape):
        return tree.bytes
    if isinstance(tree, dict):
        return sum(_bytes_of(each) for each in tree.values())
    return sum(_bytes_of(each) for each in tree) if isinstance(tree, (list, tuple)) else 0


def _tensor(arguments: tuple[Any, ...]) -> TensorShape:
    """Stand in for torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...)."""
    storage, offset, shape, stride = arguments[:4]
    shapes = isinstance(shape, tuple) and isinstance(stride, tuple)
    if not isinstance(storage, _Storage) or not shapes or not _is_count(offset):
        raise NotDataError("describes what is no tensor")
    if len(shape) != len(stride) or len(shape) > MOST_DIMENSIONS:
        raise NotDataError("describes a tensor of no shape")
    if not all(_is_count(n) for n in (*shape, *stride)):
        raise NotDataError("describes a tensor of no shape")
    count = math.prod(shape)
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if count and (count > storage.count or last >= storage.count):
        raise NotDataError("has tensors that their storage is too short for")
    return TensorShape(shape, count * storage.width)


def _parameter(arguments: tuple[Any, ...]) -> TensorShape:
    """Stand in for torch._utils._rebuild_parameter(tensor, ...)."""
    if not isinstance(arguments[0], TensorShape):
        raise NotDataError("describes what is no tensor")
    return arguments[0]


def _ordered(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """Stand in for collections.OrderedDict(), which is filled afterwards."""
    if arguments:
        raise NotDataError("has a dictionary of another kind")
    return {}


def _size(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Stand in for torch.Size((...))."""
    return tuple(arguments[0])


_CALLS: dict[str, Call] = {
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "collections OrderedDict": _ordered,
    "torch Size": _size,
    "torch device": lambda arguments: arguments,
}


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 48


def _flattened(content: object, source: str) -> CheckpointHeader:
    """Collect names and shapes of tensors out of the dictionaries around them."""
    state, metadata = unwrapped(content)
    shapes: dict[str, Shape] = {}
    for name, value in state.items():
        for key, found in (value if isinstance(value, dict) else {"": value}).items():
            full = joined(name, key)
            if not isinstance(found, TensorShape):
                kind = "named object" if isinstance(found, Name) else type(found).__name__
                raise ModelError(
                    f"{source}: {full[:_MOST_SAID]} is a {kind}, a tensor was expected"
                )
            if full in shapes:
                raise ModelError(f"{source} has {full[:_MOST_SAID]} twice")
            shapes[full] = found.shape
    return CheckpointHeader(shapes, metadata)
