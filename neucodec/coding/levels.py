"""Bring levels, stereo and streams of a chunk into the form that codecs code, and back.

A mono codec codes every channel by itself. A stereo codec takes channels in pairs; where the last
one is alone it stands on both sides, and what comes back is the mean of the two.
"""

from __future__ import annotations

import numpy as np

from neucodec.audio.samples import Audio
from neucodec.formats import byte_to_scale, scale_to_byte

SILENCE = 2.0**-26
"""Below this RMS (-156 dB, under the last bit of 24) a chunk is digital silence."""


def to_mid_side(audio: Audio) -> Audio:
    """Turn left and right, the first two of channels [channels, n], into their half sum and half
    difference.
    """
    left, right, *others = audio
    return np.stack([(left + right) / 2, (left - right) / 2, *others])


def from_mid_side(audio: Audio) -> Audio:
    """Turn mid and side, the first two of channels [channels, n], into left and right."""
    mid, side, *others = audio
    return np.stack([mid + side, mid - side, *others])


def prefers_mid_side(audio: Audio) -> bool:
    """Tell whether mid and side are less alike in power than left and right [2, n] are.

    The more of a chunk's power one of two streams holds, the less the other's coding noise matters;
    a stream without any (two equal channels) costs nothing.
    """

    def balance(pair: Audio) -> float:
        power = np.sum(np.square(pair, dtype=np.float64), axis=1)
        return float(power.min() / max(power.sum(), 1e-300))

    return balance(to_mid_side(audio)) < balance(audio)


def normalise(audio: Audio) -> tuple[Audio, tuple[int, ...]]:
    """Bring each stream [S, n] to about unit RMS; return it with the scale bytes that undo that.

    The scale is rounded to its byte first, so that decoding multiplies by exactly what encoding
    divided by. Byte 0 stands for silence.
    """
    rms = np.sqrt(np.mean(np.square(audio, dtype=np.float64), axis=1))
    scales = tuple(0 if r < SILENCE else scale_to_byte(float(r)) for r in rms)
    gains = np.array([1 / byte_to_scale(s) if s else 0.0 for s in scales])
    return (audio * gains[:, None]).astype(np.float32), scales


def to_streams(audio: Audio, width: int) -> Audio:
    """Turn channels [channels, n] into streams [ceil(channels / width), width, n]."""
    lacking = -len(audio) % width
    filled = np.concatenate([audio, *[audio[-1:]] * lacking])
    return filled.reshape(-1, width, audio.shape[1])


def from_streams(streams: Audio, channels: int) -> Audio:
    """Turn streams [S, width, n] back into channels [channels, n]."""
    count, width, n = streams.shape
    audio = streams.reshape(count * width, n)
    if channels % width == 0:
        return audio
    alone = audio[channels - 1 :].mean(axis=0, keepdims=True)
    return np.concatenate([audio[: channels - 1], alone])
