"""SpecTokenizer as a stream, as its paper means it: every layer remembers the past.

neucodec codes it in chunks that know nothing of each other; tests hold that the layers are causal.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from neucodec.models.families.spectokenizer.network import SpecTokenizer
from neucodec.models.parts.causal_state import Carry, StreamState


def encode_stream(
    model: SpecTokenizer,
    audio: Tensor,
    codebooks: int,
    state: StreamState | None = None,
    last: bool = False,
) -> tuple[Tensor, StreamState]:
    """Encode the next chunk [B, 1, T] of a stream, of any length, to codes [B, codebooks, F].

    A signal of T samples comes to ceil(T / hop) + 1 frames, since the last hop ends within a
    window that begins in it. ``state`` is what the previous call returned, None at the start;
    it is not changed. Pending in it: audio from the start of the next window.
    """
    hop = model.config.hop
    before = state or StreamState(audio.new_zeros(len(audio), 1, hop))
    audio = torch.cat([before.pending, audio], dim=-1)
    if last:
        audio = F.pad(audio, (0, -audio.shape[-1] % hop + hop))
    frames = audio.shape[-1] // hop - 1
    if frames == 0:
        none = torch.zeros(len(audio), codebooks, 0, dtype=torch.int64, device=audio.device)
        return none, StreamState(audio, before.layers)
    with Carry(before.layers, last) as carry:
        latent = model.analyse(audio[..., : (frames + 1) * hop], carry)
    rest = audio[..., frames * hop :].clone()
    return model.quantiser.encode(latent, codebooks), StreamState(rest, carry.after)


def decode_stream(
    model: SpecTokenizer, codes: Tensor, state: StreamState | None = None, last: bool = False
) -> tuple[Tensor, StreamState]:
    """Decode the next frames [B, K, F] of a stream to audio [B, 1, F * hop].

    It lags by the hop that the next window will finish: the first call gives a hop less.
    ``state`` is as in `encode_stream`. Pending in it: that unfinished hop.
    """
    hop = model.config.hop
    if codes.shape[-1] == 0:
        none = model.window.new_zeros(len(codes), 1, 0)
        return none, state or StreamState(model.window.new_zeros(len(codes), 1, 0))
    with Carry(state.layers if state else None, last) as carry:
        audio = model.synthesise(model.quantiser.decode(codes), carry)
    done, tail = audio[..., :-hop], audio[..., -hop:].clone()
    if state and state.layers:  # it has been through the network before
        done = torch.cat([done[..., :hop] + state.pending, done[..., hop:]], dim=-1)
    else:
        done = done[..., hop:]
    return done, StreamState(tail, carry.after)
