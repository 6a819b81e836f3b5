"""Write codes to NumPy's files, .npz and .npy, and read them back."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
import numpy.typing as npt

from neucodec.errors import NeucodecError
from neucodec.models import Card

from .file_tokens import ABSENT, FileTokens

MAX_BYTES = 1 << 32
"""The number of bytes that the arrays of a file may take in memory."""
MAX_STREAMS = 255
_TEXT, _NUMBERS = (
    "U",
    (
        "sample_rate",
        "hop",
        "codebook_size",
        "chunk_frames",
        "chunk_stride",
        "source_rate",
        "samples",
        "channels",
    ),
)


class Codes(Protocol):
    """What is written: a `TokenReader`, chunk by chunk, or `FileTokens`."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the numbers of streams, codebooks and frames."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of the codes."""
        ...

    def parts(self) -> Iterator[npt.NDArray[np.signedinteger[Any]]]:
        """Give the codes [streams, codebooks, frames], some frames at a time."""
        ...

    def fields(self) -> dict[str, Any]:
        """Return everything but the codes, by name."""
        ...


def write_npy(codes: Codes, file: BinaryIO) -> None:
    """Write the codes alone to an .npy file, chunk by chunk.

    The array is in Fortran's order, in which the frames of the next chunk follow at the end.
    Uniform codes of one stream are [codebooks, frames], all others [streams, codebooks, frames].
    """
    flat = isinstance(codes, FileTokens) and codes.uniform and codes.shape[0] == 1
    _write_codes(codes, file, codes.shape[1:] if flat else codes.shape)


def write_npz(codes: Codes, file: BinaryIO) -> None:
    """Write everything to an .npz file: an array for every field of `FileTokens`."""
    with zipfile.ZipFile(file, "w") as archive:
        with archive.open("codes.npy", "w", force_zip64=True) as member:
            _write_codes(codes, cast(BinaryIO, member), codes.shape)
        for name, value in codes.fields().items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(value), allow_pickle=False)


def is_tokens(file: BinaryIO) -> bool:
    """Tell whether an open file that can seek holds arrays, by its first bytes."""
    head = file.read(6)
    file.seek(-len(head), io.SEEK_CUR)
    return head.startswith((b"PK\x03\x04", b"\x93NUMPY"))


def has_levels(file: BinaryIO) -> bool:
    """Tell whether a file of codes, which can seek, says how loud they are: an .npz does."""
    head = file.read(2)
    file.seek(-len(head), io.SEEK_CUR)
    return head == b"PK"


def load_tokens(file: BinaryIO, card: Card, uniform: bool | None = None) -> FileTokens:
    """Read an .npz or .npy file, from a file that can seek.

    An .npy has codes alone: they are of the model of ``card``, and have no levels. Where
    ``uniform`` is None they are taken for uniform ones if they have no axis for streams.
    Raises NeucodecError for other files, and for what cannot be codes.
    """
    try:
        if has_levels(file):
            return _checked(_from_npz(file))
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        return _checked(_of_model(_array(file, size), card, uniform))
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:100]
        raise NeucodecError(f"no codes as neucodec tokens writes them: {reason}") from None


def _write_codes(codes: Codes, file: BinaryIO, shape: tuple[int, ...]) -> None:
    described = {"descr": codes.dtype.str, "fortran_order": True, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    for part in codes.parts():
        file.write(np.ascontiguousarray(part.T).data)


def _from_npz(file: BinaryIO) -> FileTokens:
    with zipfile.ZipFile(file) as archive:
        sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
        if sum(sizes.values()) > MAX_BYTES:
            raise ValueError(f"its arrays take more than {MAX_BYTES} bytes")
        known = FileTokens.__dataclass_fields__
        found: dict[str, Any] = {}
        for name in sizes.keys() & known.keys():
            with archive.open(f"{name}.npy") as member:
                found[name] = _array(cast(BinaryIO, member), sizes[name])
    return FileTokens(**_as_fields(found))


def _as_fields(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays of no dimension as the numbers and texts that they are."""
    values = {}
    for name, array in found.items():
        if name in ("codes", "scales", "mid_side", "layered"):
            values[name] = array
            continue
        value = array.item() if array.ndim == 0 else None
        wanted: type = (
            str
            if name == "codec"
            else int
            if name in _NUMBERS
            else (bool if name == "uniform" else float)
        )
        if type(value) is not wanted:
            raise ValueError(f"{name} is {array.dtype} of shape {list(array.shape)}")
        values[name] = value
    missing = [
        name
        for name, f in FileTokens.__dataclass_fields__.items()
        if name not in values and name not in ("gain_db", "uniform")
    ]
    if missing:
        raise KeyError(f"it has no {', '.join(missing)}")
    return values


def _array(file: BinaryIO, size: int) -> npt.NDArray[Any]:
    """Read an array of which no more than ``size`` bytes are there."""
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in read:
        raise ValueError(f"version {version} of NumPy's format")
    shape, fortran, kind = read[version](file)
    count = int(np.prod([int(n) for n in shape], dtype=object)) if shape else 1
    if kind.hasobject or not kind.itemsize or count * kind.itemsize > size:
        raise ValueError(f"an array of {kind} and shape {list(shape)} in {size} bytes")
    data = file.read(count * kind.itemsize)
    if len(data) < count * kind.itemsize:
        raise EOFError("it is cut off")
    return np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")


def _of_model(codes: npt.NDArray[Any], card: Card, uniform: bool | None) -> FileTokens:
    if uniform is None:
        uniform = codes.ndim == 2
    if codes.ndim == 2:
        codes = codes[None]
    if codes.ndim != 3:
        raise ValueError(f"an array of shape {list(codes.shape)}: [streams,] codebooks, frames")
    streams, frames = codes.shape[0], codes.shape[2]
    whole = card.chunk_stride // card.hop
    step = whole if uniform else card.chunk_frames
    chunks = max(1, -(-frames // step))
    own = frames - (chunks - 1) * step
    stride = whole * card.hop if uniform else card.chunk_stride
    return FileTokens(
        codec=card.name, sample_rate=card.sample_rate, hop=card.hop,
        codebook_size=card.codebook_size, chunk_frames=card.chunk_frames, chunk_stride=stride,
        source_rate=card.sample_rate, samples=(chunks - 1) * stride + own * card.hop,
        channels=streams * card.channels, codes=codes,
        scales=np.ones((chunks, streams), np.float32), mid_side=np.zeros(chunks, np.bool_),
        layered=np.zeros(chunks, np.bool_), uniform=uniform,
    )  # fmt: skip


def _checked(tokens: FileTokens) -> FileTokens:
    codes = tokens.codes
    if codes.ndim != 3 or codes.dtype.kind not in "iu" or not codes.size:
        raise ValueError(f"codes are {codes.dtype} of shape {list(codes.shape)}")
    if codes.shape[0] > MAX_STREAMS or codes.shape[1] > MAX_STREAMS:
        raise ValueError(f"codes of shape {list(codes.shape)}: at most {MAX_STREAMS} streams")
    least, most = int(codes.min()), int(codes.max())
    if least < ABSENT or most >= tokens.codebook_size:
        raise ValueError(f"codes from {least} to {most} of {tokens.codebook_size}")
    scales = tokens.scales
    if scales.dtype.kind != "f" or scales.ndim != 2 or scales.shape[1] != codes.shape[0]:
        raise ValueError(f"scales are {scales.dtype} of shape {list(scales.shape)}")
    if not (np.isfinite(scales) & (scales >= 0)).all():
        raise ValueError("scales that are negative or not finite")
    for name in _NUMBERS:
        if not 0 < getattr(tokens, name) + (name == "samples") < 1 << 53:
            raise ValueError(f"{name} is {getattr(tokens, name)}")
    return tokens
