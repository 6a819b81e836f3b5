"""Read checkpoints as others publish them into plain tensors, and load them strictly.

Published weights come in several dialects: safetensors, PyTorch files holding one state dict or a
dictionary of them, weight norm as ``weight_g``/``weight_v``, as parametrisations, or folded. Here
they all become one mapping of names to float32 tensors with weight norm folded, since a network at
inference has no use for the factors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from neucodec.models.errors import ModelError

from .checkpoint_header import joined, read_header, unwrapped

M = TypeVar("M", bound=nn.Module)

# The two halves of a weight-normed tensor: its length and its direction, in PyTorch's two dialects.
_WEIGHT_NORM = (
    (".weight_g", ".weight_v"),
    (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
)


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint file."""

    tensors: dict[str, Tensor]
    """Tensors by the file's own names, weight norm folded, floating-point ones as float32."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What the file says beside its tensors: constructor arguments in DAC's files, strings in the
    header of safetensors."""
    source: str = "checkpoint"
    """Name of the file, for messages."""


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a ``.safetensors`` or PyTorch file without ever running code from it.

    The kind is told by content, since some checkpoints have no file extension. A dictionary
    of state dicts (HiFi-Codec's ``{generator, encoder, quantizer}``) becomes names with a prefix;
    of a dictionary with a ``state_dict`` (DAC's), ``metadata`` is kept beside it. Raises
    ``ModelError`` for anything else and ``OSError`` if the file cannot be read.
    """
    path = Path(path)
    header = read_header(path)
    tensors = _read_safetensors(path) if header.is_safetensors else _read_pickle(path)
    if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != header.shapes:
        raise ModelError(f"{path.name} changed while it was read, or its header says otherwise")
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            tensors[name] = tensor.float()
    _fold(tensors, path.name)
    return Checkpoint(tensors, header.metadata, path.name)


def fold_weight_norm(
    tensors: Mapping[str, Tensor], source: str = "checkpoint"
) -> dict[str, Tensor]:
    """Replace each pair of weight-norm factors by the weight that they stand for.

    Weight norm (arXiv 1602.07868) stores g and v for w = g v / |v|, the length being taken over
    all dimensions but the first. Names of either dialect become ``….weight``.
    """
    folded = dict(tensors)
    _fold(folded, source)
    return folded


def _fold(tensors: dict[str, Tensor], source: str) -> None:
    """Fold weight norm in the dictionary itself, so that factors are freed as weights are made."""
    for length, direction in _WEIGHT_NORM:
        stems = {
            name.removesuffix(suffix)
            for suffix in (length, direction)
            for name in tensors
            if name.endswith(suffix)
        }
        for stem in sorted(stems):
            try:
                g, v = tensors.pop(stem + length), tensors.pop(stem + direction)
            except KeyError as error:
                raise ModelError(
                    f"{source}: weight norm of {stem} is half there, {error.args[0]} is missing"
                ) from None
            if f"{stem}.weight" in tensors:
                raise ModelError(f"{source}: {stem} has a weight with and without weight norm")
            if not v.is_floating_point() or g.shape != (*v.shape[:1], *[1] * (v.dim() - 1)):
                raise ModelError(
                    f"{source}: weight norm of {stem} has a length of shape {tuple(g.shape)} for "
                    f"a direction of shape {tuple(v.shape)}"
                )
            norm = torch.linalg.vector_norm(v, dim=tuple(range(1, v.dim())), keepdim=True)
            tensors[f"{stem}.weight"] = v * (g / norm)


def restore(build: Callable[[], M], tensors: Mapping[str, Tensor], source: str) -> M:
    """Build a network and fill it with exactly these tensors, ready for inference.

    Every tensor of the checkpoint must have its place and every place its tensor, of the right
    shape; anything else is a ``ModelError`` that names the first few. The network is built
    without memory of its own, so no time goes into random weights that are thrown away.
    """
    with torch.device("meta"):
        network = build()
    places = network.state_dict()
    _refuse(source, "lacks", places.keys() - tensors.keys())
    _refuse(source, "has, and this model does not,", tensors.keys() - places.keys())
    for name, place in places.items():
        found = tensors[name]
        if found.shape != place.shape:
            raise ModelError(
                f"{source}: {name} has shape {tuple(found.shape)}, "
                f"this model needs {tuple(place.shape)}"
            )
        if found.is_floating_point() != place.is_floating_point():
            raise ModelError(f"{source}: {name} is of {found.dtype}, this model needs another kind")
    if {name for name, _ in network.named_buffers()} - places.keys():
        # What is computed and not saved, such as a window, has its values only if built for real.
        network = build()
    network.load_state_dict(dict(tensors), strict=True, assign=True)
    return network.requires_grad_(False).eval()


def _refuse(source: str, verb: str, names: Iterable[str]) -> None:
    found = sorted(names)
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise ModelError(f"{source} {verb} {', '.join(found[:3])}{more}")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path.name} is not a sound safetensors file: {reason}") from None


def _read_pickle(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a PyTorch file, whose header has shown that they are not too large."""
    try:
        # Of a path, PyTorch would go by the suffix.
        with path.open("rb") as file:
            state, _ = unwrapped(torch.load(file, map_location="cpu", weights_only=True))
        tensors: dict[str, Tensor] = {}
        for name, value in state.items():
            for key, tensor in (value if isinstance(value, dict) else {"": value}).items():
                tensors[joined(name, key)] = tensor.detach()
    except OSError:
        raise
    except Exception as error:
        # PyTorch's own words end in the advice to run the code in the file.
        raise ModelError(
            f"{path.name} is no checkpoint of plain tensors, and nothing else is opened: PyTorch "
            f"refuses it with {type(error).__name__}"
        ) from None
    return tensors
