"""Convolve along time with fewer products: Toom-Cook, known as Winograd's minimal filtering.

Four outputs of a filter of seven taps are a product of two polynomials, which its values at ten
points determine: ten matrix products in place of twenty-eight (Winograd, Arithmetic Complexity of
Computations, 1980; Lavin and Gray, arXiv 1509.09308, for networks). The price is exactness: an
error of about 3e-6 of the signal in float32, where the plain sum has 3e-7. Two outputs of two taps
need three products in place of four, and lose hardly any exactness.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

TAPS = 7
"""Taps of the filter."""
OUTPUTS = 4
"""How many outputs share their products."""
_PAIRS = (0.42, 0.81, 1.2, 2.33)
"""Points at which the polynomials are evaluated, plus and minus, besides 0 and infinity. Of a few
dozen sets these gave the least rounding."""


class WinogradConvolution:
    """A dilated convolution of seven taps between rows [T, C], without bias."""

    def __init__(self, weight: Tensor, dilation: int) -> None:
        """Take ``weight`` [outputs, inputs, 7], as `torch.nn.Conv1d` has it."""
        points = [0.0, *(sign * p for p in _PAIRS for sign in (1, -1))]
        count = OUTPUTS + TAPS - 1
        powers = np.array(
            [[p**k for k in range(count)] for p in points] + [[0] * (count - 1) + [1]]
        )
        evaluate = powers[:, :TAPS].copy()
        evaluate[-1, -1] = 1
        self._input = np.linalg.inv(powers).T
        # Let the last coefficient of each row be 1: that saves a multiplication.
        for j, row in enumerate(self._input):
            lead = row[count - 1 if j == count - 1 else count - 2]
            evaluate[j] *= lead
            row /= lead
        factors = torch.einsum("jk,oik->jio", torch.from_numpy(evaluate), weight.double())
        self._weight = factors.to(weight.dtype).contiguous()
        self._dilation = dilation
        self.step = OUTPUTS * dilation
        """Numbers of rows that can be computed are multiples of this."""

    def scratch(self, rows: int) -> Tensor:
        """Return memory for calls with up to ``rows`` rows."""
        _, inputs, outputs = self._weight.shape
        return self._weight.new_empty(6 + OUTPUTS, rows // OUTPUTS * max(inputs, outputs))

    def __call__(self, x: Tensor, scratch: Tensor) -> Tensor:
        """Convolve rows [T + 6 * dilation, inputs] to rows [T, outputs], which lie in ``scratch``.

        T is a multiple of ``step``.
        """
        _, inputs, outputs = self._weight.shape
        # With dilation d, d signals lie interleaved; as wide rows they are side by side.
        wide = x.view(-1, self._dilation * inputs)
        count = len(x) // self.step - (TAPS - 1) // OUTPUTS
        rows = [wide[i : i + OUTPUTS * (count - 1) + 1 : OUTPUTS] for i in range(len(self._weight))]
        out = scratch[6:].view(-1)[: count * self.step * outputs]
        y = out.view(count, OUTPUTS, -1).unbind(1)
        taken, given = (count * self._dilation * width for width in (inputs, outputs))
        even, odd, plus = (part[:taken].view(count, -1) for part in scratch[:3])
        above, below, total = (part[:given].view(count, -1) for part in scratch[3:6])

        def product(j: int, values: Tensor, result: Tensor) -> None:
            torch.mm(values.view(-1, inputs), self._weight[j], out=result.view(-1, outputs))

        def combine(j: int, places: list[int], result: Tensor) -> None:
            row = self._input[j]
            *others, first, last = places
            torch.add(rows[last], rows[first], alpha=row[first] / row[last], out=result)
            for i in others:
                result.add_(rows[i], alpha=row[i] / row[last])

        combine(0, [0, 2, 4, 6, 8], even)
        product(0, even, above)
        combine(9, [1, 3, 5, 7, 9], odd)
        product(9, odd, below)
        y[0].copy_(above)
        y[1].zero_()
        y[2].zero_()
        y[3].copy_(below)
        for k, p in enumerate(_PAIRS):
            j = 2 * k + 1
            combine(j, [2, 4, 6, 8], even)
            combine(j, [1, 3, 5, 7], odd)
            torch.add(even, odd, alpha=self._input[j][7], out=plus)
            even.sub_(odd, alpha=self._input[j][7])
            product(j, plus, above)
            product(j + 1, even, below)
            torch.add(above, below, out=total)
            above.sub_(below)
            y[0].add_(total)
            y[1].add_(above, alpha=p)
            y[2].add_(total, alpha=p**2)
            y[3].add_(above, alpha=p**3)
        return out.view(-1, outputs)


def product(bias: Tensor | None, x: Tensor, weight: Tensor, out: Tensor | None = None) -> Tensor:
    """Return ``bias + x @ weight``, or ``x @ weight`` without a bias, in ``out`` if given."""
    if bias is None:
        return torch.mm(x, weight, out=out)
    return torch.addmm(bias, x, weight, out=out)


class TwoTaps:
    """A convolution of two taps between rows: ``out[t] = bias + x[t] @ first + x[t + 1] @ second``.

    Two outputs of the rows x, y and z share y (first + second); to this the one adds (x - y) first,
    the other (z - y) second.
    """

    _MIN_CHANNELS = 128
    """How many channels rows must have for saved products to outweigh the added sums."""

    def __init__(self, first: Tensor, second: Tensor, bias: Tensor | None) -> None:
        """Take both taps [inputs, outputs], and a bias [outputs] if there is one."""
        self._first, self._second, self._bias = first, second, bias
        self._both = first + second if len(first) >= self._MIN_CHANNELS else None

    def __call__(self, x: Tensor, out: Tensor) -> Tensor:
        """Convolve rows [T + 1, inputs] into ``out`` [T, outputs]."""
        paired = 0 if self._both is None else len(out) // 2 * 2
        if self._both is not None and paired:
            own, shared, following = (x[k : paired + k : 2] for k in range(3))
            both = product(self._bias, shared, self._both)
            torch.addmm(both, own - shared, self._first, out=out[0:paired:2])
            torch.addmm(both, following - shared, self._second, out=out[1:paired:2])
        if paired < len(out):
            rest = out[paired:]
            product(self._bias, x[paired:-1], self._first, rest)
            rest.addmm_(x[paired + 1 :], self._second)
        return out
