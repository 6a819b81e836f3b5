"""EnCodec (arXiv 2210.13438): the causal 24 kHz mono and the 48 kHz stereo model.

The 24 kHz model codes a whole signal, in one piece or as a stream of chunks with carried state.
The 48 kHz model codes segments of a second by themselves, each brought to unit level, and
cross-fades 1 % between them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import torch
from torch import Tensor, nn

from neucodec.models.batching import one_by_one
from neucodec.models.parts.causal_state import Carry, LayerStates, PreparedChunk, StreamState
from neucodec.models.parts.published_rvq import EuclideanCodebook, ResidualCodebooks
from neucodec.models.parts.seanet import KERNEL, Decoder, Encoder, SeanetConfig
from neucodec.models.parts.state_dict import read_checkpoint, restore

from .seanet_rows import LANES, RowCoder


@dataclass(frozen=True)
class EncodecConfig(SeanetConfig):
    """Constructor arguments; the defaults are those of the 24 kHz model."""

    normalise: bool = False
    """Whether audio is coded at unit level, with its scale beside the codes."""
    segment: int | None = None
    """How many samples are coded at once; None for the whole signal."""
    stride: int | None = None
    """Samples from one segment's start to the next's; None where there are no segments."""
    codebooks: int = 32
    codebook_size: int = 1024
    """How many entries each codebook has."""


class Encodec(nn.Module):
    """Either EnCodec network, in inference form."""

    together = LANES
    """How many segments a CPU best codes at once: its LSTM reads its weights once for all."""
    start = KERNEL
    """How many frames must have come before the first of a stream are coded: reflection at the
    start of the signal needs as many real samples as the widest layer pads."""

    def __init__(self, config: EncodecConfig) -> None:
        super().__init__()
        c = self.config = config
        self.encoder = Encoder(c)
        self.decoder = Decoder(c)
        self.quantiser = ResidualCodebooks(
            EuclideanCodebook(c.codebook_size, c.latent) for _ in range(c.codebooks)
        )
        self._on_rows: dict[nn.Module, RowCoder] = {}
        self._building = Lock()

    @classmethod
    def load(cls, path: str | Path, config: EncodecConfig) -> Encodec:
        """Load a checkpoint with the original's or Transformers' names; ModelError if it fails."""
        checkpoint = read_checkpoint(path)
        return restore(lambda: cls(config), rename(checkpoint.tensors), checkpoint.source)

    def encode(self, audio: Tensor, codebooks: int) -> tuple[Tensor, Tensor | None]:
        """Encode a whole signal or segment [B, C, T] to codes and scale.

        Codes are [B, codebooks, ceil(T / hop)] (int64); the scale [B], which was divided out, is
        None where the model does not normalise.
        """
        scale = None
        if self.config.normalise:
            scale = one_by_one(lambda one: one.mean(1).square().mean(-1).sqrt() + 1e-8, audio)
            audio = audio / scale[:, None, None]
        return self._encode(audio, codebooks, Carry()), scale

    def decode(self, codes: Tensor, scale: Tensor | None = None) -> Tensor:
        """Decode codes [B, K, F] and scale [B] of a whole signal or segment.

        Returns audio [B, C, F * hop].
        """
        audio = self._decode(codes, Carry())
        return audio if scale is None else audio * scale[:, None, None]

    def encode_stream(
        self, audio: Tensor, codebooks: int, state: StreamState | None = None, last: bool = False
    ) -> tuple[Tensor, StreamState]:
        """Encode the next chunk [B, C, T] of a stream, of any length, to codes [B, codebooks, F].

        The codes of all chunks together, up to and with the one that is ``last``, are those of the
        whole signal. ``state`` is what the previous call returned, None at the start; it is not
        changed. Audio waits in it until there is a whole frame.
        """
        prepared = self.prepare_encoding(audio, state, last)
        return self.encode_prepared(prepared, codebooks), prepared.after

    def prepare_encoding(
        self, audio: Tensor, state: StreamState | None, last: bool
    ) -> PreparedChunk:
        """Do the first, quick half of `encode_stream`; the next chunk's can follow at once."""
        audio, layers = self._resume(audio, state)
        count = audio.shape[-1]
        if not last:
            count -= count % self.config.hop
            if layers is None and count < self.start * self.config.hop:
                count = 0
        return _prepared(audio, count, layers, last)

    def encode_prepared(self, chunk: PreparedChunk, codebooks: int) -> Tensor:
        """Do the other half: codes [B, codebooks, F], while other threads may be at other chunks.

        Every prepared chunk must be coded, by threads that start in the order of the stream.
        """
        if chunk.carry is None:
            return chunk.ready.new_zeros(len(chunk.ready), codebooks, 0, dtype=torch.int64)
        with chunk.carry:
            return self._encode(chunk.ready, codebooks, chunk.carry)

    def decode_stream(
        self, codes: Tensor, state: StreamState | None = None, last: bool = False
    ) -> tuple[Tensor, StreamState]:
        """Decode the next frames [B, K, F] of a stream to audio [B, C, T]; see `encode_stream`."""
        prepared = self.prepare_decoding(codes, state, last)
        return self.decode_prepared(prepared), prepared.after

    def prepare_decoding(
        self, codes: Tensor, state: StreamState | None, last: bool
    ) -> PreparedChunk:
        """Do the first half of `decode_stream`; see `prepare_encoding`."""
        codes, layers = self._resume(codes, state)
        enough = layers is not None or last or codes.shape[-1] >= self.start
        return _prepared(codes, codes.shape[-1] if enough else 0, layers, last)

    def decode_prepared(self, chunk: PreparedChunk) -> Tensor:
        """Do the other half: audio [B, C, T]; see `encode_prepared`."""
        if chunk.carry is None:
            shape = len(chunk.ready), self.config.channels, 0
            return chunk.ready.new_zeros(*shape, dtype=torch.float32)
        with chunk.carry:
            return self._decode(chunk.ready, chunk.carry)

    def _resume(
        self, chunk: Tensor, state: StreamState | None
    ) -> tuple[Tensor, LayerStates | None]:
        if not self.config.causal:
            raise ValueError("this EnCodec model is not causal, it cannot code a stream")
        if state is None:
            return chunk, None
        if state.pending.shape[-1] == 0:  # of however many codebooks the last frames had
            return chunk, state.layers
        return torch.cat([state.pending, chunk], dim=-1), state.layers

    def _encode(self, audio: Tensor, codebooks: int, carry: Carry) -> Tensor:
        latent = self._through(self.encoder, audio, carry)
        return one_by_one(lambda one: self.quantiser.encode(one.transpose(1, 2), codebooks), latent)

    def _decode(self, codes: Tensor, carry: Carry) -> Tensor:
        return self._through(self.decoder, self.quantiser.decode(codes).transpose(1, 2), carry)

    def _through(self, half: Encoder | Decoder, x: Tensor, carry: Carry) -> Tensor:
        """Put [B, C, T] through the encoder or the decoder, on rows where that can be done."""
        if x.device.type == "cpu" and not torch.is_grad_enabled():
            on_rows = self._as_rows(half)
            if on_rows.takes(x, carry):
                return on_rows(x, carry)
            if carry.first and carry.last:
                return one_by_one(lambda one: half(one, Carry()), x)
        out: Tensor = half(x, carry)
        return out

    def _as_rows(self, half: Encoder | Decoder) -> RowCoder:
        with self._building:  # several threads may come at once
            if half not in self._on_rows:
                self._on_rows[half] = RowCoder(half.layers, self.config)
            return self._on_rows[half]


def _prepared(chunk: Tensor, count: int, layers: LayerStates | None, last: bool) -> PreparedChunk:
    """Prepare to code the first ``count`` of a chunk [..., T] and keep the rest."""
    ready, pending = chunk[..., :count], chunk[..., count:].clone()
    if count == 0:
        return PreparedChunk(ready, None, StreamState(pending, layers))
    carry = Carry(layers, last)
    return PreparedChunk(ready, carry, StreamState(pending, carry.after))


_DROPPED = re.compile(r"quantiser\.codebooks\.\d+\.(inited|cluster_size|embed_avg)")
_RENAMED = [
    (re.compile(pattern), name)
    for pattern, name in [
        (r"^(encoder|decoder)\.model\.", r"\1.layers."),
        (r"\.(conv|convtr)\.(conv|convtr)\.", ".conv."),
        (r"\.(conv|convtr)\.norm\.", ".norm."),
        (r"^quantizer\.(vq\.)?layers\.(\d+)\._?codebook\.", r"quantiser.codebooks.\2."),
        (r"^(quantiser\.codebooks\.\d+)\.embed$", r"\1.entries"),
    ]
]


def rename(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a checkpoint's tensors by this module's names, from the original's or Transformers'.

    Drops what only the codebooks' training needs: their moving averages and usage counts.
    """
    ours = {}
    for name, tensor in tensors.items():
        for pattern, replacement in _RENAMED:
            name = pattern.sub(replacement, name)
        if not _DROPPED.fullmatch(name):
            ours[name] = tensor
    return ours
