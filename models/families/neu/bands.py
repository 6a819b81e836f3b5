"""Gather spectral magnitudes in bands, where single bins are finer than the ear."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Bands(nn.Module):
    """Overlapping triangles, a bin wide at the bottom and wider and wider above.

    Band ``k`` of ``n`` is about bin ``a * sinh(k / a)``: below bin ``a`` there is about one band a
    bin, far above it a band is as wide as is in proportion to its frequency, as the ear's are
    (Traunmueller, JASA 88, 1990). From bands to bins, logarithms of magnitudes are interpolated
    linearly.
    """

    gather: Tensor
    """Weights [bins, count] by which powers of bins become powers of bands."""
    spread: Tensor
    """Weights [count, bins] by which levels of bands become levels of bins."""

    def __init__(self, bins: int, count: int) -> None:
        """Make ``count`` bands of ``bins`` bins; ValueError unless there are fewer bands."""
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
        """Turn powers of bins [..., bins] into magnitudes of bands [..., count]: roots of means."""
        return (power @ self.gather).sqrt()

    def bins(self, level: Tensor) -> Tensor:
        """Turn logarithms of magnitudes of bands [..., count] into those of bins [..., bins]."""
        return level @ self.spread


def _middles(bins: int, count: int) -> NDArray[np.float64]:
    """Return the places [count] of the bands' middles among the bins, from the first to the last.

    ``a`` is found by bisection, so that the last band is at the last bin.
    """
    last, steps = bins - 1, count - 1
    low, high = steps / 700, 1e6  # of a, between which sinh neither overflows nor loses its curve
    for _ in range(200):
        a = (low + high) / 2
        low, high = (a, high) if a * np.sinh(steps / a) > last else (low, a)
    places: NDArray[np.float64] = a * np.sinh(np.arange(count) / a)
    return places * (last / places[-1])
