"""Compute adversarial losses from a discriminator's verdicts, for it and for the generator."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from neucodec.training.discriminators import Features

Verdicts = list[Tensor]
"""The verdict of each network, of any shape: large where it takes the audio for real."""


def verdicts(features: Features) -> Verdicts:
    """Return the verdict of each network, which is its last layer."""
    return [layers[-1] for layers in features]


def hinge_discriminator(real: Verdicts, decoded: Verdicts) -> Tensor:
    """Return the mean over networks of max(0, 1 - D(x)) + max(0, 1 + D(x')).

    That is EnCodec's loss (section 3.4).
    """
    terms = [
        (1 - r).relu().mean() + (1 + d).relu().mean() for r, d in zip(real, decoded, strict=True)
    ]
    return torch.stack(terms).mean()


def hinge_generator(decoded: Verdicts) -> Tensor:
    """Return the mean over networks of max(0, 1 - D(x')) (EnCodec, section 3.4)."""
    return torch.stack([(1 - d).relu().mean() for d in decoded]).mean()


def squares_discriminator(real: Verdicts, decoded: Verdicts) -> Tensor:
    """Return the sum over networks of (1 - D(x))^2 + D(x')^2.

    These are the least squares of HiFi-GAN and DAC.
    """
    terms = [
        (1 - r).square().mean() + d.square().mean() for r, d in zip(real, decoded, strict=True)
    ]
    return torch.stack(terms).sum()


def squares_generator(decoded: Verdicts) -> Tensor:
    """Return the sum over networks of (1 - D(x'))^2."""
    return torch.stack([(1 - d).square().mean() for d in decoded]).sum()


LOSSES: dict[str, tuple[Callable[[Verdicts, Verdicts], Tensor], Callable[[Verdicts], Tensor]]] = {
    "hinge": (hinge_discriminator, hinge_generator),
    "squares": (squares_discriminator, squares_generator),
}
"""The discriminator's loss and the generator's, by the name that recipes use."""


def feature_matching(real: Features, decoded: Features) -> Tensor:
    """Return the sum of L1 distances of features over all layers but the last (DAC, HiFi-GAN)."""
    terms = [F.l1_loss(d, r.detach()) for r, d in _layers(real, decoded)]
    return torch.stack(terms).sum()


def relative_feature_matching(real: Features, decoded: Features) -> Tensor:
    """Return the L1 distances of features, each over the mean magnitude of the real ones, averaged
    over layers but the last (EnCodec, equation 2)."""
    terms = [F.l1_loss(d, r.detach()) / r.detach().abs().mean() for r, d in _layers(real, decoded)]
    return torch.stack(terms).mean()


FEATURES: dict[str, Callable[[Features, Features], Tensor]] = {
    "absolute": feature_matching,
    "relative": relative_feature_matching,
}
"""The distances of features, by the name that recipes use."""


def _layers(real: Features, decoded: Features) -> list[tuple[Tensor, Tensor]]:
    """Return the pairs of real and decoded features of all layers but the last of each network."""
    return [
        (r.float(), d.float())
        for rs, ds in zip(real, decoded, strict=True)
        for r, d in zip(rs[:-1], ds[:-1], strict=True)
    ]
