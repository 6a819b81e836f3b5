"""A checkpoint is judged by its header, before any of its tensors is made."""

from __future__ import annotations

import pickle
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import MakeClip, Run
from safetensors.torch import save_file
from torch import Tensor

from neucodec.models.catalogue.card import find_card
from neucodec.models.errors import ModelError
from neucodec.models.families.encodec.network import Encodec, EncodecConfig
from neucodec.models.families.family import configured
from neucodec.models.families.recognition import recognise
from neucodec.models.parts.checkpoint_header import CheckpointHeader, read_header
from neucodec.models.parts.state_dict import fold_weight_norm, read_checkpoint, restore

TENSORS = {
    "a.weight": torch.arange(6.0).reshape(2, 3),
    "a.bias": torch.zeros(2, dtype=torch.float16),
    "turned": torch.arange(6).reshape(2, 3).t(),
    "none": torch.zeros(0, 3),
    "one": torch.tensor(3.0),
}


def legacy(tensors: object, path: Path) -> None:
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


def safe(tensors: dict[str, Tensor], path: Path) -> None:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


@pytest.mark.parametrize("save", [torch.save, legacy, safe])
def test_names_and_shapes_are_those_of_the_tensors(
    save: Callable[[dict[str, Tensor], Path], None], tmp_path: Path
) -> None:
    save(TENSORS, tmp_path / "w")
    header = read_header(tmp_path / "w")
    assert header.shapes == {name: tuple(tensor.shape) for name, tensor in TENSORS.items()}
    found = read_checkpoint(tmp_path / "w").tensors
    assert all(torch.equal(found[name], tensor) for name, tensor in TENSORS.items())


@pytest.mark.parametrize("save", [torch.save, legacy])
def test_what_training_saves_is_read(save: Callable[[object, Path], None], tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    content = {
        "state_dict": OrderedDict(network.state_dict()) | {"p": torch.nn.Parameter(torch.ones(1))},
        "metadata": {"kwargs": {"rates": [2, 4], "none": None, "x": 0.5, "size": torch.Size([1])}},
    }
    save(content, tmp_path / "w")
    header = read_header(tmp_path / "w")
    assert header.shapes["0.weight"] == (3, 2) and header.shapes["p"] == (1,)
    assert header.metadata["kwargs"]["rates"] == [2, 4]


@pytest.mark.parametrize("save", [torch.save, legacy])
def test_tensors_over_nothing_are_refused_before_they_are_made(
    save: Callable[[object, Path], None], tmp_path: Path
) -> None:
    vast = torch.zeros(1).expand(3_000_000_000)
    for content in ({"w": vast}, {"state_dict": {"w": vast.reshape(1000, -1)}}):
        save(content, tmp_path / "w")
        assert (tmp_path / "w").stat().st_size < 3000
        with pytest.raises(ModelError, match="w is no checkpoint .* storage is too short for"):
            read_checkpoint(tmp_path / "w")


def test_one_storage_under_many_names_is_refused(tmp_path: Path) -> None:
    tensor = torch.zeros(10_000)
    torch.save({f"w{k}": tensor[1:] for k in range(100)}, tmp_path / "w")
    with pytest.raises(ModelError, match="has tensors that the file is too short for"):
        read_checkpoint(tmp_path / "w")
    torch.save({"a": tensor, "tied": tensor}, tmp_path / "w")
    assert set(read_checkpoint(tmp_path / "w").tensors) == {"a", "tied"}


def rezipped(path: Path, change: Callable[[str, bytes], bytes], kind: int) -> None:
    """Write a zip again, its records changed and perhaps packed."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in records.items():
            archive.writestr(name, change(name, content))


def test_packed_records_are_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1_000_000)}, tmp_path / "w")
    rezipped(tmp_path / "w", lambda name, content: content, zipfile.ZIP_DEFLATED)
    assert (tmp_path / "w").stat().st_size < 10_000
    with pytest.raises(ModelError, match="a zip whose records are packed or overlap"):
        read_checkpoint(tmp_path / "w")


def bomb(levels: int = 60) -> bytes:
    pairs = b"K\x01" + b"".join(b"q%ch%c\x86" % (k, k) for k in range(levels))
    return b"\x80\x02}" + pairs + b"K\x01s."


def test_shared_structure_is_refused_at_once(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "w")
    rezipped(
        tmp_path / "w",
        lambda name, content: bomb() if name.endswith("data.pkl") else content,
        zipfile.ZIP_STORED,
    )
    began = time.process_time()
    with pytest.raises(ModelError, match="a dictionary with keys other than text and numbers"):
        read_checkpoint(tmp_path / "w")
    legacy({}, tmp_path / "w")
    data = (tmp_path / "w").read_bytes()
    assert data.endswith(b"]q\x00.")
    start = data.rindex(b"\x80\x02}")
    (tmp_path / "w").write_bytes(data[:start] + bomb())
    with pytest.raises(ModelError, match="a dictionary with keys other than text and numbers"):
        read_checkpoint(tmp_path / "w")
    assert time.process_time() - began < 1


def test_what_is_no_checkpoint_is_said_in_one_line_of_ours(
    run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    sounds = [clip("a.wav"), clip("a.flac"), clip("a.mp3")]
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"a": 1}))
    (tmp_path / "empty.pth").touch()
    torch.save(torch.nn.Linear(1, 1), tmp_path / "module.pt")
    others = [tmp_path / name for name in ("a.npz", "a.pkl", "empty.pth", "module.pt")]
    for path in (*sounds, *others):
        ran = run("encode", "-m", path, sounds[0], "-o", tmp_path / "out.ncf")
        assert (ran.code, ran.err.count("\n")) == (2, 1), path
        assert f"{path.name} is no checkpoint of plain tensors" in ran.err
        assert "weights_only" not in ran.err and "fault of neucodec" not in ran.err


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("save", [torch.save, legacy, safe])
def test_half_a_checkpoint_is_refused_in_one_line(
    save: Callable[[dict[str, Tensor], Path], None], cut: float, tmp_path: Path
) -> None:
    save({"w": torch.ones(1000)}, tmp_path / "w")
    data = (tmp_path / "w").read_bytes()
    (tmp_path / "w").write_bytes(data[: int(cut * len(data))])
    with pytest.raises(ModelError) as refused:
        read_checkpoint(tmp_path / "w")
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400


@pytest.mark.parametrize("shape", [(1,), (3, 1, 1), (2, 4, 1), (2,), ()])
def test_lengths_that_do_not_belong_to_their_directions_are_refused(shape: tuple[int, ...]) -> None:
    tensors = {"a.weight_g": torch.ones(shape), "a.weight_v": torch.ones(2, 4, 3)}
    with pytest.raises(ModelError, match="weight norm of a has a length of shape"):
        fold_weight_norm(tensors)


def test_numbers_of_another_kind_are_refused() -> None:
    with pytest.raises(ModelError, match=r"w: bias is of torch\.int64, this model needs another"):
        restore(
            lambda: torch.nn.Linear(1, 1),
            {"weight": torch.ones(1, 1), "bias": torch.ones(1, dtype=torch.int64)},
            "w",
        )


@pytest.mark.parametrize("name", ["encodec-24khz", "encodec-48khz"])
def test_a_state_dict_is_known_by_its_shapes(name: str) -> None:
    with torch.device("meta"):
        network = Encodec(configured(find_card(name), EncodecConfig))
    shapes: dict[str, tuple[int, ...]] = {}
    for key, tensor in network.state_dict().items():
        if key.endswith("conv.weight"):  # as the authors' files have it
            shapes |= {f"{key}_g": (len(tensor), 1, 1), f"{key}_v": tuple(tensor.shape)}
        else:
            shapes[key] = tuple(tensor.shape)
    assert [card.name for card in recognise(CheckpointHeader(shapes))] == [name]
    del shapes["quantiser.codebooks.0.entries"]
    assert recognise(CheckpointHeader(shapes)) == []
