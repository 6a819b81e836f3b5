"""Write and read the header's bytes: signature, version, fields, CRC."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from enum import IntEnum
from typing import Any, NamedTuple

from neucodec.formats.entropy.varint import encode_varint, read_varint
from neucodec.formats.errors import NcfError

from .budget import MAX_LAYER_SAMPLES_1_2
from .header import EntropyCoder, Header, LayerKind, ScaleKind
from .other_kinds import LONGEST, described
from .tag_text import TagText, values_of
from .window import Window

SIGNATURE = b"\x89NCF\r\n\x1a\n"
MAJOR, MINOR = 1, 3
MAX_BODY_BYTES = 2**20

_PREFIX = struct.Struct("<8sBBI")  # signature, major, minor, length of the body
_CRC = struct.Struct("<I")
_FLOAT = struct.Struct("<f")


class _Kind(NamedTuple):
    """How a field's value is written and read."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def _decode_integer(data: bytes) -> int:
    value, end = read_varint(data, 0)
    if end != len(data):
        raise NcfError("bytes follow its value")
    return value


def _enum(kind: type[IntEnum], noun: str) -> _Kind:
    def decode(data: bytes) -> IntEnum:
        value = _decode_integer(data)
        try:
            return kind(value)
        except ValueError:
            raise NcfError(f"this reader does not know {noun} {value}: update neucodec") from None

    return _Kind(encode_varint, decode)


def _decode_float(data: bytes) -> float:
    if len(data) != _FLOAT.size:
        raise NcfError(f"{len(data)} bytes where a float32 has 4")
    value: float = _FLOAT.unpack(data)[0]
    return value


def _encode_tags(tags: Mapping[str, str]) -> bytes:
    entries = [
        f"{name}={value}".encode() for name, text in tags.items() for value in values_of(text)
    ]
    return b"".join(encode_varint(len(entry)) + entry for entry in entries)


def _decode_tags(data: bytes) -> dict[str, str]:
    tags: dict[str, list[str]] = {}
    at = 0
    while at < len(data):
        length, at = read_varint(data, at)
        entry = data[at : at + length]
        at += length
        name, equals, text = entry.decode().partition("=")
        if len(entry) != length or not equals:
            raise NcfError("a tag is not of the form NAME=text")
        # Vorbis comments may repeat a name, and fold its case in ASCII only.
        if not name.isascii():
            name = "".join(c.upper() if c.isascii() else c for c in name)
        else:
            name = name.upper()
        tags.setdefault(name, []).append(text)
    # Joined once: a name that comes 350,000 times would otherwise be copied as often.
    return {name: TagText.of(texts) for name, texts in tags.items()}


_INTEGER = _Kind(encode_varint, _decode_integer)
_TEXT = _Kind(str.encode, bytes.decode)
_BYTES = _Kind(bytes, bytes)

# An odd id is critical: a reader that does not know it must refuse the file.
_FIELDS: dict[int, tuple[str, _Kind]] = {
    1: ("codec", _TEXT),
    3: ("fingerprint", _BYTES),
    5: ("sample_rate", _INTEGER),
    7: ("source_rate", _INTEGER),
    9: ("channels", _INTEGER),
    11: ("streams", _INTEGER),
    13: ("codebooks", _INTEGER),
    15: ("codebook_size", _INTEGER),
    17: ("hop", _INTEGER),
    19: ("chunk_frames", _INTEGER),
    21: ("chunk_stride", _INTEGER),
    23: ("overlap", _INTEGER),
    25: ("scale_kind", _enum(ScaleKind, "scale kind")),
    27: ("entropy", _enum(EntropyCoder, "entropy coder")),
    29: ("entropy_model", _TEXT),
    31: ("entropy_fingerprint", _BYTES),
    33: ("gain_db", _Kind(_FLOAT.pack, _decode_float)),
    35: ("layer", _enum(LayerKind, "kind of layer")),
    2: ("nominal_bitrate", _INTEGER),
    4: ("frames", _INTEGER),
    6: ("tags", _Kind(_encode_tags, _decode_tags)),
    8: ("encoder", _TEXT),
    10: ("average_bitrate", _INTEGER),
    12: ("channel_mask", _INTEGER),
}
_REQUIRED = (1, 3, 5, 13, 15, 17, 19, 21)


def _defaults(sample_rate: Any, channels: Any) -> dict[str, Any]:
    """Return the values of fields that are left out."""
    own = {
        f.name: f.default_factory() if f.default_factory is not MISSING else f.default
        for f in fields(Header)
        if f.default is not MISSING or f.default_factory is not MISSING
    }
    return {**own, "source_rate": sample_rate, "channels": 1, "streams": channels}


def encode_header(header: Header) -> bytes:
    """Return a header's bytes, from the signature to the CRC; NcfError where tags are too long."""
    defaults = _defaults(header.sample_rate, header.channels)
    body = bytearray()
    for number, (name, kind) in sorted(_FIELDS.items()):
        value = getattr(header, name)
        if number not in _REQUIRED and value == defaults[name]:
            continue
        data = kind.encode(value)
        body += encode_varint(number) + encode_varint(len(data)) + data
    if len(body) > MAX_BODY_BYTES:
        raise NcfError(
            f"header of {len(body)} bytes: at most {MAX_BODY_BYTES} fit, so shorten the tags"
        )
    data = _PREFIX.pack(SIGNATURE, MAJOR, _minor_of(header), len(body)) + body
    return data + _CRC.pack(zlib.crc32(data))


def _minor_of(header: Header) -> int:
    """Return the oldest minor version that specifies all that the file uses."""
    if header.layer == LayerKind.WAVEFORM:
        return 4
    if header.channel_mask is not None:
        return 3
    if header.layer != LayerKind.NONE:
        return 2 if header.layer_samples <= MAX_LAYER_SAMPLES_1_2 else 3
    return int(header.entropy != EntropyCoder.NONE or header.average_bitrate is not None)


def read_header(window: Window) -> tuple[Header, tuple[int, int]]:
    """Take the header off the start of a stream; return it and its (major, minor) version.

    Raises NcfError, which says why, where it is not an .ncf or one that cannot be read.
    """
    if not window.fill(len(SIGNATURE)):
        raise NcfError("not an .ncf file (it is empty)")
    start = bytes(window.data[: len(SIGNATURE)])
    if not start.startswith(SIGNATURE):
        if SIGNATURE.startswith(start):
            raise NcfError(f".ncf header is cut off after {len(start)} bytes")
        if start[1:4] == SIGNATURE[1:4]:
            raise NcfError(".ncf signature is damaged: was the file transferred as text?")
        window.fill(LONGEST)
        raise NcfError(f"not an .ncf file{described(bytes(window.data[:LONGEST]))}")
    _need(window, _PREFIX.size)
    _, major, minor, length = _PREFIX.unpack_from(window.data)
    if major != MAJOR:
        raise NcfError(
            f"file is .ncf version {major}.x, this reader knows {MAJOR}.x: update neucodec"
        )
    if length > MAX_BODY_BYTES:
        raise NcfError(
            f".ncf header is damaged: it claims {length} bytes, at most {MAX_BODY_BYTES} fit"
        )
    end = _PREFIX.size + length
    _need(window, end + _CRC.size)
    if _CRC.unpack_from(window.data, end)[0] != zlib.crc32(bytes(window.data[:end])):
        raise NcfError(".ncf header is damaged: its checksum does not match")
    header = _decode_body(bytes(window.data[_PREFIX.size : end]), minor)
    window.drop(end + _CRC.size)
    return header, (major, minor)


def _need(window: Window, count: int) -> None:
    held = window.fill(count)
    if held < count:
        raise NcfError(f".ncf header is cut off after {held} of at least {count} bytes")


def _split(body: bytes) -> list[tuple[int, bytes]]:
    """Split a header's body into fields, each a number and a value; EOFError if it is cut off."""
    found = []
    at = 0
    while at < len(body):
        number, at = read_varint(body, at)
        length, at = read_varint(body, at)
        if length > len(body) - at:
            raise EOFError
        found.append((number, body[at : at + length]))
        at += length
    return found


def _decode_body(body: bytes, minor: int) -> Header:
    values: dict[str, Any] = {}
    try:
        found = _split(body)
    except EOFError:
        raise NcfError(".ncf header is malformed: its last field is cut off") from None
    for number, data in found:
        if number not in _FIELDS:
            if number % 2:
                raise NcfError(
                    f"this .ncf (version {MAJOR}.{minor}) depends on field {number}, which this "
                    f"reader (version {MAJOR}.{MINOR}) does not know: update neucodec"
                )
            continue
        name, kind = _FIELDS[number]
        if name in values:
            raise NcfError(f".ncf header is malformed: field {number} ({name}) comes twice")
        try:
            values[name] = kind.decode(data)
        except (NcfError, EOFError, UnicodeDecodeError) as error:
            raise NcfError(f".ncf header, field {number} ({name}): {error}") from None
    for number in _REQUIRED:
        if _FIELDS[number][0] not in values:
            raise NcfError(
                f".ncf header is malformed: field {number} ({_FIELDS[number][0]}) is missing"
            )
    defaults = _defaults(values["sample_rate"], values.get("channels", 1))
    return Header(**{**defaults, **values})
