"""Neu: the network of the embedded codecs. Frame-rate ConvNeXt on the compressed spectrum.

The sequence of frames never leaves the STFT's own rate, as in Vocos (arXiv 2306.00814), and the
analysis is of power-compressed spectra, as in SpecTokenizer (Interspeech 2025).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neucodec.models.parts.phase import Phases
from neucodec.models.parts.spectrum import Spectrum
from neucodec.models.parts.trained_rvq import Quantised, ResidualQuantiser

from .bands import Bands
from .limiter import limit


@dataclass(frozen=True)
class NeuConfig:
    """Constructor arguments, as they stand on the card."""

    window: int = 2048
    """Samples of a spectrum's window: four hops."""
    hop: int = 512
    """Samples from one spectrum to the next."""
    phase_bins: int = 256
    """How many of the lowest bins show their phase to the encoder."""
    encoder_width: int = 256
    """Channels of the encoder's blocks."""
    encoder_blocks: int = 5
    decoder_width: int = 288
    """Channels of the decoder's blocks."""
    decoder_blocks: int = 7
    expansion: int = 3
    """Width of a block's inner layer, as a multiple of its channels."""
    latent: int = 256
    """Dimensions of the latent."""
    codebooks: int = 16
    codebook_size: int = 1024
    """How many entries each codebook has."""
    codebook_dim: int = 8
    """Dimensions of an entry."""
    decoder_phase_bins: int = 0
    """How many of the lowest bins get their phase from the decoder; the others get noise, see
    `neucodec.models.parts.phase`. 0: all bins get theirs from the decoder."""
    bands: int = 0
    """In how many `Bands` encoder and decoder have magnitudes; 0: in every bin."""
    stack: int = 1
    """How many spectra, ``hop`` apart, are in one frame of codes."""
    fade_frames: int = 0
    """How many frames adjacent chunks share, fading from one to the other: the outermost frames of
    a chunk, which the decoder sees without a neighbour, count least."""


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution over time, layer norm, two-layer MLP, scaled residual.

    As in ConvNeXt (arXiv 2201.03545) reduced to one dimension; tensors are [B, F, C].
    """

    def __init__(self, width: int, expansion: int, scale: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, expansion * width)
        self.reduce = nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """Turn frames [B, F, C] into frames of the same shape."""
        y = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        y = self.reduce(F.gelu(self.expand(self.norm(y))))
        return x + self.scale * y


class Trunk(nn.Module):
    """Linear input, a stack of blocks, a final layer norm and a linear output, over frames."""

    def __init__(self, inputs: int, width: int, blocks: int, outputs: int, expansion: int) -> None:
        super().__init__()
        self.input = nn.Linear(inputs, width)
        self.input_norm = nn.LayerNorm(width)
        self.blocks = nn.Sequential(
            *(ConvNeXtBlock(width, expansion, 1 / blocks) for _ in range(blocks))
        )
        self.output_norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Turn frames [B, F, inputs] into frames [B, F, outputs]."""
        x = self.blocks(self.input_norm(self.input(x)))
        out: Tensor = self.output(self.output_norm(x))
        return out


class Neu(nn.Module):
    """Mono codec network: chunks of audio at unit level to codes and back.

    A frame is ``hop`` samples: one spectrum, or as many as the configuration stacks. A chunk of
    ``F`` frames is ``F * hop`` new samples with ``context`` real samples on either
    side, since the outermost windows reach beyond the chunk. Synthesis covers the same
    ``F * hop + 2 * context`` samples; adding the overlapping ends of adjacent chunks together
    is exactly the overlap-add between any two frames, so a seam is no different from a hop.
    """

    rise: Tensor

    def __init__(self, config: NeuConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or NeuConfig()
        bins = c.window // 2 + 1
        if c.stack < 1:
            raise ValueError(f"{c.stack} spectra in a frame: give 1 or more")
        self.hop = c.hop * c.stack
        self.context = (c.window - c.hop) // 2
        self.spectrum = Spectrum(c.window, c.hop)
        self.bands = Bands(bins, c.bands) if c.bands else None
        levels = c.bands or bins
        fading = c.fade_frames * c.stack
        steps = (torch.arange(fading, device="cpu") + 0.5) / max(1, fading)
        self.register_buffer("rise", (steps * torch.pi / 2).sin().square(), persistent=False)
        self.encoder = Trunk(
            c.stack * (levels + 2 * c.phase_bins),
            c.encoder_width,
            c.encoder_blocks,
            c.latent,
            c.expansion,
        )
        self.quantiser = ResidualQuantiser(c.latent, c.codebooks, c.codebook_size, c.codebook_dim)
        self.phases = Phases(bins, c.decoder_phase_bins or bins)
        self.parts = [levels, self.phases.given, self.phases.given]
        outputs = c.stack * sum(self.parts)
        self.decoder = Trunk(c.latent, c.decoder_width, c.decoder_blocks, outputs, c.expansion)

    def features(self, audio: Tensor) -> Tensor:
        """Turn audio [B, F * hop + 2 * context] into what the encoder sees, see `describe`."""
        spectrum = self.spectrum.analyse(audio)
        return self.describe(spectrum.real, spectrum.imag)

    def describe(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """Turn both parts of spectra [B, F * stack, bins] into the encoder's features.

        They are [B, F, stack * (levels + 2 * phase_bins)]: the log magnitude of every bin or band,
        then the complex spectrum of the low bins with its magnitude raised to 0.3. So the encoder
        sees what the ear hears, and the phase where bits can be spent on it.
        """
        power = real.square() + imaginary.square()
        low = slice(self.config.phase_bins)
        scale = power[..., low].clamp_min(1e-12).pow(-0.35)
        magnitude = self.bands.magnitudes(power) if self.bands else power.sqrt()
        level = 0.3 * (magnitude + 1e-4).log() + 1.0
        features = torch.cat([level, real[..., low] * scale, imaginary[..., low] * scale], dim=-1)
        return features.reshape(features.shape[0], -1, self.config.stack * features.shape[-1])

    def analyse(self, audio: Tensor) -> Tensor:
        """Turn audio [B, F * hop + 2 * context] into the latent [B, F, D] before quantisation."""
        latent: Tensor = self.encoder(self.features(audio))
        # Bounded, so that codebooks need not chase a latent that grows.
        return F.layer_norm(latent, latent.shape[-1:])

    def synthesise(self, latent: Tensor, start: Tensor | None = None) -> Tensor:
        """Turn a latent [B, F, D] into windowed audio [B, F * hop + 2 * context], to overlap-add.

        ``start`` is as `Phases` takes it.
        """
        magnitude, x, y = self.spectra(latent)
        x, y = self.phases(x, y, start)
        return self.spectrum.synthesise(torch.complex(magnitude * x, magnitude * y))

    def spectra(self, latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Turn a latent [B, F, D] into magnitudes and directions of spectra.

        Magnitudes [B, F * stack, bins] are weighted by `frame_weights`. The two parts of the lowest
        bins' directions [B, F * stack, given] are of any length.
        """
        decoded = self.decoder(latent).float().reshape(latent.shape[0], -1, sum(self.parts))
        level, x, y = torch.split(decoded, self.parts, dim=-1)
        if self.bands:
            level = self.bands.bins(level)
        # exp(7) is above the largest bin of any signal at unit RMS (sqrt(window) at most 45).
        magnitude = (level * 3.0).clamp(max=7.0).exp()
        return magnitude * self.frame_weights(level.shape[1])[:, None], x, y

    def frame_weights(self, frames: int) -> Tensor:
        """Return the weight [F] of each spectrum of a chunk where chunks are added together."""
        place = torch.arange(frames, device=self.rise.device)
        weights = torch.ones_like(place, dtype=self.rise.dtype)
        for k in range(len(self.rise)):  # without slices: exported, it takes any number of frames
            for end in (k, frames - 1 - k):
                weights = torch.where(place == end, weights * self.rise[k], weights)
        return weights

    def encode(self, audio: Tensor, codebooks: int) -> Tensor:
        """Encode audio [B, F * hop + 2 * context] to codes [B, codebooks, F] (int64)."""
        return self.quantiser.encode(self.analyse(audio), codebooks)

    def decode(self, codes: Tensor) -> Tensor:
        """Decode codes [B, K, F] to windowed audio [B, F * hop + 2 * context]."""
        audio = self.synthesise(self.quantiser.decode(codes), Phases.start(codes))
        return limit(audio, self.config.hop)

    def forward(self, audio: Tensor, counts: Tensor | None) -> tuple[Tensor, Quantised | None]:
        """Reconstruct for training; ``counts`` None leaves the latent unquantised."""
        latent = self.analyse(audio).float()
        if counts is None:
            return self.synthesise(latent), None
        with torch.autocast(latent.device.type, enabled=False):
            quantised = self.quantiser(latent, counts)
        return self.synthesise(quantised.latent), quantised
