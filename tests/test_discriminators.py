"""Discriminators, their losses, and the balance between losses."""

from typing import Any

import pytest
import torch
from networks import peer

from neucodec.training.discriminators import Features
from neucodec.training.discriminators.bands import BandDiscriminator
from neucodec.training.discriminators.patches import PatchDiscriminators
from neucodec.training.discriminators.period import PeriodDiscriminator
from neucodec.training.discriminators.scale import ScaleDiscriminators
from neucodec.training.discriminators.stft import StftDiscriminators
from neucodec.training.losses.adversarial import (
    feature_matching,
    hinge_discriminator,
    hinge_generator,
    relative_feature_matching,
    squares_discriminator,
    squares_generator,
    verdicts,
)
from neucodec.training.losses.balancer import Balancer


def test_hinge_asks_no_more_than_a_margin_of_one() -> None:
    sure, wrong = [torch.full((2, 3), 1.5)], [torch.full((2, 3), -1.5)]
    assert hinge_discriminator(sure, wrong) == 0
    assert hinge_discriminator(wrong, sure) == 5
    assert hinge_generator(sure) == 0 and hinge_generator(wrong) == 2.5


def test_least_squares_pull_to_one_and_to_zero() -> None:
    one, zero = [torch.ones(2, 3)] * 2, [torch.zeros(2, 3)] * 2
    assert squares_discriminator(one, zero) == 0 and squares_discriminator(zero, one) == 4
    assert squares_generator(one) == 0 and squares_generator(zero) == 2


def test_relative_features_do_not_care_for_scale() -> None:
    torch.manual_seed(0)
    real = [[torch.randn(2, 4, 8), torch.randn(2, 1)]]
    decoded = [[layer + 0.1 * torch.randn_like(layer) for layer in real[0]]]
    scaled = [[[10 * layer for layer in net] for net in nets] for nets in (real, decoded)]
    torch.testing.assert_close(
        relative_feature_matching(*scaled), relative_feature_matching(real, decoded)
    )
    torch.testing.assert_close(feature_matching(*scaled), 10 * feature_matching(real, decoded))


def test_balanced_losses_have_their_share_of_the_gradient_whatever_their_scale() -> None:
    decoded = torch.zeros(2, 4, requires_grad=True)
    for scale in (1.0, 1000.0):
        balancer = Balancer({"up": 3.0, "down": 1.0})
        losses = {"up": -decoded.sum(), "down": scale * decoded.sum()}
        gradient = balancer.combine(losses, decoded)
        # Each item's gradient is 4 equal parts of norm 1, of which 3/4 - 1/4 remain.
        torch.testing.assert_close(gradient, torch.full((2, 4), -0.25))


def test_a_balancer_goes_on_from_its_state() -> None:
    decoded = torch.zeros(2, 4, requires_grad=True)
    whole, parts = Balancer({"a": 1.0}), Balancer({"a": 1.0})
    whole.combine({"a": decoded.sum()}, decoded)
    parts.restore(whole.state())
    later = {"a": 5 * decoded.sum()}
    torch.testing.assert_close(whole.combine(later, decoded), parts.combine(later, decoded))


def test_patches_learn_to_tell_a_comb_of_lines_from_noise() -> None:
    """What spectral losses take for noise: one short pattern over and over."""
    torch.manual_seed(0)
    networks = PatchDiscriminators([2048], [16, 16, 16])
    optimiser = torch.optim.AdamW(networks.parameters(), 3e-3)
    for _ in range(60):
        noise, comb = torch.randn(4, 1, 16384), torch.randn(4, 1, 512).repeat(1, 1, 32)
        real, decoded = ([f[-1] for f in networks(x)] for x in (noise, comb))
        loss = hinge_discriminator(real, decoded)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.2


def test_patches_refuse_bands_that_cannot_be_halved() -> None:
    with pytest.raises(ValueError, match="cannot be halved 4 times"):
        PatchDiscriminators([128], [8, 8, 8, 8, 8])


def same_weights(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    """Both keep bias, length and direction of each weight-normed layer, in the same order."""
    with torch.no_grad():
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.copy_(other)


def assert_same_features(ours: Features, theirs: Features) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        for layer, peers in zip(mine, other, strict=True):
            torch.testing.assert_close(layer, peers, atol=1e-5, rtol=1e-4)


def test_period_and_band_discriminators_are_dacs() -> None:
    module = peer("dac.model.discriminator")
    torch.manual_seed(0)
    audio = torch.randn(2, 1, 5000) * 0.3
    for ours, theirs in (
        (PeriodDiscriminator(3), module.MPD(3)),
        (PeriodDiscriminator(5), module.MPD(5)),  # 5000 is a multiple of 5
        (BandDiscriminator(512), module.MRD(512)),
        (BandDiscriminator(2048), module.MRD(2048)),
    ):
        same_weights(ours, theirs)
        assert_same_features([ours(audio)], [theirs(audio)])


def test_stft_discriminators_are_encodecs() -> None:
    module = peer("encodec.msstftd")
    torch.manual_seed(0)
    for channels in (1, 2):
        ours = StftDiscriminators(8, channels=channels)
        theirs = module.MultiScaleSTFTDiscriminator(8, in_channels=channels)
        same_weights(ours, theirs)
        audio = torch.randn(2, channels, 6000)
        logits, maps = theirs(audio)
        expected = [[*m, logit] for m, logit in zip(maps, logits, strict=True)]
        assert_same_features(ours(audio), expected)


def test_scales_see_ever_slower_audio() -> None:
    features = ScaleDiscriminators(16)(torch.randn(2, 1, 4096))
    assert [net[0].shape[-1] for net in features] == [4096, 2049, 1025]
    assert all(net[-1].shape[:2] == (2, 1) for net in features)
    assert [len(net) for net in features] == [8, 8, 8]


def test_adversarial_losses_are_dacs() -> None:
    losses = peer("dac.nn.loss")
    torch.manual_seed(0)
    real, decoded = ([[torch.randn(2, 4, 9), torch.randn(2, 1, 9)] for _ in "ab"] for _ in "cd")

    class Fixed(losses.GANLoss):  # type: ignore[name-defined, misc]
        def forward(self, fake: Any, true: Any) -> Any:
            return decoded, real

    fixed, nothing = Fixed(None), torch.zeros(1)
    expected = fixed.discriminator_loss(nothing, nothing)
    torch.testing.assert_close(squares_discriminator(verdicts(real), verdicts(decoded)), expected)
    generator, features = fixed.generator_loss(nothing, nothing)
    torch.testing.assert_close(squares_generator(verdicts(decoded)), generator)
    torch.testing.assert_close(feature_matching(real, decoded), features)
