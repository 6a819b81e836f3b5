"""Converts sample rates in blocks, each of which comes out the same wherever one starts.

A streaming resampler carries state from the first sample on, so a decoder that starts in the
middle would get slightly different samples. Here block j, the input's samples
[j * in_rate, (j + 1) * in_rate), is converted on its own (libsoxr, VHQ) with enough of its
neighbours on both sides. It gives the output's samples [j * out_rate, (j + 1) * out_rate), which
are the same bit for bit wherever decoding starts.

Seams lie below float32's rounding for every ratio that libsoxr computes exactly, which is all
that are in use. For others (44099:44100) its clock drifts within a block and starts anew with
the next; the step, measured on white noise of full scale, stays below 2e-5, the last bit of 16.
"""

from __future__ import annotations

from math import gcd

import numpy as np
import soxr
from numpy.typing import NDArray

from neucodec.errors import NeucodecError

MIN_RATE = 1_000  # Hz
MAX_RATE = 768_000

_REACH = 256
"""Samples at the lower of the two rates after which VHQ's impulse response is below 1e-8 of its
peak. Measured as 150 for ratios from 1:768 to 768:1; the rest is a margin."""
_CHANNELS_AT_ONCE = 8
"""Number of channels that are converted at once."""

Audio = NDArray[np.float32]


class BlockResampler:
    """Converts float32 [n, channels] from `in_rate` to `out_rate` (Hz), holding about a second.

    The input that is pushed must begin at sample `first_input`, and the output begins at sample
    `first_output`; both are 0 where `start_block` is 0. n samples from 0 on give
    ceil(n * out_rate / in_rate). Equal rates pass through; then every sample is a block. Raises
    NeucodecError for rates out of range.
    """

    def __init__(self, in_rate: int, out_rate: int, channels: int, start_block: int = 0) -> None:
        self.in_rate, self.out_rate, self.channels = in_rate, out_rate, channels
        self._passes = in_rate == out_rate
        if self._passes:
            self.first_input = self.first_output = start_block
            return
        for rate in (in_rate, out_rate):
            if not MIN_RATE <= rate <= MAX_RATE:
                raise NeucodecError(
                    f"cannot convert {in_rate} Hz to {out_rate} Hz: "
                    f"{MIN_RATE} to {MAX_RATE} Hz are possible"
                )
        self._before, after = _context(in_rate, out_rate)
        self._early = self._before * out_rate // in_rate
        start = start_block * in_rate
        self.first_input = max(0, start - self._before)
        self.first_output = start_block * out_rate
        self._window = np.zeros((self._before + in_rate + after, channels), np.float32)
        self._filled = self._before - (start - self.first_input)
        self._inputs = self.first_input
        self._outputs = self.first_output

    @staticmethod
    def block_of(in_rate: int, out_rate: int, output: int) -> int:
        """Return the number of the block that gives sample `output` of the output."""
        return output if in_rate == out_rate else output // out_rate

    @staticmethod
    def reach(in_rate: int, out_rate: int) -> int:
        """Return how many input samples after its own time an output sample may depend on."""
        return 0 if in_rate == out_rate else in_rate + _context(in_rate, out_rate)[1]

    @staticmethod
    def output_length(in_rate: int, out_rate: int, inputs: int) -> int:
        """Return the number of output samples that `inputs` input samples give."""
        return -(-inputs * out_rate // in_rate)

    def push(self, block: Audio) -> Audio:
        """Take the next input [n, channels]; return the output [m, channels] that is complete."""
        if self._passes:
            return block
        self._inputs += len(block)
        done: list[Audio] = []
        while len(block):
            count = min(len(block), len(self._window) - self._filled)
            self._window[self._filled : self._filled + count] = block[:count]
            self._filled += count
            block = block[count:]
            if self._filled == len(self._window):
                done.append(self._convert())
        return self._joined(done)

    def finish(self) -> Audio:
        """Return the rest of the output [m, channels]; nothing may be pushed after this."""
        if self._passes:
            return np.zeros((0, self.channels), np.float32)
        end = self.output_length(self.in_rate, self.out_rate, self._inputs)
        done: list[Audio] = []
        while (missing := end - self._outputs) > 0:
            self._window[self._filled :] = 0
            done.append(self._convert()[:missing])
        return self._joined(done)

    def _convert(self) -> Audio:
        """Convert the window's block to [out_rate, channels]; move the window by one block."""
        # Silence gives silence, which takes no memory.
        out: Audio = np.broadcast_to(np.float32(0), (self.out_rate, self.channels))
        here = slice(self._early, self._early + self.out_rate)
        # A few channels at a time: for very many, the memory in use would be several times that of
        # the output.
        for first in range(0, self.channels, _CHANNELS_AT_ONCE):
            some = slice(first, first + _CHANNELS_AT_ONCE)
            if self._window[:, some].any():
                out = out if out.flags.writeable else np.zeros(out.shape, np.float32)
                window = np.ascontiguousarray(self._window[:, some])
                converted = soxr.resample(window, self.in_rate, self.out_rate, "VHQ")[here]
                out[: len(converted), some] = converted
        kept = self._window[self.in_rate :]
        self._window[: len(kept)] = kept
        self._filled = len(kept)
        self._outputs += self.out_rate
        return out

    def _joined(self, blocks: list[Audio]) -> Audio:
        """Join blocks, of which there may be none."""
        if len(blocks) == 1:
            return blocks[0]
        return np.concatenate([np.zeros((0, self.channels), np.float32), *blocks])


def _context(in_rate: int, out_rate: int) -> tuple[int, int]:
    """Return how many input samples before and after a block are converted with it.

    Those before are a whole number of periods of the ratio, so that the first of them falls on a
    sample of the output.
    """
    after = -(-_REACH * in_rate // min(in_rate, out_rate))
    period = in_rate // gcd(in_rate, out_rate)
    return -(-after // period) * period, after
