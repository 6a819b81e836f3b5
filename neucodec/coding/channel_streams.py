"""Channels of a signal as the streams that a codec codes, each of as many channels as it takes.

A mono codec codes every channel by itself. A stereo codec takes channels in pairs; where the last
one is alone it stands on both sides, and what comes back is the mean of the two.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.float32]


def to_streams(audio: Audio, width: int) -> Audio:
    """Channels [channels, n] to streams [ceil(channels / width), width, n]."""
    lacking = -len(audio) % width
    filled = np.concatenate([audio, *[audio[-1:]] * lacking])
    return filled.reshape(-1, width, audio.shape[1])


def from_streams(streams: Audio, channels: int) -> Audio:
    """Undo `to_streams`: [S, width, n] to [channels, n]."""
    count, width, n = streams.shape
    audio = streams.reshape(count * width, n)
    if channels % width == 0:
        return audio
    alone = audio[channels - 1 :].mean(axis=0, keepdims=True)
    return np.concatenate([audio[: channels - 1], alone])
