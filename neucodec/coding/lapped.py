"""Compute a lapped transform whose blocks may be split into 4 or 16 parts.

A modified discrete cosine transform as turns and cosines (Malvar, IEEE Trans. ASSP 38, 1990): where
two blocks meet, samples on either side are turned into each other, as far as the slope between
them goes; then each block is transformed by itself, by a cosine transform of the fourth type. All
of it is orthogonal, so that it is undone by the same steps backwards.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from neucodec.formats import PARTS, WaveformGrid

from .mdct import Numbers, cosines

Splits = npt.NDArray[np.uint8]


def forward(span: Numbers, split: Splits, grid: WaveformGrid, opened: tuple[bool, bool]) -> Numbers:
    """Transform a span into coefficients [blocks, block].

    ``span`` [half a part + blocks x block + half a part] begins and ends half a part beyond its
    blocks, a part being a quarter of a block. ``split`` [blocks] says how each of them is split:
    coefficient p k + j of a block of p parts is number k of part j. ``opened`` says at which ends
    the slope to a neighbour begins; else the block begins or ends at once.
    """
    turned = span.copy()
    for at, slope in _slopes(split, grid, opened):
        _turn(turned, at, slope, 1)
    half = grid.part // 2
    blocks = turned[half : len(turned) - half].reshape(-1, grid.block)
    out: Numbers = np.empty_like(blocks)
    for kind, parts in enumerate(PARTS):
        which = split == kind
        if which.any():
            rows = cosines(blocks[which].reshape(-1, grid.block // parts))
            rows = rows.reshape(-1, parts, grid.block // parts)
            out[which] = rows.transpose(0, 2, 1).reshape(-1, grid.block)
    return out


def backward(
    rows: Numbers, split: Splits, grid: WaveformGrid, opened: tuple[bool, bool]
) -> Numbers:
    """Undo `forward`: return the span that coefficients [blocks, block] stand for.

    Spans of neighbours are to be added where they overlap.
    """
    blocks: Numbers = np.empty_like(rows)
    for kind, parts in enumerate(PARTS):
        which = split == kind
        if which.any():
            own = rows[which].reshape(-1, grid.block // parts, parts).transpose(0, 2, 1)
            own = np.ascontiguousarray(own).reshape(-1, grid.block // parts)
            blocks[which] = cosines(own).reshape(-1, grid.block)
    span = np.pad(blocks.reshape(-1), grid.part // 2)
    for at, slope in _slopes(split, grid, opened):
        _turn(span, at, slope, -1)
    return span


def _slopes(split: Splits, grid: WaveformGrid, opened: tuple[bool, bool]) -> list[tuple[int, int]]:
    """Return where in a span blocks and parts meet, and how long the slopes are there.

    A slope is as long as the shorter of the parts that meet, to an even number of samples; where
    chunks meet, a quarter of a block.
    """
    half, count = grid.part // 2, len(split)
    lengths = [grid.block // PARTS[kind] for kind in split]
    meetings = []
    for number in range(count + 1):
        at = half + number * grid.block
        if number in (0, count):
            slope = grid.part * opened[number > 0]
        else:
            slope = min(lengths[number - 1], lengths[number])
        meetings.append((at, slope))
        if number < count:
            own = lengths[number]
            meetings += [(at + inner, own) for inner in range(own, grid.block, own)]
    # Parts of a single sample have none.
    return [(at, slope & ~1) for at, slope in meetings if slope > 1]


@lru_cache(maxsize=16)
def _turns(slope: int) -> tuple[Numbers, Numbers]:
    """Return cosines and sines by which samples are turned, from the meeting outwards."""
    angles = np.pi / (2 * slope) * (slope // 2 + np.arange(slope // 2) + 0.5)
    return np.sin(angles).astype(np.float32), np.cos(angles).astype(np.float32)


def _turn(signal: Numbers, at: int, slope: int, direction: int) -> None:
    """Turn the samples around a meeting into each other, in place."""
    much, little = _turns(slope)
    if direction < 0:
        little = -little
    after = signal[at : at + slope // 2]
    before = signal[at - slope // 2 : at][::-1]
    turned = much * after + little * before
    before[:] = much * before - little * after
    after[:] = turned
