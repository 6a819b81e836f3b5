"""Find and render a chunk's layer: coefficients of tones, and of clicks over silence.

Our codecs keep the waveform of low frequencies, and above them magnitudes with noise for phases.
That is right for most sounds, but a whistle becomes a band of noise, and a click is spread. Where a
few coefficients of a modified discrete cosine transform hold nearly all of a chunk's treble, they
go into the file as its layer, and the codec is given what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from neucodec.audio.samples import Audio
from neucodec.formats import (
    BAND,
    LAYER_SIZES,
    Header,
    StreamLayer,
    bands_of,
    byte_to_scale,
    encode_layer,
    layer_width,
    most_bands,
    scale_to_byte,
    transform_length,
)

from .mdct import Numbers, backward, forward

LOW = 1000.0
"""Hz, from which on the codecs keep no waveform."""
ENOUGH = 32.0
"""dB, beyond which more coefficients are not worth their bits."""
LITTLE_LEFT = 18.0
"""dB by which a layer lowers a chunk, from which on what is left needs no codes, if it is but the
layer's own error:"""
NOTHING_BESIDE = 50.0
"""dB below all is what there may be where the layer has no coefficients."""
INAUDIBLE = 30.0
"""dB by which treble is below all else, from which on it is not worth a layer."""
SHARE = 0.5
"""Of what a chunk's codes would take, a layer takes at most."""

LOUDEST = 2.0**15
"""What a layer has steps for, full scale being 1."""

_SHARP = 32
"""Of a thousand frequencies, so many hold nearly all of a tone, or of a sweep's part."""
_SHARP_SHARE = 0.9
_SUDDEN = 0.05
"""Of the time, clicks take less than that."""
_SUDDEN_SHARE = 0.9
_LEAST_BITS = 5
"""Of a coefficient other than 0, about."""
_DEAD_ZONE = 0.4
"""What is added before a coefficient is rounded down in size."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Holds a chunk's layer, as it is stored, and what it leaves for the codes."""

    payload: bytes
    rest: Audio
    """What is left for the codes: [streams, samples]."""
    suffices: bool
    """Whether that needs no codes."""


def find_layer(
    audio: Audio,
    header: Header,
    frames: int,
    codebooks: int,
    gain: float,
    *,
    first: bool = False,
    last: bool = False,
) -> Layer | None:
    """Return the layer of a chunk's streams [S, samples]; None where codes alone do as well or
    better.

    ``codebooks`` says how large the chunk would be without, ``gain`` by how many dB a layer must
    lower a stream's treble; ``first`` and ``last`` that there is no chunk on that side.
    """
    budget = SHARE * 8 * header.raw_bytes(1, codebooks, frames)
    faded = _faded(audio, header.overlap, not first, not last)
    streams = [
        _search(stream, header, budget, gain) if _promises(stream, header.sample_rate) else None
        for stream in faded
    ]
    if not any(streams):
        return None
    payload = encode_layer(header, frames, streams)
    if 8 * len(payload) > budget * len(audio):
        return None
    sound = render(streams, header, frames)
    rest: Audio = faded - sound
    return Layer(payload, rest, _suffices(faded, rest, streams, header.sample_rate))


def _faded(audio: Audio, overlap: int, start: bool, end: bool) -> Audio:
    """Fade the ends of streams [S, n], so that they take fewer coefficients.

    That is done within the part of the overlap in which the neighbouring chunk is heard and this
    one hardly.
    """
    count = min(overlap // 10, audio.shape[1] // 2)
    if not count:
        return audio
    rise = np.sin(np.pi / 2 * (np.arange(count) + 0.5) / count).astype(np.float32) ** 2
    faded: Audio = audio.copy()
    if start:
        faded[:, :count] *= rise
    if end:
        faded[:, -count:] *= rise[::-1]
    return faded


def _suffices(audio: Audio, rest: Audio, streams: Sequence[StreamLayer | None], rate: int) -> bool:
    """Tell whether a layer has all that there is: little is left of what it codes, and beside that
    there was next to nothing.
    """
    total = left = beside = 0.0
    for stream, heard, unheard in zip(streams, audio, rest, strict=True):
        size = stream.coefficients.shape[1] if stream else 1024
        weights = 1 + _weights((np.arange(size) + 0.5) * rate / (2 * size))
        power = np.square(forward(heard, size)) * weights
        total += float(power.sum())
        left += float((np.square(forward(unheard, size)) * weights).sum())
        beside += float((power[~_near_coded(stream.coefficients)] if stream else power).sum())
    little, nothing = (10 ** (-decibels / 10) for decibels in (LITTLE_LEFT, NOTHING_BESIDE))
    return left < total * little and beside < total * nothing


def _near_coded(coefficients: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Tell which coefficients [T, N] are in a band that has any, or near one, where such things
    leak.
    """
    count = len(coefficients)
    some = bands_of(coefficients)
    padded = np.pad(some, ((1, 1), (2, 2)))
    near = [padded[t : t + count, k : k + some.shape[1]] for t in range(3) for k in range(5)]
    return np.repeat(np.any(near, axis=0), BAND, axis=1)


def render(streams: Sequence[StreamLayer | None], header: Header, frames: int) -> Audio:
    """Return the sound of a layer: [streams, samples]."""
    width = layer_width(header, frames)
    audio = np.zeros((len(streams), width), np.float32)
    for at, stream in enumerate(streams):
        if stream is not None:
            step = np.float32(byte_to_scale(stream.step))
            audio[at] = backward(stream.coefficients.astype(np.float32) * step, width)
    return audio


def _weights(frequencies: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return weights of power by frequency: nothing below `LOW`, and above it what makes octaves of
    pink noise alike.
    """
    return np.where(frequencies >= LOW, frequencies / LOW, 0)


@lru_cache(maxsize=8)
def _look(rate: int) -> tuple[Numbers, Numbers]:
    """Return window and weights of the spectra that `_promises` looks at."""
    size = 2048 if rate > 24000 else 1024
    weights = _weights(np.fft.rfftfreq(size, 1 / rate))
    return np.hanning(size).astype(np.float32), weights.astype(np.float32)


def _promises(stream: Numbers, rate: int) -> bool:
    """Tell quickly whether a stream may be a few tones or clicks; right about nearly all that are
    not.
    """
    if np.abs(stream).max() > LOUDEST:
        return False
    steps = np.diff(stream)
    blocks = np.square(steps[: len(steps) // 64 * 64].reshape(-1, 64)).sum(axis=1)
    total = float(blocks.sum())
    if total <= 0:
        return False
    loudest = max(1, int(len(blocks) * _SUDDEN))
    if np.partition(blocks, -loudest)[-loudest:].sum() > _SUDDEN_SHARE * total:
        return True
    window, weights = _look(rate)
    size = len(window)
    if len(stream) < size:
        return False
    starts = np.linspace(0, len(stream) - size, 8).astype(int)
    frames = np.stack([stream[at : at + size] for at in starts]) * window
    spectra = np.fft.rfft(frames, axis=1)
    power = (np.square(spectra.real) + np.square(spectra.imag)) * weights
    sharp = np.partition(power, -_SHARP, axis=1)[:, -_SHARP:].sum()
    return bool(sharp > _SHARP_SHARE * power.sum())


def _search(stream: Numbers, header: Header, budget: float, least: float) -> StreamLayer | None:
    """Find the transform, step and coefficients that lower a stream's treble the most for at most
    ``budget`` bits.

    Only as far as that is worth it; None where it is less than ``gain`` dB.
    """
    best, best_gain, best_bits = None, least - 1, 0.0
    for size in range(LAYER_SIZES):
        length = transform_length(header, size)
        coefficients = forward(stream, length)
        frequencies = (np.arange(length) + 0.5) * header.sample_rate / (2 * length)
        weights = _weights(frequencies).astype(np.float32)
        power = np.square(coefficients)
        total = float((power * weights).sum())
        if total <= power.sum() * 10 ** (-INAUDIBLE / 10):
            return None
        # The bass, too, unless it takes all the bits.
        for wanted in (coefficients, coefficients * (frequencies >= LOW)):
            values, places = _largest(wanted, int(budget / _LEAST_BITS) + 1)
            heavy = weights[places % length]
            # What they would catch if they were stored exactly: mostly not enough.
            most = _gain(total, float((np.square(values) * heavy).sum()))
            if most <= best_gain + (-1 if best else 1):
                continue
            for fineness in range(1, 9):
                step = scale_to_byte(float(np.abs(values[0])) / 2**fineness)
                scale = np.float32(byte_to_scale(step))
                found = np.copysign(np.floor(np.abs(values) / scale + _DEAD_ZONE), values)
                bits = _bits(found)
                if bits > budget or step <= 1:
                    break
                caught = (np.square(values) - np.square(values - found * scale)) * heavy
                gain = _gain(total, float(caught.sum()))
                if gain > best_gain + 1 or (best and gain > best_gain - 1 and bits < best_bits):
                    whole = np.zeros(coefficients.size, np.int32)
                    whole[places] = found
                    if not _fits(whole.reshape(-1, length), len(stream)):
                        break
                    best = StreamLayer(size, step, whole.reshape(-1, length))
                    best_gain, best_bits = gain, bits
    return best


def _gain(total: float, caught: float) -> float:
    """Return by how many dB what is caught lowers the whole, as far as is worth it."""
    return min(float(10 * np.log10(total / max(total - caught, 1e-12 * total))), ENOUGH)


def _largest(coefficients: Numbers, count: int) -> tuple[Numbers, npt.NDArray[np.intp]]:
    """Return the ``count`` largest coefficients by size, largest first, and where they are."""
    flat = coefficients.reshape(-1)
    sizes, count = np.abs(flat), min(count, flat.size)
    places = np.argpartition(sizes, -count)[-count:]
    places = places[np.argsort(-sizes[places])]
    return flat[places], places


def _fits(coefficients: npt.NDArray[np.int32], samples: int) -> bool:
    return (
        int(bands_of(coefficients).sum()) <= most_bands(samples)
        and int(np.abs(coefficients).max()) < 1 << 15
    )


def _bits(coefficients: Numbers) -> float:
    """Return about how many bits coefficients take, those that are 0 taking none."""
    sizes = np.abs(coefficients[coefficients != 0])
    return float((2 * np.floor(np.log2(sizes)) + _LEAST_BITS).sum())
