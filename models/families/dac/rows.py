"""Run DAC's decoder on a CPU: the same function, time-major, some hundred rows at a time.

A row holds the channels of one moment. Rows and what is computed of them stay in the cache from a
residual unit's first Snake to its last addition; whole tensors would go through memory five times
for each Snake alone. Convolutions are matrix products of rows. Snake's factors and all biases are
moved into weights, and into the one addition that Snake begins with. Of the context around a chunk
every layer computes only what later layers still see.
"""

from __future__ import annotations

from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neucodec.models.parts.receptive_field import Convolution, convolutions, receptive_field
from neucodec.models.parts.snake import Snake
from neucodec.models.parts.winograd import WinogradConvolution


class RowSnake:
    """Snake times its own frequency, a x + sin(a x)^2, over rows [T, C].

    ``shift`` [C] is still to be added to the rows. The weights of the next layer divide by ``a``.
    """

    def __init__(self, snake: Snake, shift: Tensor, dtype: torch.dtype) -> None:
        alpha = snake.alpha.detach().flatten()
        # Where it is 0, Snake is the identity; with so small a one it is so but for 1e-6 x.
        self.a = torch.where(alpha.abs() < 1e-6, torch.full_like(alpha, 1e-6), alpha)
        self._scale, self._shift = self.a.to(dtype), (self.a * shift).to(dtype)

    def __call__(self, x: Tensor, out: Tensor, scratch: Tensor) -> None:
        """Apply to rows [T, C] and write ``out``, which may be the same; ``scratch`` [>= T, C]."""
        sine = scratch[: len(x)]
        torch.addcmul(self._shift, self._scale, x, out=out)
        torch.sin(out, out=sine)
        out.addcmul_(sine, sine)


class PlainConvolution:
    """A dilated convolution between rows [T, C], without bias, by PyTorch's own.

    It has the interface of `WinogradConvolution`.
    """

    step = 1
    """Numbers of rows that can be computed are multiples of this."""

    def __init__(self, weight: Tensor, dilation: int) -> None:
        """Take ``weight`` [outputs, inputs, taps], as `torch.nn.Conv1d` has it."""
        self._weight = weight[:, :, None].contiguous(memory_format=torch.channels_last)
        self._dilation = dilation

    def scratch(self, rows: int) -> Tensor:
        """Return an empty tensor: no memory is needed."""
        return self._weight.new_empty(0)

    def __call__(self, x: Tensor, scratch: Tensor) -> Tensor:
        """Convolve rows [T + (taps - 1) * dilation, inputs] to rows [T, outputs]."""
        # To PyTorch rows are the channels-last layout of an image one pixel high.
        out = F.conv2d(x.t()[None, :, None], self._weight, dilation=self._dilation)
        return out[0, :, 0].t()


class Layer(Protocol):
    """A part of the decoder on rows."""

    chain: list[Convolution]
    """The convolutions that the layer stands for, in order."""
    shift: Tensor
    """Bias [C] that is still to be added to the rows that come out."""

    def __call__(self, x: Tensor) -> Tensor:
        """Turn rows [T, C] into rows, with silence before and behind; may overwrite the input."""
        ...


class RowUnit:
    """`neucodec.models.families.dac.network.ResidualUnit` on rows, in place."""

    def __init__(self, unit: nn.Sequential, shift: Tensor, dtype: torch.dtype) -> None:
        """Take a unit, and the bias ``shift`` [C] that is to be added to the rows that come in."""
        first, wide, second, narrow = unit
        assert isinstance(wide, nn.Conv1d) and isinstance(narrow, nn.Conv1d)
        self.chain = convolutions(unit)
        self._first = RowSnake(cast(Snake, first), shift, dtype)
        weight = (wide.weight / self._first.a[:, None]).to(dtype)
        # Winograd's sums would lose too much of bfloat16's eight bits.
        exact = dtype == torch.float32
        self._wide = (WinogradConvolution if exact else PlainConvolution)(weight, wide.dilation[0])
        self._reach = wide.dilation[0] * (wide.kernel_size[0] - 1) // 2
        # Larger tiles for the plain one, which arranges its weights anew for each.
        self._tile = (1152 if exact else 2304) // self._wide.step * self._wide.step
        self._second = RowSnake(cast(Snake, second), cast(Tensor, wide.bias), dtype)
        self._narrow = (narrow.weight[:, :, 0] / self._second.a).t().to(dtype).contiguous()
        self.shift = shift + cast(Tensor, narrow.bias)

    def __call__(self, x: Tensor) -> Tensor:
        """Turn rows [T, C] into rows of the same shape, in place."""
        width, reach, step = x.shape[1], self._reach, self._wide.step
        tile = min(self._tile, -(-len(x) // step) * step)
        scratch = x.new_empty(tile, width)
        spare = self._wide.scratch(tile)
        # After Snake, what lies before and behind the signal is silence. The window holds rows
        # from ``reach`` before the tile to ``reach`` behind it.
        window = x.new_zeros(tile + 2 * reach, width)
        head = x[:reach]
        self._first(head, window[reach : reach + len(head)], scratch)
        for start in range(0, len(x), tile):
            coming = x[start + reach : start + reach + tile]
            self._first(coming, window[2 * reach : 2 * reach + len(coming)], scratch)
            window[2 * reach + len(coming) :] = 0
            rows = x[start : start + tile]
            whole = -(-len(rows) // step) * step
            y = self._wide(window[: whole + 2 * reach], spare)[: len(rows)]
            self._second(y, y, scratch)
            torch.addmm(rows, y, self._narrow, out=rows)
            window[: 2 * reach] = window[tile:].clone()
        return x


class RowUpsampling:
    """Snake and the transposed convolution of twice the stride behind it, on rows."""

    TILE = 1152
    """How many rows are computed at once."""

    def __init__(
        self, snake: Snake, convolution: nn.ConvTranspose1d, shift: Tensor, dtype: torch.dtype
    ) -> None:
        self.chain = convolutions(convolution)
        self._snake = RowSnake(snake, shift, dtype)
        weight = convolution.weight / self._snake.a[:, None, None]
        inputs, self._outputs, _ = weight.shape
        self._padding = int(convolution.padding[0])
        # A row gives the first half of the taps to its own samples and the other to the next row's.
        halves = weight.transpose(1, 2).reshape(inputs, 2, -1).transpose(0, 1)
        self._weight = halves.reshape(2 * inputs, -1).to(dtype).contiguous()
        self.shift = cast(Tensor, convolution.bias)

    def __call__(self, x: Tensor) -> Tensor:
        """Turn rows [T, C] into rows [T * stride, C / 2], one less if the stride is odd."""
        count, width = x.shape
        out = x.new_empty(count + 1, self._weight.shape[1])
        scratch = x.new_empty(self.TILE, width)
        pairs = x.new_zeros(self.TILE, 2, width)  # a row, and the one before it
        for start in range(0, count + 1, self.TILE):
            rows = x[start : start + self.TILE]
            own = pairs[: min(self.TILE, count + 1 - start)]
            own[0, 1] = pairs[-1, 0]
            self._snake(rows, own[: len(rows), 0], scratch)
            own[len(rows) :, 0] = 0
            own[1:, 1] = own[:-1, 0]
            torch.mm(own.flatten(1), self._weight, out=out[start : start + len(own)])
        samples = out.view(-1, self._outputs)
        return samples[self._padding : len(samples) - self._padding]


class RowDecoder:
    """All of `neucodec.models.families.dac.network.Dac.decoder`, in float32 or bfloat16."""

    def __init__(self, decoder: nn.Sequential, dtype: torch.dtype = torch.float32) -> None:
        first, *blocks, snake, last, _ = decoder
        assert isinstance(first, nn.Conv1d) and isinstance(last, nn.Conv1d)
        self._first, self._last, self._dtype = first, last, dtype
        self._layers: list[Layer] = []
        shift = torch.zeros(first.out_channels, dtype=torch.float32)
        for block in blocks:
            opening, convolution, *units = cast(nn.Sequential, block)
            assert isinstance(convolution, nn.ConvTranspose1d)
            self._layers.append(RowUpsampling(cast(Snake, opening), convolution, shift, dtype))
            for unit in units:
                shift = self._layers[-1].shift
                self._layers.append(RowUnit(cast(nn.Sequential, unit), shift, dtype))
            shift = self._layers[-1].shift
        self._snake = RowSnake(cast(Snake, snake), shift, dtype)
        self._taps = (last.weight[0] / self._snake.a[:, None]).to(dtype).contiguous()

    def __call__(self, latent: Tensor, start: int, stop: int) -> Tensor:
        """Decode a latent [B, latent, F] to the samples [B, 1, stop - start] from ``start`` on."""
        return torch.stack([self._audio(item[None], start, stop) for item in latent])[:, None]

    def _audio(self, latent: Tensor, start: int, stop: int) -> Tensor:
        # What the output needs of each layer's input, from the last to the first.
        first, last = receptive_field([self._last], start, stop - 1)
        needs = [(first, last)]
        for layer in reversed(self._layers):
            first, last = receptive_field(layer.chain, first, last)
            needs.append((first, last))
        x = self._first(latent)[0].t().to(self._dtype)
        begin = 0
        for layer, (first, last) in zip(self._layers, reversed(needs), strict=False):
            x = x[max(0, first - begin) : max(0, last + 1 - begin)].contiguous()
            x = layer(x)
            begin = max(begin, first) * layer.chain[0].stride[0]
        first, last = needs[0]
        audio = self._output(x[max(0, first - begin) : last + 1 - begin])
        begin = max(begin, first)
        return audio[start - begin : stop - begin]

    def _output(self, x: Tensor) -> Tensor:
        """Turn the last layer's rows [T, C] into audio [T]."""
        # One output: every row's share in the samples around it, then their sums.
        count = self._taps.shape[1]
        shares = torch.zeros(len(x) + count - 1, count, dtype=torch.float32)
        scratch, tile = torch.empty_like(x), x.new_empty(1152, x.shape[1])
        for start in range(0, len(x), len(tile)):
            rows = x[start : start + len(tile)]
            y = tile[: len(rows)]
            self._snake(rows, y, scratch)
            at = start + count // 2
            shares[at : at + len(rows)] = y @ self._taps
        diagonals = shares.as_strided((len(x), count), (count, count + 1))
        return (diagonals.sum(1) + cast(Tensor, self._last.bias)).tanh()
