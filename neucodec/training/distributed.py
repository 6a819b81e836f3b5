"""Let several processes train one codec, as ``torchrun`` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def rank() -> int:
    """Return which of the processes this is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """Return how many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def processes() -> Iterator[None]:
    """Let processes know of each other meanwhile, where ``torchrun`` has started several."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def parallel(module: nn.Module) -> nn.Module:
    """Return a module whose gradients are averaged over all processes whenever they are worked
    out.
    """
    if world() == 1:
        return module
    return DistributedDataParallel(module, broadcast_buffers=False, find_unused_parameters=True)


def average(tensors: Iterable[Tensor]) -> None:
    """Replace tensors by their mean over all processes."""
    for tensor in tensors:
        dist.all_reduce(tensor)
        tensor /= world()


def from_first(tensors: Iterable[Tensor]) -> None:
    """Replace tensors by what the first process has."""
    for tensor in tensors:
        dist.broadcast(tensor, 0)


def any_of(flag: bool, device: torch.device) -> bool:
    """Tell whether something is true in any process."""
    if world() == 1:
        return flag
    votes = torch.tensor(float(flag), device=device)
    dist.all_reduce(votes)
    return bool(votes > 0)
