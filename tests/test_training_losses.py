"""Distances and quantisers in training, against their definitions and the peers' packages."""

from __future__ import annotations

import math

import pytest
import torch
from networks import peer
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from neucodec.models.parts.published_rvq import CosineCodebook, EuclideanCodebook
from neucodec.training.codecs.quantisers import (
    FollowingQuantiser,
    learn_by_gradient,
    learn_factorised,
)
from neucodec.training.losses.mel import EncodecMelDistance, MelDistance, Scale
from neucodec.training.losses.spectral import mel_filters


def test_the_mel_distance_is_dacs(monkeypatch: pytest.MonkeyPatch) -> None:
    losses, audiotools = peer("dac.nn.loss"), peer("audiotools")

    def filters(sr: int, n_fft: int, n_mels: int, fmin: float = 0, fmax: None = None) -> object:
        return mel_filters(sr, n_fft, n_mels).numpy()  # librosa's, for which it asks, are Slaney's

    monkeypatch.setattr(audiotools.AudioSignal, "get_mel_filters", staticmethod(filters))
    theirs = losses.MelSpectrogramLoss(
        n_mels=[5, 10, 20, 40, 80, 160, 320],
        window_lengths=[32, 64, 128, 256, 512, 1024, 2048],
        mel_fmin=[0.0] * 7,
        mel_fmax=[None] * 7,
        pow=1.0,
        clamp_eps=1e-5,
        mag_weight=0.0,
    )
    torch.manual_seed(0)
    reference = 0.1 * torch.randn(2, 1, 16000)
    decoded = reference + 0.05 * torch.randn(2, 1, 16000)
    expected = theirs(*(audiotools.AudioSignal(x, 44100) for x in (decoded, reference)))
    torch.testing.assert_close(MelDistance(44100)(reference, decoded), expected)


def test_equal_signals_are_no_mel_distance_apart() -> None:
    audio = torch.randn(1, 2, 8000)
    assert MelDistance(24000)(audio, audio) == 0
    assert EncodecMelDistance(24000)(audio, audio) < 1e-5
    # A factor of ten at each of two scales, weighed.
    distance = MelDistance(24000, [Scale(512, 40, 3.0), Scale(256, 20)])
    assert distance(audio, 10 * audio) == pytest.approx(4, rel=1e-3)


def test_encodecs_mel_distance_is_equation_1() -> None:
    torch.manual_seed(0)
    reference, decoded = 0.1 * torch.randn(2, 1, 1, 6000)
    total = 0.0
    for power in range(5, 12):
        size = 2**power
        window = torch.hann_window(size)
        filters = mel_filters(24000, size, 64)
        mels = [
            filters
            @ torch.stft(x[0], size, size // 4, window=window, return_complex=True).abs()
            / window.square().sum().sqrt()
            for x in (reference, decoded)
        ]
        logs = [m.clamp_min(1e-5).log() for m in mels]
        total += float((mels[0] - mels[1]).abs().mean())
        total += float((logs[0] - logs[1]).square().mean().sqrt())
    assert float(EncodecMelDistance(24000)(reference, decoded)) == pytest.approx(
        total / 14, rel=1e-4
    )


def books(count: int, size: int = 32, dim: int = 8) -> list[EuclideanCodebook]:
    torch.manual_seed(1)
    made = [EuclideanCodebook(size, dim) for _ in range(count)]
    for k, book in enumerate(made):
        nn.init.normal_(book.entries, std=0.7**k)
    return made


def test_following_codebooks_are_encodecs() -> None:
    """Codes, distance and where entries go, but for its restarts, which it overwrites at once."""
    core = peer("encodec.quantization.core_vq")
    ours = FollowingQuantiser(books(3), least=0.0)
    theirs = core.ResidualVectorQuantization(
        num_quantizers=3, dim=8, codebook_size=32, kmeans_init=False, threshold_ema_dead_code=0
    ).train()
    for book, layer in zip(ours.books, theirs.layers, strict=True):
        inner = layer._codebook
        for mine, other in ((book.entries, "embed"), (book.entries, "embed_avg")):
            getattr(inner, other).copy_(mine.detach())
        inner.cluster_size.fill_(1.0)
        book.counts.fill_(1.0)
        book.sums.copy_(book.entries)
    for seed in range(3):
        torch.manual_seed(seed)
        latent = torch.randn(4, 50, 8)
        learnt = ours.learn(latent, 3)
        quantised, _, distances = theirs(latent.transpose(1, 2))
        torch.testing.assert_close(learnt.latent, quantised.transpose(1, 2))
        torch.testing.assert_close(learnt.commitment, distances.mean())
        for book, layer in zip(ours.books, theirs.layers, strict=True):
            torch.testing.assert_close(book.entries.detach(), layer._codebook.embed)


def test_following_codebooks_start_from_their_points_and_revive() -> None:
    torch.manual_seed(0)
    quantiser = FollowingQuantiser(books(1, size=16))
    latent = 5 + torch.randn(4, 100, 8)
    first = quantiser.learn(latent, 1).commitment
    assert first < 1.5 * latent.var()
    quantiser.books[0].entries[8:] = 1e6
    quantiser.books[0].sums[8:] = 1e6
    quantiser.books[0].counts[8:] = 1.0
    for _ in range(5):
        quantiser.learn(latent, 1)
    assert quantiser.books[0].entries.abs().max() < 100


def test_gradients_pass_straight_through_following_codebooks() -> None:
    latent = torch.randn(2, 20, 8, requires_grad=True)
    learnt = FollowingQuantiser(books(2)).learn(latent, 2)
    weight = torch.randn_like(latent)
    (gradient,) = torch.autograd.grad((learnt.latent * weight).sum(), latent)
    torch.testing.assert_close(gradient, weight)


def test_factorised_codebooks_are_dacs() -> None:
    """Latent, both distances and their gradients, with weight norm as it is there."""
    quantise = peer("dac.nn.quantize")
    torch.manual_seed(0)
    theirs = quantise.ResidualVectorQuantize(16, 3, 32, 4).train()
    chain = [CosineCodebook(32, 4, 16) for _ in range(3)]
    with torch.no_grad():
        for mine, other in zip(chain, theirs.quantizers, strict=True):
            for name, conv in (("down", other.in_proj), ("up", other.out_proj)):
                linear = getattr(mine, name)
                linear.weight.copy_(conv.weight[..., 0])
                linear.bias.copy_(conv.bias)
                weight_norm(linear)
            mine.entries.copy_(other.codebook.weight)
    latent = torch.randn(2, 20, 16, requires_grad=True)
    learnt = learn_factorised(chain, latent, torch.tensor([3, 3]))
    quantised, _, _, commitment, codebook = theirs(latent.transpose(1, 2))
    torch.testing.assert_close(learnt.latent, quantised.transpose(1, 2))
    assert learnt.codebook is not None
    torch.testing.assert_close(learnt.commitment, commitment)
    torch.testing.assert_close(learnt.codebook, codebook)

    ours = learnt.latent.sum() + 0.25 * learnt.commitment + learnt.codebook
    peers = quantised.sum() + 0.25 * commitment + codebook
    for mine, other in zip(
        torch.autograd.grad(ours, [latent, *(book.entries for book in chain)]),
        torch.autograd.grad(peers, [latent, *(q.codebook.weight for q in theirs.quantizers)]),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)


def test_items_that_drop_codebooks_get_only_their_part() -> None:
    torch.manual_seed(0)
    chain = [CosineCodebook(32, 4, 16) for _ in range(3)]
    for book in chain:
        nn.init.normal_(book.entries)
    latent = torch.randn(2, 10, 16)
    mixed = learn_factorised(chain, latent, torch.tensor([1, 3])).latent
    for item, count in enumerate((1, 3)):
        alone = learn_factorised(chain, latent[item : item + 1], torch.tensor([count])).latent
        torch.testing.assert_close(mixed[item : item + 1], alone)


def test_codebooks_that_learn_by_gradient_come_closer_to_their_points() -> None:
    chain = books(2)
    optimiser = torch.optim.Adam([b.entries for b in chain], 0.05)
    torch.manual_seed(0)
    latent = torch.randn(4, 50, 8)
    distances = []
    for _ in range(40):
        learnt = learn_by_gradient(chain, latent)
        assert learnt.codebook is not None
        optimiser.zero_grad()
        learnt.codebook.backward()
        optimiser.step()
        distances.append(float(learnt.codebook))
    assert distances[-1] < 0.7 * distances[0] and math.isfinite(distances[-1])
