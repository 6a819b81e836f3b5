"""Decode windows of codes as the package ``descript-audio-codec`` does.

Each window is decoded by itself, by convolutions that pad nothing, and its audio follows directly
that of the window before.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neucodec.models.codec import AudioChunk, CodeChunk, State
from neucodec.models.errors import ModelError
from neucodec.models.parts.receptive_field import Convolution
from neucodec.models.strategies import ContextCodec

from .network import Dac, ResidualUnit


def unpadded(layer: nn.Module, x: Tensor) -> Tensor:
    """Put [B, C, T] through a layer of `Dac.decoder` without padding: fewer samples come out."""
    if isinstance(layer, nn.Conv1d):
        return F.conv1d(x, layer.weight, layer.bias, layer.stride, 0, layer.dilation, layer.groups)
    if isinstance(layer, nn.ConvTranspose1d):
        return F.conv_transpose1d(x, layer.weight, layer.bias, layer.stride)
    if not isinstance(layer, nn.Sequential):
        out: Tensor = layer(x)
        return out
    y = x
    for part in layer:
        y = unpadded(part, y)
    if isinstance(layer, ResidualUnit):
        start = (x.shape[-1] - y.shape[-1]) // 2
        return y + x[..., start : start + y.shape[-1]]
    return y


def trim_of(layers: list[Convolution]) -> int:
    """Return by how many samples F frames fall short of F * hop where nothing is padded."""
    short = 0
    for layer in layers:
        stride, span = layer.stride[0], layer.dilation[0] * (layer.kernel_size[0] - 1)
        if isinstance(layer, nn.ConvTranspose1d):
            short = short * stride - (span + 1 - stride)
        else:
            short += span
    return short


class WindowCodec(ContextCodec):
    """Codec that decodes what the package has encoded in windows.

    It encodes nothing, since windows take more codes than the whole signal.
    """

    def encode(
        self, chunk: AudioChunk, codebooks: int, state: State = None
    ) -> tuple[CodeChunk, State]:
        """Raise ModelError: windows can only be decoded."""
        raise ModelError(f"{self.card.name} in windows can only be decoded")

    @torch.inference_mode()
    def decode(self, chunk: CodeChunk, state: State = None) -> tuple[Tensor, State]:
        """Decode a window to audio [B, 1, frames * hop - chunk_trim]; see `Codec.decode`."""
        network = self.network
        assert isinstance(network, Dac)
        latent = network.quantiser.decode(chunk.codes.to(self.device))
        return unpadded(network.decoder, latent.transpose(1, 2)).cpu(), None

    def window(self, frames: int) -> Tensor:
        """Return ones [frames * hop - chunk_trim]: windows do not overlap."""
        return torch.ones(frames * self.card.hop - self.card.chunk_trim, dtype=torch.float32)
