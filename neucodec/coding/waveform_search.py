"""Find the waveform layer of a chunk: as near to its original as so many bytes allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neucodec.audio.samples import Audio
from neucodec.formats import (
    MAX_GAIN,
    PARTS,
    WIDTH,
    ChunkWaveform,
    Header,
    StreamWaveform,
    WaveformGrid,
    encode_waveform,
    waveform_bits,
    waveform_gain,
    waveform_grid,
    waveform_places,
)

from .lapped import Splits, forward
from .levels import to_mid_side
from .mdct import Numbers
from .waveform import WaveformBands, band_energies, base_steps, predictions, strengths

TOPS = ((0, 4000), (1000, 5000), (2000, 6000), (4000, 7000), (8000, 8500), (12000, 12000),
        (20000, 14000), (28000, 16000))  # fmt: skip
"""Up to how many Hz a layer goes by its bits per second; what is between them, in between."""
DEAD_ZONE = 0.2
"""What is added before a magnitude is rounded down."""
SPLIT_BIASES = (1.05, 1.0, 1.05)
"""What the cost of a block of each split counts: in doubt quarters, which fill zeros best."""
FILLS = (0.5, 0.8)
"""How strongly zeros are filled, below and above `FILL_HZ`: below, what is wrong is heard more."""
FULL_BITRATE = 1000
"""Bits per second of a stream, below which zeros are filled the more the less there is."""
PREDICTION = 0.85
"""How much of the codes' own coefficients the lowest integers are over, at most."""
BITS_OF_ONE = 5.5
"""Bits that an integer of 1 takes, with the zeros around it."""
PEAK = 16.0
"""A coefficient whose square is above that many times its band's energy is part of a tone or a
click, which no codec's noise can stand for."""
PEAK_SHARE = 0.5
"""Of the power above the usual top such coefficients have that much where the layer is to reach
them;"""
HEARD = 1e-3
"""and that power is at least that much of all."""
LOUD_ENOUGH = 0.5
"""Of the codes' amplitude, from which on the original's counts as the same."""
_END_BITS = 64
"""What writing may take more than is counted."""
_ROUNDS = 12
"""Gains that are tried at most, each by coding all of it: three or four, mostly."""
_NEARLY_ALL = 0.985
"""Of the bits, when they count as used up."""


@dataclass(frozen=True, eq=False)
class WaveformSpan:
    """A chunk with what lies around it, once it is known."""

    original: Audio
    """[channels, samples]: of the chunk's blocks, and half a part beyond them on either side."""
    decoded: Audio
    """The joined sound of the codes, of the same samples."""
    mid_side: bool
    opened: tuple[bool, bool]
    """Whether the chunk before, and the one behind, have a layer, too."""
    last: bool
    """Whether no chunk follows."""
    frames: int
    bits: float
    """What its layer is to take."""


def find_waveform(span: WaveformSpan, header: Header) -> bytes:
    """Return the layer of a chunk as it is stored, of ``span.bits`` bits at most, where at all
    possible.
    """
    grid = waveform_grid(header)
    original, decoded = span.original, span.decoded
    if span.mid_side:
        original, decoded = to_mid_side(original), to_mid_side(decoded)
    searches = [
        _StreamSearch(wanted, sound, span.opened, grid, header.sample_rate)
        for wanted, sound in zip(original, decoded, strict=True)
    ]
    seconds = span.frames * header.hop / header.sample_rate
    bits = min(span.bits, 8.0 * header.largest_layer - _END_BITS)
    streams = _shared_out(searches, bits, seconds)
    return encode_waveform(header, span.frames, ChunkWaveform(span.last, streams))


def _shared_out(
    searches: Sequence[_StreamSearch], bits: float, seconds: float
) -> list[StreamWaveform]:
    """Give all streams the same gain, so that the louder of them get more of the bits."""
    rate = bits / seconds / len(searches)
    usual = float(np.interp(rate, *np.array(TOPS).T))
    kept = max(0.0, 1 - rate / FULL_BITRATE)
    tops = [search.top(usual) for search in searches]
    ratios = [search.ratios(top) for search, top in zip(searches, tops, strict=True)]
    gain = _first_gain(ratios, bits)
    for search, top in zip(searches, tops, strict=True):
        search.prepare(gain, top, kept)
    return _finest(searches, bits, round(gain))


def _first_gain(ratios: Sequence[Numbers], bits: float) -> float:
    """Return about the number of the gain that takes ``bits``, by squares of errors in steps."""
    sizes = np.concatenate([each.reshape(-1) for each in ratios])
    down, up = 0.0, float(MAX_GAIN)
    while up - down > 1:
        middle = (down + up) / 2
        scaled = sizes / waveform_gain(middle) ** 2
        coded = scaled[scaled > (1 - DEAD_ZONE) ** 2]
        proxy = BITS_OF_ONE * len(coded) + float(np.log2(np.maximum(coded, 1)).sum()) / 2
        down, up = (middle, up) if proxy > bits else (down, middle)
    return up


def _finest(searches: Sequence[_StreamSearch], bits: float, guess: int) -> list[StreamWaveform]:
    """Return the layer with the smallest gain that takes ``bits`` at most, in a few tries that
    begin with ``guess``.
    """
    fits: tuple[int, float, list[StreamWaveform]] | None = None
    exceeds: tuple[int, float] | None = None
    stride = 2
    for _ in range(_ROUNDS):
        streams = [search.quantised(guess) for search in searches]
        taken = sum(search.bits(stream) for search, stream in zip(searches, streams, strict=True))
        if taken <= bits:
            fits = guess, taken, streams
        else:
            exceeds = guess, taken
        if fits and (not fits[0] or fits[1] > _NEARLY_ALL * bits):
            break
        if fits and exceeds:
            down, up = exceeds[0], fits[0]
            if up - down <= 1:
                break
            share = np.log(exceeds[1] / bits) / np.log(exceeds[1] / max(fits[1], 1.0))
            guess = int(np.clip(round(down + share * (up - down)), down + 1, up - 1))
        else:
            # Bits change by about a twentieth with each number, and by less where they are few.
            distance = max(stride, int(abs(np.log(max(taken, 1.0) / bits)) * 20))
            guess = int(np.clip(guess + (-distance if fits else distance), 0, MAX_GAIN))
            stride *= 2
    return fits[2] if fits else [search.quantised(MAX_GAIN) for search in searches]


class _StreamSearch:
    """Holds what is known of one stream while its layer is looked for."""

    def __init__(
        self,
        original: Numbers,
        decoded: Numbers,
        opened: tuple[bool, bool],
        grid: WaveformGrid,
        sample_rate: int,
    ) -> None:
        self._original, self._decoded, self._opened = original, decoded, opened
        self._grid, self._rate = grid, sample_rate
        self._count = (len(original) - grid.part) // grid.block
        self._of_kind = [self._all_of(kind) for kind in range(len(PARTS))]

    def _all_of(self, kind: int) -> tuple[Splits, Numbers, Numbers]:
        """Return all blocks split alike, and the coefficients of both sounds then."""
        split = np.full(self._count, kind, np.uint8)
        split[[0, -1]] = min(kind, 1)
        return split, *self._transformed(split)

    def _transformed(self, split: Splits) -> tuple[Numbers, Numbers]:
        """Return coefficients of the original and of the codes' sound."""
        return (
            forward(self._original, split, self._grid, self._opened),
            forward(self._decoded, split, self._grid, self._opened),
        )

    def _top(self, hertz: float) -> int:
        """Return how many integers of a sixteenth of a block that is."""
        fine = self._grid.fine
        return max(1, min(fine, round(hertz * 2 * fine / self._rate)))

    def ratios(self, top: float) -> Numbers:
        """Return squares of errors in steps of a gain of 1, all blocks being in quarters."""
        self._quarters = self._ratios(1, self._top(top))
        return self._quarters

    def top(self, usual: float) -> float:
        """Return up to how many Hz the layer is to go: further than usual where there are tones or
        clicks.
        """
        grid, rate = self._grid, self._rate
        place = WIDTH * self._top(usual)
        reached = usual
        for split, wanted, own in self._of_kind:
            power = np.square(wanted)
            above = power[:, place:]
            energies = band_energies(own, split, WaveformBands.of(grid.fine, grid.block, rate))
            peaks = np.where(above > PEAK * energies[:, place:], above, 0).sum(axis=0)
            total = float(above.sum())
            if peaks.sum() > PEAK_SHARE * total and total > HEARD * float(power.sum()):
                highest = place + int(np.searchsorted(np.cumsum(peaks), 0.99 * peaks.sum())) + 8
                reached = max(reached, min(highest / grid.block, 1) * rate / 2)
        return reached

    def _ratios(self, kind: int, top: int) -> Numbers:
        split, wanted, own = self._of_kind[kind]
        bands = WaveformBands.of(top, self._grid.block, self._rate)
        own = own[:, : WIDTH * top]
        steps = base_steps(own, split, bands)
        errors = wanted[:, : WIDTH * top] - predictions(own, strengths(PREDICTION)[0], bands)
        squares: Numbers = np.square(errors / steps)
        return squares

    def prepare(self, gain: float, top_hertz: float, kept: float) -> None:
        """Choose which blocks are split, for about that gain, and take the errors.

        `ratios` must have been asked for with the same top before. At least the share ``kept`` of
        the codes' own coefficients is to be left where the layer has nothing.
        """
        top, scale = self._top(top_hertz), waveform_gain(gain) ** 2
        ratios = self._ratios(0, top), self._quarters, self._ratios(2, top)
        costs = np.stack([np.log2(1 + each / scale).sum(axis=1) for each in ratios])
        split = np.argmin(costs * np.array(SPLIT_BIASES)[:, None], axis=0).astype(np.uint8)
        split[[0, -1]] = np.minimum(split[[0, -1]], 1)
        wanted, own = self._transformed(split)
        bands = WaveformBands.of(top, self._grid.block, self._rate)
        width = WIDTH * top
        (above,) = strengths(max(kept, _likeness(wanted[:, width:], own[:, width:])))
        wanted, own = wanted[:, :width], own[:, :width]
        low = slice(bands.predicted)
        alike = float(np.vdot(wanted[:, low], own[:, low])) / max(_power(own[:, low]), 1e-20)
        (prediction,) = strengths(max(kept, min(alike, PREDICTION)))
        self._split, self._top_number, self._kept = split, top, kept
        self._strengths = prediction, above
        self._steps, self._bands = base_steps(own, split, bands), bands
        self._wanted, self._own = wanted, own
        self._errors = wanted - predictions(own, prediction, bands)

    def quantised(self, gain: int) -> StreamWaveform:
        """Return the layer with the steps of that gain."""
        steps = self._steps * np.float32(waveform_gain(gain))
        rounded = np.floor(np.abs(self._errors) / steps + np.float32(DEAD_ZONE))
        values = np.copysign(np.minimum(rounded, 60000), self._errors).astype(np.int32)
        low, high = self._filled(values, steps)
        return StreamWaveform(
            gain, self._top_number, self._split, values, low, high, *self._strengths
        )

    def _filled(self, values: npt.NDArray[np.int32], steps: Numbers) -> Sequence[int]:
        """Return how strongly zeros are to be filled: as usual, but with no more than there was."""
        fill = np.where(values == 0, np.clip(self._own, -steps / 2, steps / 2), 0)
        missed = np.where(values == 0, self._wanted, 0)
        bands = self._bands
        parts = (slice(bands.predicted, bands.low), slice(bands.low, None))
        return strengths(
            *(
                max(self._kept, usual * _likeness(missed[:, part], fill[:, part]))
                for usual, part in zip(FILLS, parts, strict=True)
            )
        )

    def bits(self, stream: StreamWaveform) -> float:
        """Return about how many bits a layer takes."""
        return waveform_bits(stream, waveform_places(self._grid, self._rate, stream.top))


def _power(values: Numbers) -> float:
    return float(np.square(values).sum())


def _likeness(wanted: Numbers, own: Numbers) -> float:
    """Return 1 where what the codes have is as loud as what there was, or nearly; else how loud
    that was beside it.
    """
    share = float(np.sqrt(_power(wanted) / max(_power(own), 1e-20)))
    return 1.0 if share > LOUD_ENOUGH else share
