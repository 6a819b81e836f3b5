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

`SPECTOKENIZER_MINI` does not learn to reproduce anything in the time that a few processor cores
have: through its recurrences hardly a phase survives. ``skip`` leads the signal around each of
them, as residual networks do, and without ``narrow`` the quantiser itself chooses what of the last
stage it codes; training begins with one that reproduces its input
(`neucodec.training.systems.spectokenizer.start_as_identity`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .quantise import ResidualQuantiser
from .snake import Snake
from .state_dict import read_checkpoint, restore
from .stream import Carry, StreamState

TIME, FREQUENCY = 3, 4
"""Kernel sizes. A layer sees the current frame and the two before it."""


@dataclass(frozen=True)
class SpecTokenizerConfig:
    """Constructor arguments; the defaults are the mini model."""

    hop: int = 320
    """Samples per frame, a multiple of 64; the window is two hops."""
    channels: Sequence[int] = (16, 24, 32, 64, 96)
    """Of the first convolution and of each of the stages that halve the frequency axis."""
    narrow: int = 8
    """Channels per position in the latent; 0: all of the last stage."""
    skip: bool = False
    """Whether the signal also goes around each recurrence."""
    codebooks: int = 12
    codebook_size: int = 1024
    codebook_dim: int = 8

    @property
    def positions(self) -> list[int]:
        """Positions on the frequency axis behind the first convolution and behind each stage."""
        return [self.hop >> (k + 1) for k in range(len(self.channels))]

    @property
    def latent(self) -> int:
        """Dimensions of the latent."""
        return (self.narrow or self.channels[-1]) * self.positions[-1]


SPECTOKENIZER_MINI = SpecTokenizerConfig()
SPECTOKENIZER_BASE = SpecTokenizerConfig(channels=(192, 256, 384, 800, 1280), narrow=16)


class Conv(nn.Module):
    """Convolution over time and frequency, causal in time, halving the frequency axis."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, (TIME, FREQUENCY), stride=(1, 2), padding=(0, 1))

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Chunk [B, inputs, F, P] to [B, outputs, F, P / 2]."""
        out: Tensor = self.conv(past(x, carry))
        return out


class ConvTranspose(nn.Module):
    """Transposed convolution over time and frequency, causal in time, doubling the frequency axis.

    ``extra`` adds a position at the end: the top bin, which halving lost.
    """

    def __init__(self, inputs: int, outputs: int, extra: int = 0) -> None:
        super().__init__()
        # Time padding crops what belongs to the past frames and what reaches into the future.
        self.conv = nn.ConvTranspose2d(
            inputs,
            outputs,
            (TIME, FREQUENCY),
            stride=(1, 2),
            padding=(TIME - 1, 1),
            output_padding=(0, extra),
        )

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Chunk [B, inputs, F, P] to [B, outputs, F, 2 * P + extra]."""
        out: Tensor = self.conv(past(x, carry))
        return out


def past(x: Tensor, carry: Carry) -> Tensor:
    """Put the frames before the chunk [B, C, F, P] in front of it, zeros at the signal's start."""
    x = F.pad(x, (0, 0, TIME - 1, 0)) if carry.first else torch.cat([carry.take(), x], dim=2)
    if not carry.last:
        carry.leave(x[:, :, 1 - TIME :])
    return x


class Recurrent(nn.Module):
    """The paper's RNN2D: layer norm of each frame, tanh, GRU along time, 1x1 convolution, Snake."""

    def __init__(self, width: int, positions: int, skip: bool) -> None:
        super().__init__()
        self.skip = skip
        self.norm = nn.LayerNorm((width, positions))
        self.gru = nn.GRU(width, width)
        self.mix = nn.Linear(width, width)
        self.snake = Snake(width, dims=2)

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Chunk [B, width, F, P] to the same shape."""
        batch, width, frames, positions = x.shape
        normed = self.norm(x.transpose(1, 2)).tanh()
        steps = normed.permute(1, 0, 3, 2).reshape(frames, batch * positions, width)
        steps, state = self.gru(steps, None if carry.first else carry.take())
        if not carry.last:
            carry.leave(state)
        mixed = self.mix(steps).reshape(frames, batch, positions, width)
        out: Tensor = self.snake(mixed.permute(1, 3, 0, 2))
        return x + out if self.skip else out


def complex_convolution(
    conv: nn.Module, real: Tensor, imaginary: Tensor, carry: Carry
) -> tuple[Tensor, Tensor]:
    """A complex convolution by a real one whose outputs are the two parts of the weights' products:
    (A + iB)(x + iy) = (Ax - By) + i(Ay + Bx)."""
    a, b = conv(torch.cat([real, imaginary]), carry).chunk(2, dim=1)
    (ax, ay), (bx, by) = a.chunk(2), b.chunk(2)
    return ax - by, ay + bx


class Encoder(nn.Module):
    """A complex convolution, then stages of convolution and recurrence."""

    def __init__(self, c: SpecTokenizerConfig) -> None:
        super().__init__()
        self.input = Conv(1, c.channels[0])
        self.stages = nn.ModuleList()
        for width, inputs, positions in zip(
            c.channels[1:], c.channels[:-1], c.positions[1:], strict=True
        ):
            stage = [Conv(inputs, width), Snake(width, dims=2), Recurrent(width, positions, c.skip)]
            self.stages.append(nn.ModuleList(stage))
        self.narrow = nn.Conv2d(c.channels[-1], c.narrow, 1) if c.narrow else nn.Identity()

    def forward(self, spectrum: Tensor, carry: Carry) -> Tensor:
        """Compressed complex spectrum [B, F, hop + 1] to latent [B, F, D]."""
        parts = spectrum[:, None]
        x = torch.cat(complex_convolution(self.input, parts.real, parts.imag, carry), dim=1)
        for conv, snake, recurrent in cast("Iterable[Stage]", self.stages):
            x = recurrent(snake(conv(x, carry)), carry)
        latent: Tensor = self.narrow(x)
        return latent.transpose(1, 2).flatten(2)


class Decoder(nn.Module):
    """The encoder backwards."""

    def __init__(self, c: SpecTokenizerConfig) -> None:
        super().__init__()
        self.channels = c.narrow or c.channels[-1]
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
        self.output = ConvTranspose(c.channels[0] // 2, 2, extra=1)

    def forward(self, latent: Tensor, carry: Carry) -> Tensor:
        """Latent [B, F, D] to compressed complex spectrum [B, F, hop + 1]."""
        batch, frames, _ = latent.shape
        x = self.widen(latent.reshape(batch, frames, self.channels, -1).transpose(1, 2))
        for recurrent, conv, snake in cast("Iterable[Stage]", self.stages):
            x = snake(conv(recurrent(x, carry), carry))
        real, imaginary = x.chunk(2, dim=1)
        real, imaginary = complex_convolution(self.output, real, imaginary, carry)
        return torch.complex(real.float(), imaginary.float())[:, 0]


Stage = tuple[nn.Module, nn.Module, nn.Module]


class SpecTokenizer(nn.Module):
    """Either SpecTokenizer network, in two uses.

    As a stream (`encode_stream`, `decode_stream`) it codes a signal as the paper means it, every
    layer remembering the past. As independent chunks (`encode`, `decode`) a chunk of F frames
    takes and gives ``(F + 1) * hop`` samples, ``hop / 2`` beyond its own on either side: windowed,
    so that adding the overlapping ends of neighbours joins them.
    """

    window: Tensor

    def __init__(self, config: SpecTokenizerConfig = SPECTOKENIZER_MINI) -> None:
        super().__init__()
        c = self.config = config
        if c.hop % 2 ** (len(c.channels) + 1):
            raise ValueError(f"a hop of {c.hop} samples cannot be halved {len(c.channels)} times")
        self.encoder = Encoder(c)
        self.quantiser = ResidualQuantiser(c.latent, c.codebooks, c.codebook_size, c.codebook_dim)
        self.decoder = Decoder(c)
        # Squared, neighbours sum to one: analysis and synthesis each take the root.
        self.register_buffer("window", torch.hann_window(2 * c.hop).sqrt(), persistent=False)

    @classmethod
    def load(
        cls, path: str | Path, config: SpecTokenizerConfig = SPECTOKENIZER_MINI
    ) -> SpecTokenizer:
        """Load a checkpoint of this module's own names; ModelError if it does not fit."""
        checkpoint = read_checkpoint(path)
        return restore(lambda: cls(config), checkpoint.tensors, checkpoint.source)

    def compress(self, audio: Tensor) -> Tensor:
        """Audio [B, 1, (F + 1) * hop] to its compressed complex spectrum [B, F, hop + 1].

        |s|^(1/2) with the phase kept: louder and softer partials come closer together.
        """
        spectrum = self.transform(audio)
        return spectrum * spectrum.abs().clamp_min(1e-8).rsqrt()

    def transform(self, audio: Tensor) -> Tensor:
        """Audio [B, 1, (F + 1) * hop] to its complex spectrum [B, F, hop + 1]."""
        hop = self.config.hop
        if audio.shape[-1] % hop or audio.shape[-1] < 2 * hop:
            raise ValueError(f"{audio.shape[-1]} samples are not two or more hops of {hop}")
        frames = audio[:, 0].unfold(-1, 2 * hop, hop) * self.window
        spectrum: Tensor = torch.fft.rfft(frames, norm="ortho")
        return spectrum

    def expand(self, compressed: Tensor) -> Tensor:
        """Undo `compress`, but for the outermost hops, which lack a neighbour's window."""
        spectrum = compressed * compressed.abs()
        frames = torch.fft.irfft(spectrum, n=2 * self.config.hop, norm="ortho") * self.window
        early, late = frames.chunk(2, dim=-1)
        audio = F.pad(early, (0, 0, 0, 1)) + F.pad(late, (0, 0, 1, 0))
        return audio.flatten(1)[:, None]

    def analyse(self, audio: Tensor, carry: Carry | None = None) -> Tensor:
        """Audio [B, 1, (F + 1) * hop] to the latent before quantisation [B, F, D]."""
        latent: Tensor = self.encoder(self.compress(audio), carry or Carry())
        return latent

    def synthesise(self, latent: Tensor, carry: Carry | None = None) -> Tensor:
        """Latent [B, F, D] to windowed audio [B, 1, (F + 1) * hop], ready to overlap-add."""
        return self.expand(self.decoder(latent, carry or Carry()))

    def encode(self, audio: Tensor, codebooks: int) -> Tensor:
        """A chunk of audio [B, 1, (F + 1) * hop] to codes [B, codebooks, F] (int64)."""
        return self.quantiser.encode(self.analyse(audio), codebooks)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, K, F] of a chunk to windowed audio [B, 1, (F + 1) * hop]."""
        return self.synthesise(self.quantiser.decode(codes))

    def encode_stream(
        self, audio: Tensor, codebooks: int, state: StreamState | None = None, last: bool = False
    ) -> tuple[Tensor, StreamState]:
        """Code the next chunk [B, 1, T] of a stream, of any length, to codes [B, codebooks, F].

        A signal of T samples comes to ceil(T / hop) + 1 frames, since the last hop ends within a
        window that begins in it. ``state`` is what the previous call returned, None at the start;
        it is not changed. Pending in it: audio from the start of the next window.
        """
        hop = self.config.hop
        before = state or StreamState(audio.new_zeros(len(audio), 1, hop))
        audio = torch.cat([before.pending, audio], dim=-1)
        if last:
            audio = F.pad(audio, (0, -audio.shape[-1] % hop + hop))
        frames = audio.shape[-1] // hop - 1
        if frames == 0:
            none = torch.zeros(len(audio), codebooks, 0, dtype=torch.int64, device=audio.device)
            return none, StreamState(audio, before.layers)
        with Carry(before.layers, last) as carry:
            latent = self.analyse(audio[..., : (frames + 1) * hop], carry)
        rest = audio[..., frames * hop :].clone()
        return self.quantiser.encode(latent, codebooks), StreamState(rest, carry.after)

    def decode_stream(
        self, codes: Tensor, state: StreamState | None = None, last: bool = False
    ) -> tuple[Tensor, StreamState]:
        """Decode the next frames [B, K, F] of a stream to audio [B, 1, F * hop].

        It lags by the hop that the next window will finish: the first call gives a hop less.
        ``state`` is as in `encode_stream`. Pending in it: that unfinished hop.
        """
        hop = self.config.hop
        if codes.shape[-1] == 0:
            none = self.window.new_zeros(len(codes), 1, 0)
            return none, state or StreamState(self.window.new_zeros(len(codes), 1, 0))
        with Carry(state.layers if state else None, last) as carry:
            audio = self.synthesise(self.quantiser.decode(codes), carry)
        done, tail = audio[..., :-hop], audio[..., -hop:].clone()
        if state and state.layers:  # it has been through the network before
            done = torch.cat([done[..., :hop] + state.pending, done[..., hop:]], dim=-1)
        else:
            done = done[..., hop:]
        return done, StreamState(tail, carry.after)
