"""Bands in which a codec sees and gives magnitudes, where single bins are finer than the ear."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Bands(nn.Module):
    """Overlapping triangles, a bin wide at the bottom and wider and wider above.

    Band ``k`` of ``n`` is about bin ``a * sinh(k / a)``: one a bin as long as that is below ``a``,
    in proportion to frequency far above it, as the ear's bands are (Traunmueller, JASA 88, 1990).
    Between the middles of bands logarithms of magnitudes run straight.
    """

    gather: Tensor
    spread: Tensor

    def __init__(self, bins: int, count: int) -> None:
        """``count`` bands of ``bins`` bins, fewer than those."""
        super().__init__()
        if not 2 <= count < bins:
            raise ValueError(f"{count} bands of {bins} bins: give 2 to {bins - 1}")
        middles = _middles(bins, count)
        place = np.interp(np.arange(bins), middles, np.arange(count))  # in bands
        share = np.clip(1 - np.abs(place - np.arange(count)[:, None]), 0, 1)  # [count, bins]
        spread = torch.from_numpy(share).float()
        gather = torch.from_numpy((share / share.sum(1, keepdims=True)).T).float()
        self.register_buffer("spread", spread, persistent=False)
        self.register_buffer("gather", gather.contiguous(), persistent=False)

    def magnitudes(self, power: Tensor) -> Tensor:
        """Powers of bins [..., bins] to magnitudes in bands [..., count]: roots of mean powers."""
        return (power @ self.gather).sqrt()

    def bins(self, level: Tensor) -> Tensor:
        """Logarithms of magnitudes in bands [..., count] to those of bins [..., bins]."""
        return level @ self.spread


def _middles(bins: int, count: int) -> NDArray[np.float64]:
    """Places of bands among bins, the first and the last at either end."""
    last, steps = bins - 1, count - 1
    low, high = steps / 700, 1e6  # of a, between which sinh neither overflows nor loses its curve
    for _ in range(200):
        a = (low + high) / 2
        low, high = (a, high) if a * np.sinh(steps / a) > last else (low, a)
    places: NDArray[np.float64] = a * np.sinh(np.arange(count) / a)
    return places * (last / places[-1])
