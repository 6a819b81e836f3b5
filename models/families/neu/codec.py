"""Put a Neu network behind the interface of all codecs."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path

import torch
from torch import Tensor

from neucodec.models.batching import batch_for, one_by_one
from neucodec.models.catalogue.card import Card
from neucodec.models.codec import AudioChunk, CodeChunk, IndependentChunks, State
from neucodec.models.errors import ModelError
from neucodec.models.families.family import configured
from neucodec.models.parts.state_dict import read_checkpoint, restore
from neucodec.models.signal_ends import own_audio, reflected

from .decoder import NeuDecoder
from .encoder import NeuEncoder
from .network import Neu, NeuConfig


class NeuCodec(IndependentChunks):
    """A loaded Neu checkpoint, behind the interface of all codecs."""

    def __init__(self, card: Card, network: Neu, device: torch.device) -> None:
        self.card = card
        self.fingerprint = card.fingerprint
        self.network = network.to(device).eval().requires_grad_(False)
        self.device = device
        self.batch = batch_for(device)
        self.window = lru_cache(maxsize=8)(self._window)

    @classmethod
    def load(cls, card: Card, path: Path, device: torch.device) -> NeuCodec:
        """Build the network that a card describes and fill it from a weights file.

        Raises ModelError where the two do not fit.
        """
        config = configured(card, NeuConfig)
        try:
            checkpoint = read_checkpoint(path)
            network = restore(lambda: Neu(config), checkpoint.tensors, checkpoint.source)
        except ModelError as error:
            raise ModelError(f"{path.name} does not fit the card of {card.name}: {error}") from None
        except ValueError as error:
            raise ModelError(f"{card.name}: its [config] does not fit neu: {error}") from None
        return cls(card, network, device)

    @torch.inference_mode()
    def encode(
        self, chunk: AudioChunk, codebooks: int, state: State = None
    ) -> tuple[CodeChunk, State]:
        """Encode audio [B, 1, F * hop + 2 * context] at unit RMS; see `Codec.encode`."""
        audio = chunk.audio[:, 0].to(self.device)
        codes = one_by_one(lambda one: self._encoder(one, codebooks), audio)
        return CodeChunk(codes=codes.cpu(), frames=chunk.frames), None

    @torch.inference_mode()
    def decode(self, chunk: CodeChunk, state: State = None) -> tuple[Tensor, State]:
        """Decode a chunk to audio [B, 1, F * hop + 2 * context], ready to overlap-add."""
        # A last chunk that is whole is not known to be the last while the next may still come.
        last = chunk.last and chunk.frames < self.card.chunk_frames
        codes, before = reflected(chunk.codes, first=chunk.first, last=last)
        audio = one_by_one(
            lambda one: self._decoder(one, before, chunk.frames), codes.to(self.device)
        )[:, None].cpu()
        return own_audio(audio, codes.shape[-1], before, chunk.frames, self), None

    @cached_property
    def _encoder(self) -> NeuEncoder:
        return NeuEncoder(self.network)

    @cached_property
    def _decoder(self) -> NeuDecoder:
        return NeuDecoder(self.network)

    def _window(self, frames: int) -> Tensor:
        """Return the weight [F * hop + 2 * context]: the sum of the spectra's weighted windows."""
        spectrum, hop = self.network.spectrum, self.network.config.hop
        frames *= self.network.config.stack
        each = spectrum.window.square() * (hop / spectrum.window.square().sum())
        parts = self.network.frame_weights(frames)[:, None, None] * each.view(-1, hop)
        total = each.new_zeros(frames + parts.shape[1] - 1, hop)
        for k in range(parts.shape[1]):
            total[k : k + frames] += parts[:, k]
        return total.flatten().cpu()
