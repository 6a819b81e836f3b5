"""Run Neu's decoder for inference: the same function as `Neu.decode`, see `inference`.

The codebooks, too, are multiplied with the first layer when the weights are loaded.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from neucodec.models.parts.phase import Phases

from .inference import Linear, Middle, after_norm, exact
from .limiter import limit

if TYPE_CHECKING:
    from .network import Neu

_ALIGNED = 16
"""A matrix product is up to half as fast again if its rows have a multiple of this many floats, the
width of a vector register."""


class NeuDecoder:
    """Made from a loaded `Neu`, on its device; several threads may use one."""

    def __init__(self, network: Neu) -> None:
        c, trunk = network.config, network.decoder
        self._spectrum = network.spectrum
        self._frame_weights = lru_cache(maxsize=8)(network.frame_weights)
        device, first = trunk.input.weight.device, exact(trunk.input.weight)
        books = network.quantiser.stages()
        self._entries = torch.cat([book.entries for book in books]).float()
        self._starts = torch.arange(len(books), device=device) * c.codebook_size
        weights = torch.cat([first @ exact(book.up.weight) for book in books], dim=1)
        self._first_weight = weights.float().T.contiguous().to(device)  # [codebooks * dim, width]
        shifts = torch.stack([first @ exact(book.up.bias) for book in books]).cumsum(0)
        biases = shifts + exact(trunk.input.bias)
        self._first_bias = biases.float().to(device)  # [codebooks, width]
        self._middle = Middle(trunk)
        weight, bias = after_norm(trunk.output_norm, trunk.output)
        self._phases, self._bands, self._stack = network.phases, network.bands, c.stack
        self._levels = network.parts[0]
        # Of every spectrum in a frame its levels, then the two parts of its directions.
        stacked = torch.cat([weight, bias[:, None]], dim=1).view(c.stack, -1, weight.shape[1] + 1)
        layers = (part.flatten(0, 1) for part in torch.split(stacked, network.parts, dim=1))
        padded = (F.pad(layer, (0, 0, 0, -len(layer) % _ALIGNED)) for layer in layers)
        level, *direction = ((layer[:, :-1], layer[:, -1]) for layer in padded)
        # `Neu.spectra` takes three times the level.
        self._level = Linear(3 * level[0], 3 * level[1], device)
        self._direction = [Linear(*layer, device) for layer in direction]

    def __call__(self, codes: Tensor, before: int = 0, own: int | None = None) -> Tensor:
        """Decode codes [B, K, F] to windowed audio [B, F * hop + 2 * context], see `Neu.decode`.

        The ``own`` frames from ``before`` on are the chunk's, and decide where its noise begins.
        """
        batch, count, frames = codes.shape
        places = (codes + self._starts[:count, None]).transpose(1, 2)
        points = F.embedding(places, self._entries).view(batch * frames, -1)
        x = torch.addmm(self._first_bias[count - 1], points, self._first_weight[: points.shape[1]])
        rows = self._middle(x.view(batch, frames, -1))
        spectra = frames * self._stack

        def each(stacked: Tensor, width: int) -> Tensor:
            """Split rows by spectra, [B, F * stack, width], without what only fills them up."""
            return stacked[:, : self._stack * width].reshape(batch, spectra, width)

        size = self._level(rows)
        if self._bands:
            size = self._bands.bins(each(size, self._levels)).clamp_(max=7.0).exp_()
        else:
            size = each(size.clamp_(max=7.0).exp_(), self._levels)
        size = size * self._frame_weights(spectra)[:, None]
        start = Phases.start(codes[..., before:][..., :own]) - before * self._stack
        direction = (each(layer(rows), self._phases.given) for layer in self._direction)
        real, imaginary = self._phases(*direction, start)
        spectrum = torch.complex(real.mul_(size), imaginary.mul_(size))
        return limit(self._spectrum.synthesise(spectrum), self._spectrum.hop)
