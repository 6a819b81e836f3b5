"""Run Neu's encoder for inference: the same function as `Neu.encode`, see `inference`.

The quantiser never goes back to the latent. It projects the latent for all codebooks at once, and
subtracts what an entry takes from the residual from the projections that are still to be coded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from neucodec.models.parts.argmax import argmax

from .inference import Linear, Middle, after_norm, exact

if TYPE_CHECKING:
    from neucodec.models.parts.trained_rvq import ResidualQuantiser

    from .network import Neu


class _Chain:
    """`ResidualQuantiser.encode` with all products that do not depend on the latent made before."""

    def __init__(self, quantiser: ResidualQuantiser) -> None:
        books = quantiser.stages()
        self._dim = books[0].entries.shape[1]
        device = books[0].entries.device
        downs = torch.cat([exact(book.down.weight) for book in books])  # [K * dim, D]
        biases = torch.cat([exact(book.down.bias) for book in books])
        self._entries, self._scores, self._taken = [], [], []
        for k, book in enumerate(books):
            later = slice((k + 1) * self._dim, None)
            biases[later] -= downs[later] @ exact(book.up.bias)
            taken = downs[later] @ exact(book.up.weight)  # [later, dim]
            self._taken.append(-taken.float().T.contiguous().to(device))
            # |p - e|^2 is least where p.e - |e|^2 / 2 is largest.
            halves = book.entries.square().sum(-1) / 2
            self._scores.append(Linear(book.entries, -halves, device))
            self._entries.append(book.entries)
        self._down = Linear(downs, biases, device)

    def __call__(self, latent: Tensor, count: int) -> Tensor:
        """Encode a latent [N, D] to codes [N, count] (int64)."""
        dim = self._dim
        points = torch.addmm(
            self._down.bias[: count * dim], latent, self._down.weight[:, : count * dim]
        )
        codes = []
        for k in range(count):
            later = points[:, (k + 1) * dim :]
            code = argmax(self._scores[k](points[:, k * dim : (k + 1) * dim]))
            codes.append(code)
            entry = F.embedding(code, self._entries[k])
            later.addmm_(entry, self._taken[k][:, : later.shape[1]])
        return torch.stack(codes, dim=1)


class NeuEncoder:
    """Made from a loaded `Neu`, on its device; several threads may use one."""

    def __init__(self, network: Neu) -> None:
        c, trunk = network.config, network.encoder
        self._low, self._stack, self._bands = c.phase_bins, c.stack, network.bands
        self._spectrum = network.spectrum
        device = trunk.input.weight.device
        weight, bias = exact(trunk.input.weight), exact(trunk.input.bias)
        each = weight.view(len(weight), c.stack, -1)  # of the spectra in a frame
        level, parts = torch.split(each, [network.parts[0], 2 * self._low], dim=-1)
        # The network is shown 0.3 log(|s| + 1e-4) + 1.
        level = level.flatten(1)
        self._level = Linear(0.3 * level, bias + level.sum(1), device)
        # Real and imaginary parts lie by turns in memory.
        parts = parts.reshape(len(parts), c.stack, 2, -1).transpose(2, 3).flatten(1)
        self._direction = parts.float().T.contiguous().to(device)
        self._middle = Middle(trunk)
        self._output = Linear(*after_norm(trunk.output_norm, trunk.output), device)
        self._chain = _Chain(network.quantiser)

    def __call__(self, audio: Tensor, codebooks: int) -> Tensor:
        """Encode audio [B, F * hop + 2 * context] to codes [B, codebooks, F], see `Neu.encode`."""
        spectrum = torch.view_as_real(self._spectrum.analyse(audio))  # [B, F * stack, bins, 2]
        batch, frames = spectrum.shape[0], spectrum.shape[1] // self._stack
        real, imaginary = spectrum.flatten(0, 1).unbind(-1)
        size = (real * real).addcmul_(imaginary, imaginary)
        levels = self._bands.magnitudes(size) if self._bands else None
        size.sqrt_()
        low = size[:, : self._low].clamp_min(1e-6).pow_(-0.7)
        low = spectrum[..., : self._low, :].flatten(0, 1) * low[..., None]
        levels = (size if levels is None else levels).add_(1e-4).log_()
        rows = batch * frames
        x = self._level(levels.view(rows, -1)).addmm_(low.view(rows, -1), self._direction)
        latent = self._output(self._middle(x.view(batch, frames, -1)))
        codes = self._chain(F.layer_norm(latent, latent.shape[-1:]), codebooks)
        return codes.view(batch, frames, codebooks).transpose(1, 2)
