"""The files in a run's folder: the state to resume from, the averaged weights, the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

STATE = "state.pt"
"""The file with all that resuming needs."""
AVERAGE = "average.safetensors"
"""The file with the averaged weights, which are the run's result so far."""
RECIPE = "recipe.json"
"""The file with the recipe that the run follows."""


def save_checkpoint(folder: Path, state: dict[str, Any], average: Mapping[str, Tensor]) -> None:
    """Write `STATE` and `AVERAGE` into a run's folder.

    Each is written under another name and renamed once it is whole, so that a run that is killed
    leaves the files as they were.
    """
    partial = folder / f"{STATE}.partial"
    torch.save(state, partial)
    partial.replace(folder / STATE)
    partial = folder / f"{AVERAGE}.partial"
    save_file({name: value.contiguous() for name, value in average.items()}, partial)
    partial.replace(folder / AVERAGE)


def load_state(folder: Path, device: torch.device) -> dict[str, Any]:
    """Return what `save_checkpoint` wrote as state, with its tensors on a device."""
    state: dict[str, Any] = torch.load(folder / STATE, weights_only=True, map_location=device)
    return state
