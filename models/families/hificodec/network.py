"""HiFi-Codec of AcademiCodec (arXiv 2305.02765): few codebooks, group-residual quantisation.

Built from HiFi-GAN's parts (arXiv 2010.05646). The encoder normalises over the whole of what it is
given, so audio is coded in segments of a fixed length; the decoder is purely convolutional, and
`HifiCodec.decoder_reach` real frames on either side of a chunk make its audio that of the whole.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neucodec.models.parts.published_rvq import EuclideanCodebook, ResidualCodebooks
from neucodec.models.parts.receptive_field import convolutions, receptive_field
from neucodec.models.parts.state_dict import read_checkpoint, restore

SLOPE = 0.1
"""Slope of all leaky ReLUs but the encoder's last."""
LAST_SLOPE = 0.01
"""Slope of the encoder's last leaky ReLU."""
BRANCHES = (3, 7, 11)
"""Kernels of the parallel residual blocks behind each change of rate; the encoder has them in
reverse."""
DILATIONS = (1, 3, 5)
"""Dilations of the convolutions in a residual block."""


@dataclass(frozen=True)
class HifiCodecConfig:
    """Constructor arguments; the defaults are those of the two models with a hop of 320."""

    rates: Sequence[int] = (8, 5, 4, 2)
    """Upsampling factors of the decoder; the encoder has them in reverse."""
    kernels: Sequence[int] = (16, 11, 8, 4)
    """Widths of the convolutions that change the rate, in the same order."""
    width: int = 32
    """Channels at the audio's rate, doubled by every stage."""
    groups: int = 2
    """Parts of the latent that are quantised by themselves."""
    stages: int = 2
    """Codebooks, one after the other, in each group."""
    codebook_size: int = 1024
    """How many entries each codebook has."""

    @property
    def hop(self) -> int:
        """Samples per frame. (``hop_size`` in the published JSON is a spectrogram's, not this.)"""
        return math.prod(self.rates)

    @property
    def codebooks(self) -> int:
        """Codes per frame."""
        return self.groups * self.stages

    @property
    def latent(self) -> int:
        """Channels at the frames' rate."""
        return int(self.width * 2 ** len(self.rates))


class ResidualBlock(nn.Module):
    """HiFi-GAN's residual block "1": three dilated convolutions, each followed by a plain one."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            nn.Conv1d(width, width, kernel, dilation=d, padding=d * (kernel // 2))
            for d in DILATIONS
        )
        self.convs2 = nn.ModuleList(
            nn.Conv1d(width, width, kernel, padding=kernel // 2) for _ in DILATIONS
        )

    def forward(self, x: Tensor) -> Tensor:
        """Turn any [B, width, T] into the same shape."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            y = plain(F.leaky_relu_(dilated(F.leaky_relu(x, SLOPE)), SLOPE))
            x = y + x
        return x


class Encoder(nn.Module):
    """HiFi-GAN's generator backwards, with norms: audio to latent."""

    def __init__(self, c: HifiCodecConfig) -> None:
        super().__init__()
        self.conv_pre = nn.Conv1d(1, c.width, 7, padding=3)
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        self.normalize = nn.ModuleList()
        width = c.width
        for rate, kernel in zip(reversed(c.rates), reversed(c.kernels), strict=True):
            padding = (kernel - rate) // 2
            self.ups.append(nn.Conv1d(width, 2 * width, kernel, rate, padding))
            width *= 2
            for branch in reversed(BRANCHES):
                self.resblocks.append(ResidualBlock(width, branch))
                self.normalize.append(nn.GroupNorm(width // 16, width, eps=1e-6))
        self.conv_post = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Turn audio [B, 1, T], T a multiple of the hop, into a latent [B, latent, T / hop]."""
        x = self.conv_pre(x)
        for i, down in enumerate(self.ups):
            x = down(F.leaky_relu(x, SLOPE))
            # After each branch is added the sum so far is normalised, not the branches.
            first, *others = range(i * len(BRANCHES), (i + 1) * len(BRANCHES))
            total = self.normalize[first](self.resblocks[first](x))
            for k in others:
                total = self.normalize[k](total + self.resblocks[k](x))
            x = total / len(BRANCHES)
        latent: Tensor = self.conv_post(F.leaky_relu(x, LAST_SLOPE))
        return latent


class Generator(nn.Module):
    """HiFi-GAN's generator on a latent in place of a spectrogram."""

    def __init__(self, c: HifiCodecConfig) -> None:
        super().__init__()
        width = c.latent
        self.conv_pre = nn.Conv1d(width, width, 7, padding=3)
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        for rate, kernel in zip(c.rates, c.kernels, strict=True):
            padding = (kernel - rate) // 2
            self.ups.append(nn.ConvTranspose1d(width, width // 2, kernel, rate, padding))
            width //= 2
            self.resblocks.extend(ResidualBlock(width, branch) for branch in BRANCHES)
        self.conv_post = nn.Conv1d(width, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """Turn a latent [B, latent, F] into audio [B, 1, F * hop]."""
        x = self.conv_pre(x)
        for i, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, SLOPE))
            branches = self.resblocks[i * len(BRANCHES) : (i + 1) * len(BRANCHES)]
            x = reduce(add, (block(x) for block in branches)) / len(BRANCHES)
        audio: Tensor = self.conv_post(F.leaky_relu(x, SLOPE))
        return audio.tanh()

    def widest(self) -> list[nn.Conv1d | nn.ConvTranspose1d]:
        """Return the chain of convolutions that sees furthest: through the widest branches."""
        chain: list[nn.Module] = [self.conv_pre]
        for i, up in enumerate(self.ups):
            chain += [up, self.resblocks[(i + 1) * len(BRANCHES) - 1]]
        return convolutions(nn.Sequential(*chain, self.conv_post))


class HifiCodec(nn.Module):
    """Any HiFi-Codec network, in inference form."""

    def __init__(self, config: HifiCodecConfig) -> None:
        super().__init__()
        c = self.config = config
        self.encoder = Encoder(c)
        self.generator = Generator(c)
        self.quantisers = nn.ModuleList(
            ResidualCodebooks(
                EuclideanCodebook(c.codebook_size, c.latent // c.groups) for _ in range(c.stages)
            )
            for _ in range(c.groups)
        )

    @classmethod
    def load(cls, path: str | Path, config: HifiCodecConfig) -> HifiCodec:
        """Load a published checkpoint; ModelError if it does not fit."""
        checkpoint = read_checkpoint(path)
        return restore(lambda: cls(config), rename(checkpoint.tensors), checkpoint.source)

    @property
    def decoder_reach(self) -> int:
        """Frames that a frame's audio depends on beyond the frame itself, on either side."""
        first, last = receptive_field(self.generator.widest(), 0, self.config.hop - 1)
        return max(-first, last)

    def encode(self, audio: Tensor, codebooks: int) -> Tensor:
        """Encode audio [B, 1, F * hop] to codes [B, codebooks, F] (int64).

        The order is upstream's: every group's first stage, then every group's second. The
        number of codebooks is a multiple of the number of groups. A length that is no multiple
        of the hop loses its last, incomplete frame, as it does upstream.
        """
        return self.quantise(self.encoder(audio).transpose(1, 2), codebooks)

    def quantise(self, latent: Tensor, codebooks: int) -> Tensor:
        """Return the codes [B, codebooks, F] of a latent [B, F, D], see `encode`."""
        groups = self.config.groups
        if codebooks % groups:
            raise ValueError(f"{codebooks} codebooks asked for, groups need a multiple of {groups}")
        parts = latent.chunk(groups, dim=-1)
        codes = [
            quantiser.encode(part, codebooks // groups)
            for quantiser, part in zip(self._groups(), parts, strict=True)
        ]
        return torch.stack(codes, dim=2).flatten(1, 2)

    def decode(self, codes: Tensor) -> Tensor:
        """Decode codes [B, K, F] to audio [B, 1, F * hop]."""
        audio: Tensor = self.generator(self.embed(codes).transpose(1, 2))
        return audio

    def embed(self, codes: Tensor) -> Tensor:
        """Return the vectors [B, F, D] that codes [B, K, F] stand for, all groups side by side."""
        batch, _, frames = codes.shape
        parts = codes.reshape(batch, -1, self.config.groups, frames).unbind(2)
        return torch.cat(
            [quantiser.decode(part) for quantiser, part in zip(self._groups(), parts, strict=True)],
            dim=-1,
        )

    def _groups(self) -> list[ResidualCodebooks]:
        return list(cast("Iterable[ResidualCodebooks]", self.quantisers))


def rename(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a published checkpoint's tensors by this module's names; only codebooks' differ."""
    ours = {}
    for name, tensor in tensors.items():
        found = re.fullmatch(r"quantizer\.quantizer_modules(2?)\.(\d+)\.embedding\.weight", name)
        if found:
            stage = 1 if found[1] else 0
            name = f"quantisers.{found[2]}.codebooks.{stage}.entries"
        ours[name] = tensor
    return ours
