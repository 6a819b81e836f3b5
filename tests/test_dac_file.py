"""The .dac format: bytes, without any model; and nothing in it is ever run."""

from __future__ import annotations

import io
import os
import pickle
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ncf_examples import codes as some_codes
from networks import peer

from neucodec.formats import NcfError
from neucodec.formats.peers.dac import DacFile, read_dac, write_dac

METADATA = {
    "input_db": np.array([-21.5], np.float32),
    "original_length": 5000,
    "sample_rate": 44100,
    "chunk_length": 10,
    "channels": 2,
    "padding": True,
    "dac_version": "1.0.0",
}


def example(**changes: Any) -> DacFile:
    fields: dict[str, Any] = {
        "codes": some_codes(2, 9, 10), "chunk_length": 10, "original_length": 5000,
        "sample_rate": 44100, "input_db": -21.5, "padding": True,
    }  # fmt: skip
    return DacFile(**(fields | changes))


def same(one: DacFile, other: DacFile) -> bool:
    fields = ("chunk_length", "original_length", "sample_rate", "input_db", "padding")
    return np.array_equal(one.codes, other.codes) and all(
        getattr(one, name) == getattr(other, name) for name in fields
    )


def saved(thing: Any, protocol: int = 4) -> bytes:
    """What ``numpy.save`` makes of a thing, in any of pickle's protocols."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
    array = np.empty((), object)
    array[()] = thing
    return file.getvalue() + pickle.dumps(array, protocol)


def test_what_is_written_is_read() -> None:
    for written in (example(), example(chunk_length=5, padding=False, input_db=-70.0)):
        assert same(read_dac(write_dac(written)), written)


def test_the_package_and_this_read_each_others_files(tmp_path: Path) -> None:
    their_class = peer("dac").DACFile
    (tmp_path / "ours.dac").write_bytes(write_dac(example()))
    theirs = their_class.load(tmp_path / "ours.dac")
    assert np.array_equal(theirs.codes.numpy(), example().codes)
    theirs.input_db = torch.from_numpy(theirs.input_db)  # as its own encoder gives it
    assert theirs.save(tmp_path / "theirs") == tmp_path / "theirs.dac"
    assert same(read_dac((tmp_path / "theirs.dac").read_bytes()), example())


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<u2", ">u2", "<i8"])
def test_arrays_of_any_layout_are_read(protocol: int, order: Any, kind: str) -> None:
    codes = np.array(example().codes, kind, order=order)
    data = saved({"codes": codes, "metadata": METADATA}, protocol)
    assert same(read_dac(data), example())


class Runs:
    """Pickled, a call of anything."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self._call = (call, arguments)

    def __reduce__(self) -> Any:
        return self._call


def test_nothing_is_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    calls = [
        Runs(os.mkdir, str(trap)),
        Runs(eval, f"__import__('os').mkdir({str(trap)!r})"),
        Runs(np.fromfile, str(trap)),
        Runs(getattr, "text", "upper"),
        Runs(bytearray, 10**15),
        Runs(np.ndarray, (10**15,)),
    ]
    for call in calls:
        for thing in (call, {"codes": call}, {"metadata": {"padding": call}}, [call]):
            with pytest.raises(NcfError, match=r"not a \.dac: its pickle calls .* not data"):
                read_dac(saved(thing))
            with pytest.raises(NcfError):
                read_dac(saved(thing, protocol=3))
    assert not trap.exists()


def with_pickle(opcodes: bytes) -> bytes:
    return saved(None)[: -len(pickle.dumps(np.array(None, object), 4))] + opcodes


@pytest.mark.parametrize(
    "opcodes",
    [
        b"",
        b".",
        b"\x80\x04N.",
        b"\x80\x04" + b"(" * 20_000 + b".",
        b"\x80\x04r\xff\xff\xff\xffN.",  # a memo of four billion entries
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b".",  # text of exabytes
        b"\x80\x04N" + b"2" * 1000 + b".",
        b"\x80\x04h\x05.",
        b"\x80\x04]\x94h\x00a.",  # a list in itself
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93)\x81.",  # NEWOBJ
        b"\x80\x04cnumpy\ndtype\nX\x02\x00\x00\x00O8\x85R(K\x03X\x01\x00\x00\x00|NNNtb.",
    ],
)
def test_hostile_pickles_are_refused_at_once(opcodes: bytes) -> None:
    with pytest.raises(NcfError) as refused:
        read_dac(with_pickle(opcodes))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"dac_version": "2.0.0"}, ".dac of version '2.0.0': only 1.0.0 is known"),
        ({"channels": 1}, "its channels cannot be"),
        ({"chunk_length": 3}, "its chunk_length cannot be"),
        ({"chunk_length": 5}, "its chunk_length cannot be"),
        ({"original_length": -1}, "its original_length cannot be"),
        ({"sample_rate": 44100.0}, "its sample_rate cannot be"),
        ({"padding": 1}, "its padding cannot be"),
        ({"input_db": np.array([np.nan], np.float32)}, "its input_db cannot be"),
        ({"input_db": np.zeros(2, np.float32)}, "its input_db cannot be"),
    ],
)
def test_metadata_that_contradict_the_codes_are_refused(change: dict[str, Any], line: str) -> None:
    codes = example().codes.astype(np.uint16)
    with pytest.raises(NcfError, match=line):
        read_dac(saved({"codes": codes, "metadata": METADATA | change}))


def shared(levels: int) -> bytes:
    """Opcodes for a pair of pairs of pairs, the two of each being one: 2^levels numbers."""
    return b"K\x01" + b"".join(b"\x94h%c\x86" % level for level in range(levels))


def text(word: str) -> bytes:
    return b"\x8c%c%b" % (len(word), word.encode())


VERSION = text("dac_version") + text("1.0.0")
PLACES = {
    "alone": b"%b.",
    "as a key": b"}%bK\x01s.",
    "as one of the keys": b"}(%bK\x01u.",
    "as metadata": b"}(" + text("metadata") + b"%b" + text("codes") + b"Nu.",
    "as the version": b"}" + text("metadata") + b"}" + text("dac_version") + b"%bss.",
    "as a level": b"}" + text("metadata") + b"}(" + VERSION + text("input_db") + b"%bus.",
    "as a type": text("numpy") + text("dtype") + b"\x93%b\x85R.",
    "as a name": b"%b" + text("dtype") + b"\x93.",
    "as an argument": text("numpy.core.multiarray") + text("scalar") + b"\x93%bN\x86R.",
    "as all arguments": text("numpy.core.multiarray") + text("_reconstruct") + b"\x93%bR.",
    "as a state": text("numpy") + text("dtype") + b"\x93" + text("O8") + b"\x85R%bb.",
    "as what is called": b"%b)R.",
}


@pytest.mark.parametrize("place", PLACES)
def test_one_object_with_many_names_is_counted_as_often_as_it_is_named(place: str) -> None:
    data = with_pickle(b"\x80\x04" + PLACES[place].replace(b"%b", shared(60)))
    began = time.process_time()
    with pytest.raises(NcfError) as refused:
        read_dac(data)
    assert time.process_time() - began < 1
    assert len(str(refused.value)) < 200


def test_a_tree_that_grows_from_its_top_is_counted_too() -> None:
    grown = b"]\x94" + b"".join(b"]\x94ah%cah%c" % (k, k) for k in range(1, 60))
    with pytest.raises(NcfError, match="its pickle stands for more than 10000 objects"):
        read_dac(with_pickle(b"\x80\x04" + grown + b"h\x00."))


def test_a_list_in_itself_is_refused() -> None:
    with pytest.raises(NcfError, match="its pickle has a list or dictionary in itself"):
        read_dac(with_pickle(b"\x80\x04]\x94h\x00a."))


@pytest.mark.parametrize("level", [10**400, -(10**400), True, 1e300, "1", None, [1.0]])
def test_levels_that_cannot_be_are_refused(level: Any) -> None:
    codes = example().codes.astype(np.uint16)
    with pytest.raises(NcfError, match="its input_db cannot be"):
        read_dac(saved({"codes": codes, "metadata": METADATA | {"input_db": level}}))


@pytest.mark.parametrize("code", [-1, 1 << 16, -(2**63)])
def test_codes_that_no_dac_can_hold_are_refused(code: int) -> None:
    codes = example().codes.astype(np.int64)
    codes[0, 0, 0] = code
    with pytest.raises(NcfError, match="its codes cannot be"):
        read_dac(saved({"codes": codes, "metadata": METADATA}))


def test_other_arrays_are_refused() -> None:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    for data in (b"", b"\x93NUMPY", file.getvalue(), saved({"codes": [1, 2]}), saved("text")):
        with pytest.raises(NcfError, match="not a .dac"):
            read_dac(data)


@given(st.data())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    broken = bytearray(write_dac(example()))
    for _ in range(data.draw(st.integers(1, 3))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(broken)))
    try:
        found = read_dac(bytes(broken[:cut] if data.draw(st.booleans()) else broken))
    except NcfError:
        return
    assert found.codes.nbytes <= 8 * len(broken)
