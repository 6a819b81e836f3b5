"""What the tests of the networks share: signals, sensible random weights, sizes, the peers."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

# Tensors are small here, and on a busy machine OpenMP's threads spend their time waiting.
torch.set_num_threads(1)

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)


def peer(name: str) -> ModuleType:
    """A peer's package, or the test is skipped where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ImportError as error:
            pytest.skip(f"compares with the package {name}, see .ci/install-peers ({error})")


def signal(samples: int, rate: int, channels: int = 1, batch: int = 1, seed: int = 0) -> Tensor:
    """Audio [B, C, T]: tones that come and go over noise bursts, different in each channel."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.arange(samples) / rate
    shape = (batch, channels, 1)
    audio = torch.zeros(batch, channels, samples)
    for octave in range(6):
        pitch = 110 * 2**octave * (1 + 0.3 * torch.rand(shape, generator=generator))
        swell = (2 * math.pi * (0.5 + 3 * torch.rand(shape, generator=generator)) * t).sin()
        audio += 0.1 * swell * (2 * math.pi * pitch * t).sin()
    bursts = (2 * math.pi * (1 + 4 * torch.rand(shape, generator=generator)) * t).sin() > 0.7
    return audio + 0.1 * bursts * torch.randn(audio.shape, generator=generator)


def randomise(model: nn.Module, run: Callable[[], Any], seed: int = 0) -> None:
    """Random weights through which a signal neither dies away nor explodes.

    Parameters that all start as 0 or 1 get noise. Then, while ``run`` puts a signal through, each
    linear layer's weights are scaled to an output of standard deviation 0.5.
    """
    generator = torch.Generator().manual_seed(seed)

    def scale(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        gain = 0.5 / float(output.std().clamp_min(1e-6))
        for name in ("weight_g", "parametrizations.weight.original0", "weight"):
            weight = dict(module.named_parameters()).get(name)
            if weight is not None:
                weight.mul_(gain)
                break
        if module.bias is not None:
            module.bias.mul_(gain)
        return output * gain

    with torch.no_grad():
        for parameter in model.parameters():
            if bool((parameter == parameter.flatten()[0]).all()):
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        scaled = (*CONVOLUTIONS, nn.Linear)
        hooks = [m.register_forward_hook(scale) for m in model.modules() if isinstance(m, scaled)]
        run()
        for hook in hooks:
            hook.remove()


def spread(books: Iterable[Tensor], latent: Tensor, seed: int = 0) -> None:
    """Fill Euclidean codebooks [N, D] from the latents [..., D] that they are to code.

    Entries are residuals with some noise, as k-means would have them, so that many are used.
    """
    generator = torch.Generator().manual_seed(seed)
    residual = latent.reshape(-1, latent.shape[-1])
    with torch.no_grad():
        for book in books:
            pick = torch.randint(len(residual), (len(book),), generator=generator)
            noise = torch.randn(book.shape, generator=generator) * residual.std()
            book.copy_(0.8 * residual[pick] + 0.4 * noise)
            residual = residual - book[torch.cdist(residual, book).argmin(-1)]


def parameters(model: nn.Module) -> int:
    """How many numbers there are to learn."""
    return sum(p.numel() for p in model.parameters())


def macs(model: nn.Module, run: Callable[[], Any]) -> int:
    """Multiply-accumulates of the convolutions, recurrences and linear layers in one run."""
    total = 0

    def count(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal total
        x = inputs[0]
        if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d):
            total += x.shape[0] * x[0, 0].numel() * module.weight.numel()
        elif isinstance(module, CONVOLUTIONS):
            total += output.shape[0] * output[0, 0].numel() * module.weight.numel()
        elif isinstance(module, nn.RNNBase):
            weights = sum(p.numel() for n, p in module.named_parameters() if "weight" in n)
            total += x.shape[0] * x.shape[1] * weights
        else:
            total += x.numel() // x.shape[-1] * module.weight.numel()

    kinds = (*CONVOLUTIONS, nn.RNNBase, nn.Linear)
    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, kinds)]
    with torch.inference_mode():
        run()
    for hook in hooks:
        hook.remove()
    return total


def agree(ours: Tensor, theirs: Tensor) -> None:
    """Codes [B, K, F] are the same, but for one in ten thousand (at least one) that may be a tie.

    A tie that falls the other way changes what is left for the later codebooks of its frame,
    so that each frame counts once.
    """
    assert ours.shape == theirs.shape
    assert ours.dtype == torch.int64
    flipped = int((ours != theirs).any(dim=1).sum())
    assert flipped <= max(1, ours.numel() // 10_000), f"{flipped} of {ours[:, 0].numel()} frames"
