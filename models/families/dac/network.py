"""DAC, the Descript Audio Codec (arXiv 2306.06546): purely convolutional, mono.

Since nothing but convolutions looks beyond a frame, a signal can be coded in chunks with the
whole signal's codes and audio: give `Dac.encode` at least `Dac.encoder_reach` real samples on
either side of a chunk and `Dac.decode` at least `Dac.decoder_reach` real frames, and drop what
comes out for them. Only at the two ends of the signal is there no context, as in one piece.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neucodec.models.parts.published_rvq import CosineCodebook, ResidualCodebooks
from neucodec.models.parts.receptive_field import convolutions, receptive_field
from neucodec.models.parts.snake import Snake
from neucodec.models.parts.state_dict import read_checkpoint, restore

from .rows import RowDecoder


@dataclass(frozen=True)
class DacConfig:
    """Constructor arguments; the defaults are those of the 44.1 kHz model of 8 kbps."""

    encoder_width: int = 64
    """Channels at the audio's rate, doubled by every stage."""
    decoder_width: int = 1536
    """Channels at the frames' rate, halved by every stage."""
    rates: Sequence[int] = (2, 4, 8, 8)
    """Downsampling factors of the encoder; the decoder has them in reverse."""
    latent: int = 1024
    """Channels at the frames' rate between encoder and decoder."""
    codebooks: int = 9
    codebook_size: int = 1024
    """How many entries each codebook has."""
    codebook_dim: int = 8
    """Dimensions of an entry."""

    @property
    def hop(self) -> int:
        """Samples per frame."""
        return math.prod(self.rates)


class ResidualUnit(nn.Sequential):
    """A dilated convolution and one of width 1, each after a Snake, added to the input."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__(
            Snake(width),
            nn.Conv1d(width, width, 7, dilation=dilation, padding=3 * dilation),
            Snake(width),
            nn.Conv1d(width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Turn any [B, width, T] into the same shape."""
        y = x
        for layer in self:
            y = layer(y)
        out: Tensor = y.add_(x)
        return out


def encoder_block(width: int, stride: int) -> nn.Sequential:
    """Make the layers that turn [B, width, T] into [B, 2 * width, T / stride]."""
    return nn.Sequential(
        *(ResidualUnit(width, dilation) for dilation in (1, 3, 9)),
        Snake(width),
        nn.Conv1d(width, 2 * width, 2 * stride, stride, padding=math.ceil(stride / 2)),
    )


def decoder_block(width: int, stride: int) -> nn.Sequential:
    """Make the layers that turn [B, width, T] into [B, width / 2, T * stride].

    If the stride is odd, one sample less comes out.
    """
    return nn.Sequential(
        Snake(width),
        nn.ConvTranspose1d(width, width // 2, 2 * stride, stride, padding=math.ceil(stride / 2)),
        *(ResidualUnit(width // 2, dilation) for dilation in (1, 3, 9)),
    )


class Dac(nn.Module):
    """Any DAC network, in inference form."""

    def __init__(self, config: DacConfig) -> None:
        super().__init__()
        c = self.config = config
        stages = len(c.rates)
        width = c.encoder_width * 2**stages
        self.encoder = nn.Sequential(
            nn.Conv1d(1, c.encoder_width, 7, padding=3),
            *(encoder_block(c.encoder_width * 2**i, rate) for i, rate in enumerate(c.rates)),
            Snake(width),
            nn.Conv1d(width, c.latent, 3, padding=1),
        )
        self.quantiser = ResidualCodebooks(
            CosineCodebook(c.codebook_size, c.codebook_dim, c.latent) for _ in range(c.codebooks)
        )
        width = c.decoder_width // 2**stages
        rates = reversed(c.rates)
        self.decoder = nn.Sequential(
            nn.Conv1d(c.latent, c.decoder_width, 7, padding=3),
            *(decoder_block(c.decoder_width // 2**i, rate) for i, rate in enumerate(rates)),
            Snake(width),
            nn.Conv1d(width, 1, 7, padding=3),
            nn.Tanh(),
        )
        self.precision = torch.float32
        """Type of number in which decoding computes; encoding is always in float32."""
        self._rows: RowDecoder | None = None
        self._building = Lock()

    @classmethod
    def load(cls, path: str | Path, config: DacConfig) -> Dac:
        """Load a checkpoint with the original's or Transformers' names; ModelError if it fails."""
        checkpoint = read_checkpoint(path)
        tensors = rename(checkpoint.tensors, len(config.rates))
        return restore(lambda: cls(config), tensors, checkpoint.source)

    @property
    def encoder_reach(self) -> int:
        """Samples that a frame's codes depend on beyond the frame's own, on either side."""
        first, last = receptive_field(convolutions(self.encoder), 0, 0)
        return max(-first, last - self.config.hop + 1)

    @property
    def decoder_reach(self) -> int:
        """Frames that a frame's audio depends on beyond the frame itself, on either side."""
        first, last = receptive_field(convolutions(self.decoder), 0, self.config.hop - 1)
        return max(-first, last)

    def encode(self, audio: Tensor, codebooks: int) -> Tensor:
        """Encode audio [B, 1, T] to codes [B, codebooks, ceil(T / hop)] (int64).

        The last frame is filled up with zeros, as upstream does it.
        """
        latent: Tensor = self.encoder(F.pad(audio, (0, -audio.shape[-1] % self.config.hop)))
        return self.quantiser.encode(latent.transpose(1, 2), codebooks)

    def decode(self, codes: Tensor, before: int = 0, frames: int | None = None) -> Tensor:
        """Decode codes [B, K, F] to audio [B, 1, frames * hop], of the frames from ``before`` on.

        A stride of 5 makes upstream's output 8 samples shorter than that; they are zeros here.
        """
        count = codes.shape[-1] - before if frames is None else frames
        start, length = before * self.config.hop, count * self.config.hop
        latent = self.quantiser.decode(codes).transpose(1, 2)
        if latent.device.type == "cpu":
            audio = self._decoder_on_rows()(latent, start, start + length)
        else:
            half = self.precision != torch.float32
            with torch.autocast(latent.device.type, self.precision) if half else nullcontext():
                audio = self.decoder(latent)[..., start : start + length].float()
        return F.pad(audio, (0, length - audio.shape[-1]))

    def _decoder_on_rows(self) -> RowDecoder:
        with self._building:  # several threads decode
            self._rows = self._rows or RowDecoder(self.decoder, self.precision)
        return self._rows


def rename(tensors: Mapping[str, Tensor], stages: int) -> dict[str, Tensor]:
    """Return a checkpoint's tensors by this module's names, from the original's or Transformers'.

    Projections by convolutions of width 1 become matrices. ``stages`` is the number of rates.
    """
    table = _transformers_table(stages)
    ours = {}
    for name, tensor in tensors.items():
        stem, _, leaf = name.rpartition(".")
        if found := re.fullmatch(
            r"quantizer\.quantizers\.(\d+)\.(in_proj|out_proj|codebook)", stem
        ):
            index, part = found.groups()
            if leaf == "weight" and part != "codebook":
                tensor = tensor.squeeze(-1)
            leaf = {"in_proj": f"down.{leaf}", "out_proj": f"up.{leaf}", "codebook": "entries"}[
                part
            ]
            stem = f"quantiser.codebooks.{index}"
        else:
            stem = table.get(stem) or re.sub(r"\.(block|model)\b", "", stem)
        ours[f"{stem}.{leaf}"] = tensor
    return ours


def _transformers_table(stages: int) -> dict[str, str]:
    """Map the names of Transformers' modules to their places in this module's sequences."""
    unit = {"snake1": 0, "conv1": 1, "snake2": 2, "conv2": 3}
    table = {}
    for side, resample, first_unit in (
        ("encoder", {"snake1": 3, "conv1": 4}, 0),
        ("decoder", {"snake1": 0, "conv_t1": 1}, 2),
    ):
        table[f"{side}.conv1"] = f"{side}.0"
        for stage in range(stages):
            theirs, ours = f"{side}.block.{stage}", f"{side}.{stage + 1}"
            for part, place in resample.items():
                table[f"{theirs}.{part}"] = f"{ours}.{place}"
            for k in range(3):
                for part, place in unit.items():
                    table[f"{theirs}.res_unit{k + 1}.{part}"] = f"{ours}.{first_unit + k}.{place}"
        table[f"{side}.snake1"] = f"{side}.{stages + 1}"
        table[f"{side}.conv2"] = f"{side}.{stages + 2}"
    return table
