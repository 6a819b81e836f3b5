"""Checkpoints: every dialect is read, nothing is skipped, no code is run."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from neucodec.models.errors import ModelError
from neucodec.models.parts.state_dict import fold_weight_norm, read_checkpoint, restore


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(3, 4, 5), nn.ConvTranspose1d(4, 2, 6))


def old_style(net: nn.Sequential) -> nn.Sequential:
    return nn.Sequential(*(nn.utils.weight_norm(layer) for layer in net))


def new_style(net: nn.Sequential) -> nn.Sequential:
    return nn.Sequential(*(nn.utils.parametrizations.weight_norm(layer) for layer in net))


def folded(net: nn.Sequential) -> nn.Sequential:
    return net


def save_torch(tensors: dict[str, Tensor], path: Path) -> None:
    torch.save(tensors, path)


def save_legacy(tensors: dict[str, Tensor], path: Path) -> None:
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize("save", [save_file, save_torch, save_legacy])
@pytest.mark.parametrize("name", ["weights", "weights.pth", "model.safetensors"])
@pytest.mark.parametrize("dialect", [old_style, new_style, folded])
def test_every_dialect_loads_to_the_same_network_whatever_the_files_name(
    dialect: Callable[[nn.Sequential], nn.Sequential],
    name: str,
    save: Callable[[dict[str, Tensor], Path], None],
    tmp_path: Path,
) -> None:
    net = dialect(network())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(torch.rand_like(parameter) + 0.5)
    save({key: t.detach() for key, t in net.state_dict().items()}, tmp_path / name)
    audio = torch.randn(1, 3, 20)

    checkpoint = read_checkpoint(tmp_path / name)
    ours = restore(network, checkpoint.tensors, checkpoint.source)

    assert set(ours.state_dict()) == {"0.weight", "0.bias", "1.weight", "1.bias"}
    assert not ours.training
    torch.testing.assert_close(ours(audio), net(audio))


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2, dtype=torch.float16)}, tmp_path / "weights")
    assert read_checkpoint(tmp_path / "weights").tensors["a"].dtype == torch.float32


def test_a_dictionary_of_state_dicts_becomes_prefixes(tmp_path: Path) -> None:
    parts = {part: {"w": torch.ones(1)} for part in ("generator", "encoder", "quantizer")}
    torch.save(parts, tmp_path / "HiFi-Codec-24k-320d")
    found = read_checkpoint(tmp_path / "HiFi-Codec-24k-320d")
    assert set(found.tensors) == {"generator.w", "encoder.w", "quantizer.w"}


def test_metadata_beside_a_state_dict_is_kept(tmp_path: Path) -> None:
    arguments = {"kwargs": {"encoder_rates": [2, 4, 8, 8], "latent_dim": None}}
    torch.save({"state_dict": {"w": torch.ones(1)}, "metadata": arguments}, tmp_path / "w.pth")
    found = read_checkpoint(tmp_path / "w.pth")
    assert set(found.tensors) == {"w"}
    assert found.metadata == arguments


def test_strings_in_the_header_of_safetensors_are_kept(tmp_path: Path) -> None:
    save_file({"w": torch.ones(1)}, tmp_path / "w.safetensors", {"format": "pt"})
    assert read_checkpoint(tmp_path / "w.safetensors").metadata == {"format": "pt"}


class Attack:
    """What a hostile file would ask the unpickler to call."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("save", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x, 2))])
def test_code_in_a_checkpoint_is_refused_and_not_run(
    save: Callable[[object, Path], None], tmp_path: Path
) -> None:
    save({"w": Attack(tmp_path / "victim")}, tmp_path / "bad.pth")
    with pytest.raises(ModelError, match=r"bad.pth is no checkpoint of plain tensors") as error:
        read_checkpoint(tmp_path / "bad.pth")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", b"\x10\0\0\0\0\0\0\0{broken", b"PK\x03\x04"]
)
def test_damaged_files_are_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(ModelError, match="bad") as error:
        read_checkpoint(tmp_path / "bad")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [[1, 2], {"w": "text"}, {"generator": {"w": 3}}])
def test_what_holds_no_tensors_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "bad")
    with pytest.raises(ModelError, match="a tensor was expected"):
        read_checkpoint(tmp_path / "bad")


def test_half_of_a_weight_norm_is_refused() -> None:
    with pytest.raises(ModelError, match=r"weight norm of a is half there, a.weight_v is missing"):
        fold_weight_norm({"a.weight_g": torch.ones(2, 1, 1)})


def test_a_weight_with_and_without_weight_norm_is_refused() -> None:
    tensors = {name: torch.ones(2, 1, 1) for name in ("a.weight_g", "a.weight_v", "a.weight")}
    with pytest.raises(ModelError, match="with and without weight norm"):
        fold_weight_norm(tensors)


def test_a_missing_tensor_is_refused_by_name() -> None:
    tensors = network().state_dict()
    del tensors["1.bias"]
    with pytest.raises(ModelError, match=r"^w.pth lacks 1.bias$"):
        restore(network, tensors, "w.pth")


def test_tensors_without_a_place_are_refused_by_name() -> None:
    extra = {f"{k}.extra": torch.ones(1) for k in range(5)}
    with pytest.raises(ModelError, match=r"0.extra, 1.extra, 2.extra and 2 more$"):
        restore(network, network().state_dict() | extra, "w.pth")


def test_a_wrong_shape_is_refused_with_both_shapes() -> None:
    tensors = network().state_dict() | {"0.bias": torch.ones(3)}
    with pytest.raises(ModelError, match=r"0.bias has shape \(3,\), this model needs \(4,\)"):
        restore(network, tensors, "w.pth")


def test_a_restored_lstm_runs_on_its_new_weights() -> None:
    lstm = nn.LSTM(4, 4, 2)
    steps = torch.randn(5, 1, 4)
    ours = restore(lambda: nn.LSTM(4, 4, 2), lstm.state_dict(), "w.pth")
    torch.testing.assert_close(ours(steps)[0], lstm(steps)[0])
