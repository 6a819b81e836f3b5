"""Turn a waveform layer into sound: what it changes of the sound of the codes.

Steps follow from the energies of the codes' own coefficients in bands, so that a layer holds no
scale factors: the codes say how loud it is where, the layer where the waveform goes. Where it has
zeros, the codes' own coefficients stand in. See NCF.md, "Waveform layer".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from neucodec.audio.samples import Audio
from neucodec.formats import (
    MAX_STRENGTH,
    PARTS,
    ChunkWaveform,
    StreamWaveform,
    WaveformGrid,
    waveform_gain,
)

from .lapped import Splits, backward, forward
from .levels import from_mid_side, to_mid_side
from .mdct import Numbers

PREDICTED_HZ = 800
"""Hz, below which the codes follow the waveform, so that integers say how far it is from theirs."""
FILL_HZ = 2500
"""Hz that part the two strengths of filling."""
MASKED_ABOVE, MASKED_BELOW = np.float32(0.16), np.float32(0.01)
"""A band's energy counts as at least so much of that of the band below it, and above it."""
MIN_ENERGY = np.float32(1e-10)
"""Floor of a band's energy, of the square of a coefficient."""
_TILT, _TILT_HZ, _FLAT_HZ = 0.2, 1000.0, 300.0


@dataclass(frozen=True)
class WaveformBands:
    """Says what holds for each coefficient of a row, of a layer that goes up to ``top``."""

    edges: npt.NDArray[np.intp]
    """Where bands begin and the last one ends, in integers of a quarter of a block."""
    fine_edges: npt.NDArray[np.intp]
    """The same of blocks of 16 parts, in integers of a sixteenth."""
    tilt: Numbers
    """Factor of each step [16 x top]: steps grow with frequency."""
    predicted: int
    """So many coefficients of a row are over a prediction."""
    low: int
    """So many coefficients of a row are filled with the lower strength."""

    @classmethod
    @lru_cache(maxsize=32)
    def of(cls, top: int, block: int, sample_rate: int) -> WaveformBands:
        """Return them for rows of 16 x ``top`` coefficients of blocks of ``block`` samples."""
        hertz = (np.arange(4 * top) + 0.5) * (2 * sample_rate / block)
        tilt = (np.maximum(hertz, _FLAT_HZ) / _TILT_HZ) ** _TILT
        predicted, low = (
            min(16 * top, 4 * (hz * block // (2 * sample_rate))) for hz in (PREDICTED_HZ, FILL_HZ)
        )
        return cls(
            _edges(4 * top, 2), _edges(top, 1), np.repeat(tilt, 4).astype(np.float32),
            predicted, low,
        )  # fmt: skip


def _edges(count: int, least: int) -> npt.NDArray[np.intp]:
    """Return the edges of bands of ``count`` integers, each a ninth or so wide as it is high, and
    ``least`` wide at least.
    """
    edges = [0]
    while edges[-1] < count:
        edges.append(min(count, edges[-1] + max(least, edges[-1] * 12 // 100)))
    return np.array(edges)


def base_steps(rows: Numbers, split: Splits, bands: WaveformBands) -> Numbers:
    """Return the steps, for a gain of 1, that the codes' coefficients ``rows`` imply:
    [blocks, 16 x top].
    """
    fourth: Numbers = np.sqrt(np.sqrt(np.maximum(band_energies(rows, split, bands), MIN_ENERGY)))
    return fourth * bands.tilt


def band_energies(rows: Numbers, split: Splits, bands: WaveformBands) -> Numbers:
    """Return the mean square of coefficients ``rows`` [blocks, 16 x top] in each one's band.

    It is taken over a block, of a split one over each half, some 20 ms, so that it follows the
    sound.
    """
    energies: Numbers = np.empty_like(rows)
    squares = np.square(rows)
    for kind, parts in enumerate(PARTS):
        which = split == kind
        if which.any():
            edges, grain = (bands.fine_edges, 16) if kind == 2 else (bands.edges, 4)
            energies[which] = _means(squares[which], edges, grain, 2 if parts > 1 else 1)
    return energies


def _means(squares: Numbers, edges: npt.NDArray[np.intp], grain: int, divisions: int) -> Numbers:
    """Return means of rows [n, width] in bands and divisions of time, spread to the bands beside,
    for each integer.

    ``edges`` are in ``grain`` integers, whose first half is of the first of two ``divisions``.
    """
    count, width = squares.shape
    sums = squares.reshape(count, width // grain, divisions, grain // divisions).sum(axis=3)
    widths = np.diff(edges)
    sums = np.add.reduceat(sums, edges[:-1], axis=1)
    means = sums * np.float32(divisions / grain) / widths[:, None].astype(np.float32)
    # What a louder band masks in those beside it needs no finer steps than that one gives it.
    for band in range(1, len(widths)):
        np.maximum(means[:, band], means[:, band - 1] * MASKED_ABOVE, out=means[:, band])
    for band in range(len(widths) - 2, -1, -1):
        np.maximum(means[:, band], means[:, band + 1] * MASKED_BELOW, out=means[:, band])
    spread: Numbers = np.repeat(np.repeat(means, widths, axis=1), grain // divisions, axis=2)
    flat: Numbers = spread.reshape(count, width)
    return flat


def predictions(rows: Numbers, strength: int, bands: WaveformBands) -> Numbers:
    """Return what integers are over, [blocks, 16 x top]: of the lowest coefficients a share."""
    out = np.zeros_like(rows)
    out[:, : bands.predicted] = rows[:, : bands.predicted] * np.float32(strength / MAX_STRENGTH)
    return out


def changed(rows: Numbers, stream: StreamWaveform, grid: WaveformGrid, rate: int) -> Numbers:
    """Return by how much a layer changes the codes' coefficients ``rows`` [blocks, block]."""
    width = PARTS[-1] * stream.top
    bands = WaveformBands.of(stream.top, grid.block, rate)
    own = rows[:, :width]
    steps = base_steps(own, stream.split, bands) * np.float32(waveform_gain(stream.gain))
    predicted = predictions(own, stream.prediction, bands)
    fill = np.clip(own, -steps / 2, steps / 2)
    fill[:, : bands.low] *= np.float32(stream.fill_low / MAX_STRENGTH)
    fill[:, bands.low :] *= np.float32(stream.fill_high / MAX_STRENGTH)
    fill[:, : bands.predicted] = predicted[:, : bands.predicted]
    coded = stream.values.astype(np.float32) * steps + predicted
    out: Numbers = rows * np.float32(stream.above / MAX_STRENGTH - 1)
    out[:, :width] = np.where(stream.values != 0, coded, fill) - own
    return out


def correction(
    span: Audio,
    layer: ChunkWaveform,
    mid_side: bool,
    grid: WaveformGrid,
    rate: int,
    opened: tuple[bool, bool],
) -> Audio:
    """Return what a layer adds to the joined sound of the codes.

    ``span`` [channels, n] is that sound, of the chunk's blocks and half a part beyond them on
    either side; so is what is returned. ``opened`` says on which side a neighbour has a layer, too.
    """
    streams = to_mid_side(span) if mid_side else span
    added = [
        _correction(sound, stream, grid, rate, opened)
        for sound, stream in zip(streams, layer.streams, strict=True)
    ]
    return from_mid_side(np.stack(added)) if mid_side else np.stack(added)


def _correction(
    sound: Numbers,
    stream: StreamWaveform | None,
    grid: WaveformGrid,
    rate: int,
    opened: tuple[bool, bool],
) -> Numbers:
    if stream is None:
        return np.zeros_like(sound)
    rows = forward(sound, stream.split, grid, opened)
    return backward(changed(rows, stream, grid, rate), stream.split, grid, opened)


def strengths(*shares: float) -> Sequence[int]:
    """Return the numbers of strengths that come nearest to ``shares`` of 1."""
    return [round(share * MAX_STRENGTH) for share in shares]
