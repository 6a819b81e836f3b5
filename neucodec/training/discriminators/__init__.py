"""Tell decoded audio from real by networks, which generators are trained against.

Each takes audio [B, C, T] and gives, for every network in it, the features of its layers, the last
being the verdict: large where it takes the audio for real.
"""

from __future__ import annotations

from torch import Tensor

Features = list[list[Tensor]]
"""Of each network, what its layers put out, batch first; the last is its verdict."""
