"""SpecTokenizer (Interspeech 2025): a light, causal codec of alternating CNNs and RNNs that works
on the power-compressed complex spectrum of 16 kHz audio.

Neither code nor weights are published. The paper gives the order of the layers, the channels of
each stage, 50 frames per second and the totals that `SpecTokenizerConfig` reproduces: 70.6 M
parameters (base), 0.45 M and 0.43 GMAC/s (mini), quantiser aside. Not given, and chosen here to
meet those totals: a square-root Hann window of two hops; kernels of 3 frames by 4 bins and a
stride of 2 in frequency, which make 160 positions of 321 bins at first and 10 in the end; GRUs as
wide as their stage, run along time with the same weights at every position; a layer norm
with a gain and an offset for every channel and position; and a 1x1 convolution that narrows the
last stage before its positions together become the latent to be quantised.

The mini model does not learn to reproduce anything in the time that a few processor cores
have: through its recurrences hardly a phase survives. ``skip`` leads the signal around each of
them, as residual networks do; without ``narrow`` and with a ``bottleneck`` the quantiser sees the
last stage through one projection; ``phase_bins`` leaves the phases away that few bits cannot carry.
Training begins with a network that reproduces its input but for what the bottleneck loses
(`neucodec.training.codecs.spectokenizer.start_as_identity`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neucodec.models.parts.causal_state import Carry
from neucodec.models.parts.phase import Phases
from neucodec.models.parts.snake import Snake
from neucodec.models.parts.state_dict import read_checkpoint, restore
from neucodec.models.parts.trained_rvq import ResidualQuantiser

from .parts import Conv, ConvTranspose, Recurrent, complex_convolution

FADE = 8
"""In how many bins both complex numbers and magnitudes are coded, and noise takes over."""


@dataclass(frozen=True)
class SpecTokenizerConfig:
    """Constructor arguments; the defaults are the mini model."""

    hop: int = 320
    """Samples per frame, a multiple of 64; the window is two hops."""
    channels: Sequence[int] = (16, 24, 32, 64, 96)
    """Channels of the first convolution and of each stage that halves the frequency axis."""
    narrow: int = 8
    """Channels per position in the latent; 0: all of the last stage's."""
    bottleneck: int = 0
    """Dimensions to which those of all positions are projected for the quantiser; 0: they are not
    projected."""
    skip: bool = False
    """Whether the signal is also led around each recurrence."""
    phase_bins: int = 0
    """How many of the spectrum's bins, the lowest, are coded as complex numbers. The others are
    coded as magnitudes and get noise for phases (`parts.phase`). 0: all are complex."""
    overlap: int = 0
    """Samples by which windows overlap: the fewer, the less of a signal is coded twice. 0: by a
    hop, as in a square-root Hann window."""
    codebooks: int = 12
    codebook_size: int = 1024
    """How many entries each codebook has."""
    codebook_dim: int = 8
    """Dimensions of an entry."""

    @property
    def positions(self) -> list[int]:
        """Positions on the frequency axis after the first convolution and after each stage."""
        return [self.hop >> (k + 1) for k in range(len(self.channels))]

    @property
    def parts(self) -> tuple[int, int]:
        """Channels of the first convolution for complex numbers and for magnitudes."""
        magnitudes = self.channels[0] // 4 if self.phase_bins else 0
        return self.channels[0] - magnitudes, magnitudes

    @property
    def latent(self) -> int:
        """Dimensions of the latent."""
        return self.bottleneck or self.wide

    @property
    def wide(self) -> int:
        """Channels of all positions of the last stage together, after they are narrowed."""
        return (self.narrow or self.channels[-1]) * self.positions[-1]


class Encoder(nn.Module):
    """A complex convolution, then stages of convolution and recurrence."""

    def __init__(self, c: SpecTokenizerConfig) -> None:
        super().__init__()
        self.phase_bins = c.phase_bins
        numbers, magnitudes = c.parts
        self.input = Conv(1, numbers)
        self.magnitudes = Conv(1, magnitudes) if magnitudes else None
        self.stages = nn.ModuleList()
        for width, inputs, positions in zip(
            c.channels[1:], c.channels[:-1], c.positions[1:], strict=True
        ):
            stage = [Conv(inputs, width), Snake(width, dims=2), Recurrent(width, positions, c.skip)]
            self.stages.append(nn.ModuleList(stage))
        self.narrow = nn.Conv2d(c.channels[-1], c.narrow, 1) if c.narrow else nn.Identity()
        self.project = nn.Linear(c.wide, c.bottleneck) if c.bottleneck else nn.Identity()

    def forward(self, spectrum: Tensor, carry: Carry) -> Tensor:
        """Turn a compressed complex spectrum [B, F, hop + 1] into a latent [B, F, D]."""
        real, imaginary = spectrum.real[:, None], spectrum.imag[:, None]
        magnitudes = []
        if self.magnitudes is not None:
            above = spectrum.shape[-1] - self.phase_bins
            known = self.phase_bins - FADE
            power = (real.square() + imaginary.square())[..., known:]
            magnitudes.append(self.magnitudes(F.pad((power + 1e-8).sqrt(), (known, 0)), carry))
            real, imaginary = (F.pad(x[..., :-above], (0, above)) for x in (real, imaginary))
        numbers = complex_convolution(self.input, real, imaginary, carry)
        x = torch.cat([*numbers, *magnitudes], dim=1)
        for conv, snake, recurrent in cast("Iterable[Stage]", self.stages):
            x = recurrent(snake(conv(x, carry)), carry)
        latent: Tensor = self.project(self.narrow(x).transpose(1, 2).flatten(2))
        return latent


class Decoder(nn.Module):
    """The encoder backwards."""

    def __init__(self, c: SpecTokenizerConfig) -> None:
        super().__init__()
        self.channels = c.narrow or c.channels[-1]
        self.project = nn.Linear(c.bottleneck, c.wide) if c.bottleneck else nn.Identity()
        self.widen = nn.Conv2d(c.narrow, c.channels[-1], 1) if c.narrow else nn.Identity()
        self.stages = nn.ModuleList()
        for width, outputs, positions in zip(
            reversed(c.channels[1:]),
            reversed(c.channels[:-1]),
            reversed(c.positions[1:]),
            strict=True,
        ):
            stage = [
                Recurrent(width, positions, c.skip),
                ConvTranspose(width, outputs),
                Snake(outputs, 2),
            ]
            self.stages.append(nn.ModuleList(stage))
        numbers, magnitudes = self.parts = c.parts
        self.output = ConvTranspose(numbers // 2, 2, extra=1)
        self.magnitudes = ConvTranspose(magnitudes, 1, extra=1) if magnitudes else None
        self.phases = Phases(c.hop + 1, c.phase_bins or c.hop + 1, FADE)

    def forward(self, latent: Tensor, carry: Carry, start: Tensor | None = None) -> Tensor:
        """Turn a latent [B, F, D] into a compressed complex spectrum [B, F, hop + 1].

        ``start`` [B] is the frame at which the noise begins; None lets it go on with the stream.
        """
        batch, frames, _ = latent.shape
        wide = self.project(latent).reshape(batch, frames, self.channels, -1)
        x = self.widen(wide.transpose(1, 2))
        for recurrent, conv, snake in cast("Iterable[Stage]", self.stages):
            x = snake(conv(recurrent(x, carry), carry))
        numbers, magnitudes = x.split(self.parts, dim=1)
        real, imaginary = numbers.chunk(2, dim=1)
        real, imaginary = complex_convolution(self.output, real, imaginary, carry)
        spectrum = torch.complex(real.float(), imaginary.float())[:, 0]
        if self.magnitudes is None:
            return spectrum
        sizes = self.magnitudes(magnitudes, carry)[:, 0].float()
        if start is None:
            start = latent.new_zeros(1, dtype=torch.int64) if carry.first else carry.take()
            if not carry.last:
                carry.leave(start + frames)
        return self.phases.complete(spectrum, sizes, start)


def window_of(hop: int, overlap: int) -> Tensor:
    """Return the window [2 * hop] of analysis and synthesis; squares of neighbours sum to one."""
    if not overlap:
        return torch.hann_window(2 * hop, dtype=torch.float32, device="cpu").sqrt()
    at = torch.arange(2 * hop, dtype=torch.float32, device="cpu") + 0.5
    risen = (torch.minimum(at, 2 * hop - at) - (hop - overlap) / 2) / overlap
    return torch.sin(torch.pi / 2 * risen.clamp(0, 1))


Stage = tuple[nn.Module, nn.Module, nn.Module]


class SpecTokenizer(nn.Module):
    """A SpecTokenizer network of any size.

    Chunks are coded independently of each other: one of F frames takes and gives ``(F + 1) * hop``
    samples, ``hop / 2`` beyond its own on either side, windowed, so that adding the overlapping
    ends of neighbours joins them. Given a `Carry`, layers remember the past of a stream, as the
    paper has it.
    """

    window: Tensor
    """Window [2 * hop] of analysis and synthesis."""

    def __init__(self, config: SpecTokenizerConfig) -> None:
        super().__init__()
        c = self.config = config
        if c.hop % 2 ** (len(c.channels) + 1):
            raise ValueError(f"a hop of {c.hop} samples cannot be halved {len(c.channels)} times")
        if c.phase_bins and c.channels[0] % 8:
            raise ValueError(f"{c.channels[0]} channels at first are no multiple of 8")
        self.encoder = Encoder(c)
        self.quantiser = ResidualQuantiser(c.latent, c.codebooks, c.codebook_size, c.codebook_dim)
        self.decoder = Decoder(c)
        self.register_buffer("window", window_of(c.hop, c.overlap), persistent=False)

    @classmethod
    def load(cls, path: str | Path, config: SpecTokenizerConfig) -> SpecTokenizer:
        """Load a checkpoint with this module's own names; ModelError if it does not fit."""
        checkpoint = read_checkpoint(path)
        return restore(lambda: cls(config), checkpoint.tensors, checkpoint.source)

    def compress(self, audio: Tensor) -> Tensor:
        """Turn audio [B, 1, (F + 1) * hop] into its compressed complex spectrum [B, F, hop + 1].

        Magnitudes become |s|^(1/2), phases stay: so loud and soft partials come closer together.
        """
        spectrum = self.transform(audio)
        return spectrum * spectrum.abs().clamp_min(1e-8).rsqrt()

    def transform(self, audio: Tensor) -> Tensor:
        """Turn audio [B, 1, (F + 1) * hop] into its complex spectrum [B, F, hop + 1].

        Raises ValueError unless it is a whole number of hops, two or more.
        """
        hop = self.config.hop
        if audio.shape[-1] % hop or audio.shape[-1] < 2 * hop:
            raise ValueError(f"{audio.shape[-1]} samples are not two or more hops of {hop}")
        frames = audio[:, 0].unfold(-1, 2 * hop, hop) * self.window
        spectrum: Tensor = torch.fft.rfft(frames, norm="ortho")
        return spectrum

    def expand(self, compressed: Tensor) -> Tensor:
        """Undo `compress`, except in the outermost hops, which lack a neighbour's window."""
        spectrum = compressed * compressed.abs()
        frames = torch.fft.irfft(spectrum, n=2 * self.config.hop, norm="ortho") * self.window
        early, late = frames.chunk(2, dim=-1)
        audio = F.pad(early, (0, 0, 0, 1)) + F.pad(late, (0, 0, 1, 0))
        return audio.flatten(1)[:, None]

    def analyse(self, audio: Tensor, carry: Carry | None = None) -> Tensor:
        """Turn audio [B, 1, (F + 1) * hop] into the latent [B, F, D] before quantisation."""
        latent: Tensor = self.encoder(self.compress(audio), carry or Carry())
        return latent

    def synthesise(
        self, latent: Tensor, carry: Carry | None = None, start: Tensor | None = None
    ) -> Tensor:
        """Turn a latent [B, F, D] into windowed audio [B, 1, (F + 1) * hop], to overlap-add.

        ``start`` is as in `Decoder`.
        """
        return self.expand(self.decoder(latent, carry or Carry(), start))

    def encode(self, audio: Tensor, codebooks: int) -> Tensor:
        """Encode a chunk of audio [B, 1, (F + 1) * hop] to codes [B, codebooks, F] (int64)."""
        return self.quantiser.encode(self.analyse(audio), codebooks)

    def decode(self, codes: Tensor) -> Tensor:
        """Decode codes [B, K, F] of a chunk to windowed audio [B, 1, (F + 1) * hop]."""
        return self.synthesise(self.quantiser.decode(codes), start=Phases.start(codes))
