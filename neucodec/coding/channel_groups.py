"""Code chunks of very many channels some streams at a time.

What a network holds while it works is many times what goes in and comes out: of 255 channels at
once it is two gigabytes. Streams do not depend on each other, so that one group can go after the
other.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from neucodec.models import AudioChunk, Codec, CodeChunk, State

MOST_STREAMS = 16
"""That go through a codec together."""


def encode_chunk(codec: Codec, chunk: AudioChunk, codebooks: int, state: State) -> CodeChunk:
    """Encode a chunk [streams, channels, samples] in groups of streams, as ``codec.encode`` would
    at once. Codecs with a state take all streams at once.
    """
    if state is not None or len(chunk.audio) <= MOST_STREAMS:
        return codec.encode(chunk, codebooks, state)[0]
    groups = torch.split(chunk.audio, MOST_STREAMS)
    coded = [codec.encode(replace(chunk, audio=group), codebooks)[0] for group in groups]
    scales = [part.scales for part in coded if part.scales is not None]
    codes = torch.cat([part.codes for part in coded])
    return replace(coded[0], codes=codes, scales=torch.cat(scales) if scales else None)


def decode_chunk(codec: Codec, chunk: CodeChunk, state: State) -> Tensor:
    """Decode a chunk in groups of streams to audio [streams, channels, width], as ``codec.decode``
    would at once. Codecs with a state take all streams at once.
    """
    if state is not None or len(chunk.codes) <= MOST_STREAMS:
        return codec.decode(chunk, state)[0]
    audio = []
    for first in range(0, len(chunk.codes), MOST_STREAMS):
        group = slice(first, first + MOST_STREAMS)
        scales = None if chunk.scales is None else chunk.scales[group]
        audio.append(codec.decode(replace(chunk, codes=chunk.codes[group], scales=scales))[0])
    return torch.cat(audio)
