"""Prepare a codec's network for training: check the recipe's names, load weights, freeze parts."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from neucodec.errors import NeucodecError
from neucodec.models.parts.precision import PRECISIONS

from .codecs import system_of
from .codecs.quantisers import followers, running
from .codecs.system import System
from .optimisers import OPTIMISERS, optimisers
from .recipe import Recipe


def check_names(recipe: Recipe, system: System) -> None:
    """Raise NeucodecError where a recipe names a loss, part, precision or optimiser that the system
    does not have, or trains a part alone without weights for the others."""
    groups = {system.GROUPS.get(name, name) for name in system.WEIGHTS}
    parts = [name for name, _ in system.network.named_children()]
    for what, given, known in (
        ("weights", recipe.weights, list(system.WEIGHTS)),
        ("shares", recipe.shares, sorted(groups)),
        ("train_only", [recipe.train_only] if recipe.train_only else [], parts),
        ("precision", [recipe.precision], PRECISIONS),
        ("optimiser", [recipe.optimiser], list(OPTIMISERS)),
    ):
        for name in given:
            if name not in known:
                raise NeucodecError(f"{what} {name!r}: there are {', '.join(known)}")
    if recipe.train_only and not recipe.start:
        raise NeucodecError("train_only needs the weights of the rest: give start")


def load_start(recipe: Recipe, system: System) -> None:
    """Load the weights that the recipe starts from: of another run, or of an exported codec.

    Codebooks that follow the points they win begin with each entry counted once. Raises
    NeucodecError where the weights do not fit.
    """
    path = Path(recipe.start).expanduser()
    try:
        state = {name: value.float() for name, value in load_file(path).items()}
        system.network.load_state_dict(state)
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise NeucodecError(f"start {path}: does not fit {recipe.system}: {reason}") from None
    for book in followers(system.network):
        counts, sums, entries = running(book)
        counts.fill_(1.0)
        sums.copy_(entries)


def make_twin(recipe: Recipe, network: nn.Module, device: torch.device) -> nn.Module:
    """Return a second network with the same weights, which holds averages and never learns."""
    twin = system_of(recipe)
    twin.weight_norm()
    twin.network.load_state_dict(network.state_dict())
    return twin.network.to(device).requires_grad_(False).eval()


def freeze(recipe: Recipe, network: nn.Module) -> list[nn.Module]:
    """Stop gradients of all parts but the one that alone is to learn, and return those parts."""
    only = recipe.train_only
    frozen = [part for name, part in network.named_children() if only and name != only]
    for part in frozen:
        part.requires_grad_(False)
    return frozen


def make_optimisers(recipe: Recipe, network: nn.Module) -> list[torch.optim.Optimizer]:
    """Return the optimisers of a network's parameters.

    Weights decay, but not vectors and codebook entries. Muon, where the recipe has it, takes the
    matrices and two-dimensional kernels outside the quantiser.
    """
    muon = recipe.optimiser == "muon"
    return optimisers(
        network.named_parameters(),
        inner=lambda name, p: muon and p.dim() in (2, 4) and "quantiser" not in name,
        plain=lambda name, p: p.dim() < 2 or "entries" in name,
        rate=recipe.learning_rate,
        betas=(recipe.betas[0], recipe.betas[1]),
        decay=recipe.weight_decay,
    )
