"""Hostile .dac and .ecdc: pickles with shared structure, grown from real ones or from nothing."""

from __future__ import annotations

import io
import pickle
import random
import struct
from collections.abc import Callable
from typing import Any

import fuzz_mutations as mutations
import numpy as np

from neucodec.errors import NeucodecError
from neucodec.formats import NcfError
from neucodec.formats.peers.dac import VERSION, DacFile, read_dac, write_dac
from neucodec.formats.peers.ecdc import Ecdc, Segment, read_ecdc, write_ecdc
from neucodec.interchange.peers import to_ncf
from neucodec.models.catalogue.card import Card

_LEAVES = (
    b"K\x01",
    b"N",
    b"\x88",
    b")",
    b"]",
    b"}",
    b"\x8c\x01a",
    b"G\x7f\xf0" + bytes(6),
    b"C\x01a",
)


def head() -> bytes:
    """What stands before the pickle in an .npy of one object."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
    return file.getvalue()


def shared(rng: random.Random, start: int = 0, levels: int | None = None) -> bytes:
    """Opcodes for one object: pairs, triples, lists and dictionaries whose parts are one."""
    opcodes = rng.choice(_LEAVES)
    for level in range(rng.choice((1, 3, 20, 40, 100)) if levels is None else levels):
        opcodes += b"r" + struct.pack("<I", start + level)
        mention = b"j" + struct.pack("<I", start + level)
        opcodes += rng.choice((
            mention + b"\x86",
            mention + mention + b"\x87",
            mention + b"\x860" if rng.random() < 0.01 else mention + b"\x86",
            b"]" + mention + b"a" + mention + b"a\x86",
            b"}\x8c\x01a" + mention + b"s\x86",
            b"}" + mention + b"K\x01s\x86",
            b"(" + mention * rng.choice((1, 5, 30)) + b"t\x86",
            b"(" + mention * 3 + b"l\x86" if rng.random() < 0.01 else mention + b"\x86",
        ))  # fmt: skip
    return opcodes


def grown(rng: random.Random) -> bytes:
    """Lists that are filled from the top, the inner ones through the memo."""
    count = rng.choice((2, 10, 50))
    steps = [b"]\x94ah%cah%c" % (k, k) for k in range(1, count)]
    if rng.random() < 0.3:
        steps.append(b"h\x00a")  # in itself
    return b"]\x94" + b"".join(steps) + b"h\x00"


def text(word: str) -> bytes:
    return b"\x8c%c%b" % (len(word), word.encode())


def _call(module: str, name: str, arguments: bytes) -> bytes:
    return text(module) + text(name) + b"\x93" + arguments + b"R"


def planted(rng: random.Random) -> bytes:
    """A pickle as a .dac has it, with such an object in one of its places."""

    def some(usual: bytes) -> bytes:
        if rng.random() < 0.75:
            return usual
        return rng.choice((shared, lambda rng: grown(rng)))(rng)

    kind = _call("numpy", "dtype", some(text(rng.choice(("u2", "f4", "O8")))) + b"\x85")
    kind += some(b"(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t") + b"b"
    array = _call("numpy.core.multiarray", "_reconstruct", some(
        text("numpy") + text("ndarray") + b"\x93" + b"K\x00\x85C\x01b\x87"
    ))  # fmt: skip
    codes = bytes(rng.choice((0, 2, 20)))
    shape = b"K\x01K\x01" + b"K%c\x87" % (len(codes) // 2)
    array += some(
        b"(K\x01" + some(shape) + kind + b"\x89B" + struct.pack("<I", len(codes)) + codes + b"t"
    )
    array += b"b"
    fields = {
        "input_db": b"G\xc0\x34" + bytes(6), "original_length": b"M\x00\x10", "channels": b"K\x01",
        "sample_rate": b"M\x44\xac", "chunk_length": b"K\x0a", "padding": b"\x88",
        "dac_version": text(VERSION),
    }  # fmt: skip
    metadata = b"}(" + b"".join(
        some(text(name)) + some(value) for name, value in fields.items()
    ) + b"u"  # fmt: skip
    return b"\x80\x04}(" + text("codes") + some(array) + text("metadata") + some(metadata) + b"u."


def real(rng: random.Random, objects: list[Any]) -> bytes:
    """What pickling makes of a tree with shared parts, spoilt here and there."""
    tree: Any = rng.choice(objects)
    for _ in range(rng.choice((1, 5, 60))):
        tree = rng.choice(
            (lambda t: (t, t), lambda t: [t, t], lambda t: {"a": t, "b": t}, lambda t: (t, 1, t))
        )(tree)
    try:
        data = pickle.dumps(tree, rng.choice((2, 3, 4, 5)))
    except RecursionError:
        data = b"."
    return data if rng.random() < 0.5 else mutations.bytes_at_random(data, rng)


class _Codec:
    """Stands in for a codec where only its fingerprint is asked for."""

    fingerprint = bytes(8)


def _load(card: Card) -> Any:
    if card.family == "dac":
        raise NeucodecError("no weights here")  # which level and codes it would take
    return _Codec()


def cases() -> Callable[[random.Random], tuple[bytes, Callable[[], str]]]:
    """Files of the packages descript-audio-codec and encodec."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 1024, (2, 9, 10))
    whole = DacFile(
        codes=codes, chunk_length=10, original_length=5000, sample_rate=44100, input_db=-20.0,
        padding=True,
    )  # fmt: skip
    files = [write_dac(whole)] + [
        write_ecdc(Ecdc(model, 320 * 5 - 7, [Segment(rng.integers(0, 1024, (4, 5)), scale)]))
        for model, scale in (("encodec_24khz", None), ("encodec_48khz", 0.5))
    ]
    objects = [1, "a", np.zeros(3), (), {"codes": codes.astype(np.uint16), "metadata": {}}]
    start = head()

    def case(rng: random.Random) -> tuple[bytes, Callable[[], str]]:
        way = rng.randrange(5)
        if way == 0:
            data = mutations.peer(files, rng)
        elif way == 1:
            data = start + b"\x80\x04" + rng.choice((shared, grown))(rng) + b"."
        elif way == 2:
            data = start + real(rng, objects)
        else:
            data = start + planted(rng)
        if rng.random() < 0.2:
            data = mutations.bytes_at_random(data, rng)

        def run() -> str:
            if data.startswith(b"ECDC"):
                ecdc = read_ecdc(data)
                same = read_ecdc(write_ecdc(ecdc))
                found = [part.codes for part in ecdc.segments]
                assert all(map(np.array_equal, found, (part.codes for part in same.segments)))
            else:
                dac = read_dac(data)
                assert np.array_equal(read_dac(write_dac(dac)).codes, dac.codes), "other codes"
            try:
                to_ncf(data, io.BytesIO(), _load)
            except (NcfError, NeucodecError):
                return "read, of no model"
            return "converted"

        return data, run

    return case
