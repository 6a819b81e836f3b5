"""SpecTokenizer (Interspeech 2025): its paper has a reconstruction loss over the compressed
spectrum, DAC's discriminators, feature matching and commitment, and gives no weights for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from neucodec.models.catalogue.card import Card
from neucodec.models.families.spectokenizer.network import SpecTokenizer, SpecTokenizerConfig
from neucodec.models.families.spectokenizer.parts import TIME, Conv, ConvTranspose, Recurrent
from neucodec.models.parts.phase import Phases
from neucodec.models.parts.snake import Snake
from neucodec.models.parts.trained_rvq import principal_axes
from neucodec.training.losses.disturbance import Disturbance
from neucodec.training.losses.mel import MelDistance
from neucodec.training.losses.spectral import SpectralLoss
from neucodec.training.recipe import Recipe

from .chunked import ChunkedSystem
from .system import configured, count_parameters

NOISE = 0.05
"""Standard deviation of what a kernel begins with beside its share of the identity, times the root
of the size of one of its slices."""
ALPHA = 0.01
"""What Snakes begin with: so small, they pass what comes almost as it is."""
LIFT = 1.4
"""How much larger than parts of complex numbers magnitudes are in the latent: the more, the better
the bottleneck and the codebooks keep them."""
FLOOR = 0.01
"""Of magnitudes in the distance, at unit level."""


@torch.no_grad()
def start_as_identity(network: SpecTokenizer) -> None:
    """Have a network that skips its recurrences begin by reproducing its input.

    Every stage has room for the two bins of the stage before that it puts into one position, as
    channels of their own; the rest begins near nothing. Of random weights ten layers hand on next
    to nothing of a phase, and a thousand steps of gradient descent do not change that.
    """
    encoder, decoder, config = network.encoder, network.decoder, network.config
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=NOISE / module.weight[0].numel() ** 0.5)
            nn.init.zeros_(cast(Tensor, module.bias))
        elif isinstance(module, Recurrent):
            nn.init.zeros_(module.mix.weight)
            nn.init.zeros_(module.mix.bias)
        elif isinstance(module, Snake):
            nn.init.constant_(module.alpha, ALPHA)
    # The middle two of four bins are a position's own; of the frames the encoder's kernels have
    # the current one last, the decoder's, which are transposed, first.
    own, now = (1, 2), TIME - 1
    numbers, magnitudes = config.parts
    real, imaginary = 0, numbers // 2
    for k, tap in enumerate(own):
        encoder.input.conv.weight[real + k, 0, now, tap] = 1
        decoder.output.conv.weight[real + k, 0, 0, tap] = 1
        if encoder.magnitudes is not None and decoder.magnitudes is not None:
            encoder.magnitudes.conv.weight[k, 0, now, tap] = LIFT
            decoder.magnitudes.conv.weight[k, 0, 0, tap] = 1 / LIFT
    used = [real, real + 1, imaginary, imaginary + 1]
    if magnitudes:
        used += [numbers, numbers + 1]
    convolutions = [m for m in encoder.stages.modules() if isinstance(m, Conv)]
    transposed = [m for m in decoder.stages.modules() if isinstance(m, ConvTranspose)]
    stages = zip(convolutions, reversed(transposed), config.channels[1:], strict=True)
    for coding, decoding, width in stages:
        pairs = [(channel, tap) for channel in used for tap in own][:width]
        for place, (channel, tap) in enumerate(pairs):
            coding.conv.weight[place, channel, now, tap] = 1
            decoding.conv.weight[place, channel, 0, tap] = 1
        used = list(range(len(pairs)))


class SpecTokenizerSystem(ChunkedSystem):
    """Trains either size, in the use that codes chunks by themselves."""

    WEIGHTS: ClassVar = {
        "mel": 5.0, "compressed": 10.0, "complex": 0.0, "disturbance": 0.0,
        "commitment": 0.25, "adversarial": 1.0, "features": 2.0,
    }  # fmt: skip
    GROUPS: ClassVar = dict.fromkeys(("mel", "compressed", "complex"), "spectral")

    network: SpecTokenizer

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.config = configured(SpecTokenizerConfig, recipe.model)
        self.network = SpecTokenizer(self.config)
        if self.config.skip and not self.config.narrow:
            start_as_identity(self.network)
        self.mel = MelDistance(recipe.sample_rate)
        phases_to = (self.config.phase_bins or self.config.hop) / self.config.hop
        self.spectral = SpectralLoss(recipe.sample_rate, recipe.least_coherence, phases_to)
        self.disturbance = Disturbance(recipe.sample_rate) if self.weights["disturbance"] else None
        self.codebooks, self.hop = self.config.codebooks, self.config.hop
        self.context = self.hop // 2

    def analyse(self, chunks: Tensor) -> Tensor:
        """Turn chunks [N, width] into latents [N, F, D]."""
        return self.network.analyse(chunks[:, None])

    def synthesise(self, latent: Tensor) -> Tensor:
        """Turn latents [N, F, D] into chunks [N, width], ready to overlap-add."""
        noisy = self.config.phase_bins and self.training
        start = Phases.anywhere(latent) if noisy else None
        return self.network.synthesise(latent, start=start)[:, 0]

    @torch.no_grad()
    def begin(self, batch: Callable[[int], Tensor]) -> None:
        """Have the bottleneck begin with the principal components of the latent."""
        encoder = self.network.encoder
        down, up = encoder.project, self.network.decoder.project
        if not (isinstance(down, nn.Linear) and isinstance(up, nn.Linear)):
            return
        encoder.project = nn.Identity()
        latents = torch.cat([self._latents(batch(number)) for number in range(4)])
        encoder.project = down
        mean, axes = principal_axes(latents, down.out_features)
        down.weight.copy_(axes.T)
        down.bias.copy_(-mean @ axes)
        up.weight.copy_(axes)
        up.bias.copy_(mean)

    def distances(
        self, reference: Tensor, decoded: Tensor, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Those that have a weight: DAC's mel distance, or with a complex distance the two of
        `SpectralLoss` in a few windows; the distance of compressed spectra; PESQ's disturbance."""
        losses = {}
        if self.weights["complex"]:
            windows = self.spectral.draw(rng)
            mel, phase = self.spectral(reference[:, 0], decoded[:, 0], windows)
            losses = {"mel": mel, "complex": phase}
        elif self.weights["mel"]:
            losses["mel"] = self.mel(reference, decoded)
        if self.weights["compressed"]:
            losses["compressed"] = self._distance(reference, decoded)
        if self.disturbance:
            losses["disturbance"] = self.disturbance(reference[:, 0], decoded[:, 0])
        return losses

    def _distance(self, reference: Tensor, decoded: Tensor) -> Tensor:
        """Between the spectra that the network itself works on the mean of two squared distances
        over the reference's power: as complex numbers, and of their sizes alone, which a network
        that is not sure of a phase would else make too small."""
        whole = reference.shape[-1] // self.hop * self.hop
        wanted, got = (self._compressed(audio[..., :whole]) for audio in (reference, decoded))
        power = wanted.abs().square().mean().clamp_min(1e-4)  # perhaps it is silent
        phase = (wanted - got).abs().square().mean() / power
        size = (wanted.abs() - got.abs()).square().mean() / power
        return (phase + size) / 2

    def _compressed(self, audio: Tensor) -> Tensor:
        """The network's spectrum, but that what is 40 dB below the signal's level is compressed no
        further: the gradient of a root has no bounds."""
        spectrum = self.network.transform(audio)
        power = spectrum.real.square() + spectrum.imag.square()
        return spectrum * (power + FLOOR**2).pow(-0.25)

    def card(self, name: str, title: str) -> Card:
        """Return the card of the trained network, weights aside."""
        return Card(
            name=name,
            family="spectokenizer",
            title=title,
            sample_rate=self.recipe.sample_rate,
            channels=1,
            hop=self.hop,
            codebooks=self.codebooks,
            codebook_size=self.config.codebook_size,
            default_codebooks=self.codebooks,
            chunk_strategy="overlap",
            chunk_frames=self.recipe.frames,
            chunk_stride=self.stride,
            chunk_context=self.context,
            layer_gain=15,
            parameters=count_parameters(self.network),
            license_code="MIT",
            license_weights="your own",
            paper="Interspeech 2025",
            config=asdict(self.config),
        )
