"""Running a causal network over consecutive chunks of a signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class StreamState:
    """Where a stream stands between two chunks."""

    pending: Tensor
    """What has come in but is not finished: the codec says what."""
    layers: tuple[Tensor, ...] = ()
    """What each layer remembers, in running order; empty until the network has started."""


class Carry:
    """What the layers of one network keep of a chunk for the next, in the order they run.

    ``before`` is what the previous chunk left, empty for the first; ``last`` says that no chunk
    follows. While the network runs, each layer takes its own part from the front, and leaves the
    next one in ``after``.
    """

    def __init__(self, before: Sequence[Tensor] = (), last: bool = True) -> None:
        self.first = not before
        self.last = last
        self.after: list[Tensor] = []
        self._before = iter(before)

    def take(self) -> Tensor:
        """The calling layer's next tensor from the previous chunk."""
        return next(self._before)

    def leave(self, tensor: Tensor) -> None:
        """Keep a tensor for the calling layer's next chunk."""
        # A copy, or this small piece would hold on to the whole chunk that it was cut from.
        self.after.append(tensor.clone())
