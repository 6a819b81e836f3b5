"""Damage to files, of the kind that chance does and of the kind that an attacker does.

An attacker knows the format: fields get values at and beyond their bounds, parts are left out,
repeated, swapped and taken from other files, and checksums are made right again.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from neucodec.formats import NcfReader, adaptive_intervals, encode_intervals
from neucodec.formats.entropy.varint import encode_varint, read_varint, zigzag

_BITS = (7, 8, 14, 16, 20, 22, 26, 31, 32, 48, 63)
INTEGERS = sorted({0, 1, 2, 3, *(max(0, (1 << bits) + k) for bits in _BITS for k in (-1, 0, 1))})
"""Where bounds are likely to be."""
_PREFIX = 14  # bytes of an .ncf before its fields
_TAIL = 12  # bytes of a trailer behind its table


@dataclass
class Parts:
    """An .ncf taken apart."""

    header: bytes
    chunks: list[bytes]
    trailer: bytes

    @classmethod
    def of(cls, data: bytes) -> Parts:
        """Take an intact file apart."""
        import io

        entries = NcfReader(io.BytesIO(data)).table()
        spans = [(entry.offset, entry.offset + entry.length) for entry in entries]
        first = spans[0][0] if spans else _header_end(data)
        end = spans[-1][1] if spans else first
        return cls(data[:first], [data[a:b] for a, b in spans], data[end:])

    def joined(self) -> bytes:
        """The file."""
        return self.header + b"".join(self.chunks) + self.trailer


def _header_end(data: bytes) -> int:
    return _PREFIX + int(struct.unpack_from("<I", data, 10)[0]) + 4


def varint(rng: random.Random) -> bytes:
    """An integer at a bound, now and then longer than need be or without an end."""
    value = rng.choice(INTEGERS)
    if rng.random() < 0.1:
        return rng.randbytes(rng.randint(1, 11))
    if value >= 1 << 63:
        return b"\xff" * 9 + b"\x7f"
    data = encode_varint(value)
    if rng.random() < 0.1:
        data = data[:-1] + bytes([data[-1] | 0x80]) + b"\x80" * rng.randint(0, 9) + b"\0"
    return data


def bytes_at_random(data: bytes, rng: random.Random) -> bytes:
    """Damage that knows nothing of the format."""
    held = bytearray(data)
    at, size = rng.randint(0, len(held)), rng.choice((1, 1, 2, 4, 8, 30, 300))
    match rng.randrange(7):
        case 0 if held:
            held[min(at, len(held) - 1)] ^= 1 << rng.randrange(8)
        case 1:
            held[at : at + size] = rng.randbytes(size)
        case 2:
            held[at:at] = rng.randbytes(size)
        case 3:
            del held[at : at + size]
        case 4:
            source = rng.randint(0, len(held))
            held[at : at + size] = held[source : source + size]
        case 5:
            del held[at:]
        case _:
            width = rng.choice((1, 2, 4, 8))
            value = rng.choice(INTEGERS) % (1 << 8 * width)
            held[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))
    return bytes(held)


def fields(parts: Parts, rng: random.Random) -> None:
    """A header with another value, a field less, one twice, or one that nobody knows."""
    body = parts.header[_PREFIX:-4]
    found: list[tuple[int, bytes]] = []
    at = 0
    try:
        while at < len(body):
            number, at = read_varint(body, at)
            length, at = read_varint(body, at)
            found.append((number, body[at : at + length]))
            at += length
    except Exception:
        return
    which = rng.randrange(len(found)) if found else 0
    match rng.randrange(6):
        case 0 | 1 | 2 if found:
            number, value = found[which]
            value = varint(rng) if rng.random() < 0.7 else bytes_at_random(value, rng)
            found[which] = (number, value)
        case 3 if found:
            del found[which]
        case 4 if found:
            found.insert(which, rng.choice(found))
        case _:
            found.append((rng.choice((0, 2, 3, 10, 35, 36, 99, 1 << 40)), rng.randbytes(3)))
    body = b"".join(encode_varint(n) + encode_varint(len(v)) + v for n, v in found)
    prefix = bytearray(parts.header[:10])
    if rng.random() < 0.05:
        prefix[rng.choice((8, 9))] = rng.randrange(256)
    length = len(body) if rng.random() < 0.95 else rng.choice(INTEGERS) % (1 << 32)
    data = bytes(prefix) + struct.pack("<I", length) + body
    parts.header = data + _crc(data, rng)


def chunk(parts: Parts, rng: random.Random) -> None:
    """A chunk with other flags, counts, lengths, scales or codes, mostly under a right checksum."""
    if not parts.chunks:
        return
    which = rng.randrange(len(parts.chunks))
    body = bytearray(parts.chunks[which][:-4])
    match rng.randrange(8):
        case 0:
            word = int.from_bytes(body[:2], "little") ^ 1 << rng.randrange(16)
            body[:2] = word.to_bytes(2, "little")
        case 1:
            body[2:3] = bytes([rng.choice((0, 1, 2, 127, 128, 129, 130, 254, 255))])
        case 2:
            at = rng.randint(2, len(body))
            body[at : at + rng.randint(0, 2)] = varint(rng)
        case 3:
            body[3:] = bytes_at_random(bytes(body[3:]), rng)
        case 4:
            body[:2] = (rng.choice(INTEGERS) & 0xFFFF).to_bytes(2, "little")
        case 5 | 6:
            # The end of codes, or of a layer.
            at = max(3, len(body) - rng.randint(1, 12))
            body[at:] = rng.choice((rng.randbytes, bytes))(len(body) - at)
        case _:
            body[3:] = rng.randbytes(len(body[3:]))
    parts.chunks[which] = bytes(body) + _crc(bytes(body), rng)


def trailer(parts: Parts, rng: random.Random) -> None:
    """Other totals or another table, in a trailer that is sound in itself."""
    count, frames = len(parts.chunks), rng.choice(INTEGERS) % (1 << 63)
    table = bytearray(parts.trailer[2:-_TAIL])
    match rng.randrange(4):
        case 0:
            count = rng.choice(INTEGERS) % (1 << 63)
        case 1:
            table = bytearray(b"".join(varint(rng) for _ in range(rng.randint(0, 40))))
        case 2:
            table = bytearray(bytes_at_random(bytes(table), rng))
        case _:
            table = bytearray(rng.randbytes(rng.choice((0, 1, 5, 5000))))
    body = encode_varint(count) + encode_varint(frames) + table
    data = struct.pack("<H", 0x8000 | count % 4096) + encode_varint(len(body)) + bytes(body)
    length = len(data) + _TAIL if rng.random() < 0.8 else rng.choice(INTEGERS) % (1 << 32)
    parts.trailer = data + _crc(data, rng) + struct.pack("<I", length) + b"NCFE"


def order(parts: Parts, rng: random.Random, other: Parts) -> None:
    """Chunks lost, repeated, swapped, or of another file."""
    chunks = parts.chunks
    if not chunks:
        return
    at = rng.randrange(len(chunks))
    match rng.randrange(5):
        case 0:
            del chunks[at]
        case 1:
            chunks.insert(at, rng.choice(chunks))
        case 2:
            rng.shuffle(chunks)
        case 3:
            chunks[at:at] = other.chunks[: rng.randint(1, 3)]
        case _:
            parts.trailer = other.trailer + parts.trailer * rng.randint(0, 2)


def ncf(files: list[Parts], rng: random.Random) -> bytes:
    """One of the files, damaged in one way or several."""
    chosen = rng.choice(files)
    parts = Parts(chosen.header, list(chosen.chunks), chosen.trailer)
    ways: list[Callable[[], None]] = [
        lambda: fields(parts, rng),
        lambda: chunk(parts, rng),
        lambda: trailer(parts, rng),
        lambda: order(parts, rng, rng.choice(files)),
    ]
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        rng.choice(ways)()
    data = parts.joined()
    for _ in range(rng.choice((0, 0, 1, 2))):
        data = bytes_at_random(data, rng)
    return data


_LIMITS: dict[int, tuple[int, ...]] = {
    5: (1, 8000, 44100, 2**19, 2**19 + 1, 2**32 - 1),  # sample_rate
    7: (1, 8000, 44100, 250000, 2**32 - 1),  # source_rate
    9: (1, 2, 9, 64, 255),  # channels
    11: (1, 2, 9, 64, 255),  # streams
    13: (1, 2, 16, 32, 127, 128, 255),  # codebooks
    15: (2, 3, 256, 1000, 1024, 65536),  # codebook_size
    17: (1, 16, 320, 512, 2**18, 2**26),  # hop
    19: (1, 4, 32, 86, 150, 1024, 2**13, 2**14, 2**16, 2**26),  # chunk_frames
    21: (1, 512, 2048, 43008, 44032, 2**14, 2**20, 2**26),  # chunk_stride
    23: (0, 1, 2560, 44032, 2**26),  # overlap
    25: (0, 1, 2),  # scale_kind
    27: (0, 1, 1, 1, 2),  # entropy
    35: (0, 1, 2),  # layer
}
"""Fields by number, with values from small to the largest: each is fine by itself."""


def composed(rng: random.Random, fixed: dict[int, int] | None = None) -> tuple[bytes, bytes]:
    """A header of values that multiply to a limit or beyond, under a right checksum, and bytes as
    chunks of it begin. ``fixed`` are values that are to be."""
    values = {number: rng.choice(held) for number, held in _LIMITS.items()}
    if rng.random() < 0.7:  # as headers mostly are
        values[11] = values[9]
    if rng.random() < 0.7:
        values[21] = min(values[21], values[19] * values[17])
    values.update(fixed or {})
    body = b"\x01\x0aneu2-44khz\x03\x08" + NEU2
    body += b"".join(_field(number, encode_varint(value)) for number, value in values.items())
    if values[27] == 2:
        body += _field(29, b"lm") + _field(31, bytes(8))
    data = b"\x89NCF\r\n\x1a\n\x01\x04" + struct.pack("<I", len(body)) + body
    scales = bytes([140]) * values[11] if values[25] == 1 else bytes(4 * values[11])
    return data + struct.pack("<I", zlib.crc32(data)), b"" if not values[25] else scales


def _values(header: bytes) -> dict[int, int]:
    """The integers of a header that was composed."""
    at, end, found = _PREFIX, len(header) - 4, {}
    while at < end:
        number, at = read_varint(header, at)
        length, at = read_varint(header, at)
        if number in _LIMITS:
            found[number] = read_varint(header, at)[0]
        at += length
    return found


def _repeated(streams: int, books: int, frames: int, size: int, rng: random.Random) -> bytes:
    """A payload under adaptive coding that stands for the same code ever again, which is what takes
    the fewest bytes; empty where making it takes too long."""
    if not (size > 2 and books and streams * books * frames * frames < 1 << 24):
        return b""
    codes = np.full((streams * books, frames), rng.randrange(size))
    left, width = (
        part.reshape(streams, books, frames).transpose(2, 1, 0).reshape(-1)
        for part in adaptive_intervals(codes, size)
    )
    return encode_intervals(left, width)


def _waveform(values: dict[int, int], rng: random.Random) -> bytes:
    """Return a waveform layer of the streams that ask for most, possible or not: tops, gains and
    splits by chance, and rows that take hardly a byte."""
    left, width = list[int](), list[int]()

    def even(bits: int, value: int) -> None:
        width.append(1 << 24 - bits)
        left.append(value % (1 << bits) * width[-1])

    even(1, rng.randrange(2))
    tops = (0, 1, 2, 5, 20, 112, 113, 1024, 6553, 65535)
    for _ in range(values[11] if rng.random() < 0.5 else 1):
        even(1, 1)
        for bits, value in ((10, rng.choice((0, 500, 1023))), (16, rng.choice(tops))):
            even(bits, value)
        for _ in range(4):
            even(4, rng.randrange(16))
        for _ in range(rng.choice((0, 0, 1, 24, 100))):
            even(1, rng.randrange(2))
    return encode_intervals(np.array(left), np.array(width))[: rng.choice((9, 40, 9999))]


NEU2 = bytes.fromhex("9a7270941a59479b")


def _field(number: int, value: bytes) -> bytes:
    return encode_varint(number) + encode_varint(len(value)) + value


def greedy(rng: random.Random, fixed: dict[int, int] | None = None) -> bytes:
    """A file of less than 10 kB that asks for as much as it can: limits that multiply, and chunks
    that claim all that their header allows, or repeat what costs no bytes."""
    header, scales = composed(rng, fixed)
    most, data, lengths = rng.choice((100, 400, 3000, 9900)), header, []
    flat = rng.choice((b"", bytes(1), bytes(8), bytes(40), rng.randbytes(30), b"\xff" * 12))
    books = rng.choice((0, 0, 1, 2, 16, 32, 127, 255))
    values = _values(header)
    if values[27] == 1 and rng.random() < 0.5:
        books = min(books, values[13])
        flat = _repeated(values[11], books, values[19], values[15], rng) or flat
    layer = rng.choice((b"", b"\0", bytes(9), rng.randbytes(9), b"\xa0" + bytes(12)))
    if values[35] == 2 and rng.random() < 0.8:
        layer = _waveform(values, rng)
    kind = rng.randrange(3)
    while len(data) < most and len(lengths) < 4000:
        word = len(lengths) % 4096
        layered = kind == 1 and bool(layer)
        body = struct.pack("<HB", word, books & 127 | 128 if layered else books)
        if books & (127 if layered else 255):
            some = bytearray(scales)
            if kind == 2:  # ever other streams have codes
                for stream in rng.sample(range(len(some)), len(some) // 2):
                    some[stream] = 0
            body += some + encode_varint(len(flat)) + flat
        if layered:
            body += encode_varint(len(layer)) + layer
        body += struct.pack("<I", zlib.crc32(body))
        data += body
        lengths.append(len(body))
    if rng.random() < 0.5:
        return data
    frames = rng.choice((0, 1, len(lengths), 43008 * len(lengths), 1 << 40))
    table = b"".join(
        encode_varint(zigzag(now - before))
        for before, now in zip([0, *lengths], lengths, strict=False)
    )
    body = encode_varint(len(lengths)) + encode_varint(frames) + table
    end = struct.pack("<H", 0x8000 | len(lengths) % 4096) + encode_varint(len(body)) + body
    return data + end + struct.pack("<II4s", zlib.crc32(end), len(end) + _TAIL, b"NCFE")


_OPCODES = (
    b"\x80\x04",
    b"c__builtin__\neval\n",
    b"\x93",
    b"R",
    b"b",
    b"}",
    b"]",
    b")",
    b"(",
    b"t",
    b"u",
    b"s",
    b"e",
    b"a",
    b"0",
    b"2",
    b"q\0",
    b"h\0",
    b"j\xff\xff\xff\x7f",
    b"r\xff\xff\xff\x7f",
    b"N",
    b"\x88",
    b"J\xff\xff\xff\x7f",
    b"\x8a\xff" + b"\xff" * 255,
    b"\x8b\xff\xff\xff\x7f",
    b"M\xff\xff",
    b"K\xff",
    b"B\xff\xff\xff\x7f",
    b"X\xff\xff\xff\x7f",
    b"\x8e" + b"\xff" * 8,
    b"G\x7f\xf8" + bytes(6),
    b"T\xff\xff\xff\x7f",
    b"\x95" + b"\xff" * 8,
    b"i__builtin__\neval\n",
    b"P0\n",
    b"Q",
    b".",
    b"\x81",
    b"I999999999999999999999\n",
    b"L1e9L\n",
    b"(" * 3000,
    b"(l" * 3000 + b".",
    b"d",
    b"l",
    b"\x85" * 3000,
)
"""Pieces of pickles: names of functions, sizes that are not there, nesting without end."""


def peer(files: list[bytes], rng: random.Random) -> bytes:
    """One of the files of other programs, damaged in one way or several."""
    data = rng.choice(files)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randint(0, len(data))
        match rng.randrange(5):
            case 0 | 1:
                data = data[:at] + rng.choice(_OPCODES) + data[at + rng.randint(0, 8) :]
            case 2:
                other = rng.choice(files)
                data = data[:at] + other[rng.randint(0, len(other)) :]
            case 3 if data.startswith(b"ECDC") and b"}" in data:
                end = data.index(b"}") + 1
                keys = rng.choice(('"m"', '"al"', '"nc"', '"lm"', '"x"'))
                value = rng.choice((*map(str, INTEGERS), *_VALUES, "null", '"encodec_48khz"'))
                text = data[9 : end - 1] + f", {keys}: {value}}}".encode()
                data = data[:5] + struct.pack(">I", len(text)) + text + data[end:]
            case _:
                data = bytes_at_random(data, rng)
    return data


_VALUES = (
    "0", "-1", "1", "1e308", "nan", "inf", "true", '""', '"a"', "[]", "{}", "[[]]", "9" * 30,
    '"\\u0000"', '"../../etc/passwd"', '"' + "x" * 300 + '"', "1979-05-27", "[1, 2]", '["a"]',
    "2147483648", "9223372036854775808", "0x7fffffff", "[1.5]", "[-1]",
)  # fmt: skip


def toml(texts: list[str], rng: random.Random) -> str:
    """One of the cards with other values, lines lost or twice, or other characters."""
    lines = rng.choice(texts).splitlines()
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(lines)) if lines else 0
        match rng.randrange(7):
            case 0 | 1 | 2 if lines:
                key, equals, _ = lines[at].partition("=")
                lines[at] = f"{key}{equals or '='} {rng.choice(_VALUES)}"
            case 3 if lines:
                del lines[at]
            case 4 if lines:
                lines.insert(rng.randint(0, len(lines)), lines[at])
            case 5:
                lines.insert(at, f"{rng.choice(('x', 'sha256', '[table]', '[[sources]]'))} = 1")
            case _:
                text = "\n".join(lines)
                spot = rng.randint(0, len(text))
                noise = "".join(
                    rng.choice("\"'[]{}=\\\n\0é𝄞#.,1e") for _ in range(rng.randint(0, 6))
                )
                lines = (text[:spot] + noise + text[spot + rng.randint(0, 20) :]).split("\n")
    return "\n".join(lines)


def _crc(data: bytes, rng: random.Random) -> bytes:
    """The right checksum, mostly."""
    return struct.pack("<I", zlib.crc32(data)) if rng.random() < 0.9 else rng.randbytes(4)
