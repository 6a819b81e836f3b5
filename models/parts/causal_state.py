"""Run a causal network over consecutive chunks of a signal.

A layer needs of the past only what the same layer has kept of the chunk before. So several threads
may have chunks under way at once, each a few layers behind the one before it; a thread that comes
too early waits. The results do not depend on that.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Condition
from types import TracebackType

from torch import Tensor


class LayerStates:
    """What the layers of a network keep of one chunk for the next, in the order in which they run.

    One thread fills it while it runs a chunk, another reads it for the next chunk.
    """

    def __init__(self) -> None:
        self._kept: list[Tensor] = []
        self._ended = False
        self._change = Condition()

    def leave(self, tensor: Tensor) -> None:
        """Add the state of the next layer."""
        with self._change:
            self._kept.append(tensor)
            self._change.notify_all()

    def take(self, index: int) -> Tensor:
        """Return the state number ``index``; wait until it is there.

        Raises RuntimeError where it will never be: the run of the chunk has ended before.
        """
        with self._change:
            self._change.wait_for(lambda: index < len(self._kept) or self._ended)
            if index < len(self._kept):
                return self._kept[index]
        raise RuntimeError("the chunk before has failed, so this one cannot go on from it")

    def end(self) -> None:
        """Say that no more states will come; threads that wait for more raise RuntimeError."""
        with self._change:
            self._ended = True
            self._change.notify_all()


@dataclass(frozen=True)
class StreamState:
    """State of a stream between two chunks."""

    pending: Tensor
    """What has come in but is not coded yet; each codec says what that is."""
    layers: LayerStates | None = None
    """What each layer keeps; None until the network has started."""


class Carry:
    """One run of a network over a chunk, which carries each layer's state from chunk to chunk.

    A layer takes its state of the chunk before, then leaves the one for the next chunk in
    ``after``. It is a context manager: at its end ``after`` is ended, too::

        with Carry(before, last=False) as carry:
            out = layer(chunk, carry)
        before = carry.after
    """

    def __init__(self, before: LayerStates | None = None, last: bool = True) -> None:
        """Start a run: ``before`` is None for the first chunk, ``last`` says that none follows."""
        self.first = before is None
        self.last = last
        self.after = LayerStates()
        self._before = before or LayerStates()
        self._taken = 0

    def take(self) -> Tensor:
        """Return the calling layer's next tensor from the chunk before."""
        tensor = self._before.take(self._taken)
        self._taken += 1
        return tensor

    def leave(self, tensor: Tensor) -> None:
        """Keep a tensor for the calling layer's run over the next chunk."""
        # A copy, or this small piece would hold on to the whole chunk that it was cut from.
        self.after.leave(tensor.clone())

    def __enter__(self) -> Carry:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.after.end()


@dataclass(frozen=True)
class PreparedChunk:
    """A chunk of a stream, ready to be coded, with the state from which the next one starts."""

    ready: Tensor
    """What is to be coded: what was pending, and as much of the chunk as is whole."""
    carry: Carry | None
    """The run that is to code it; None where there is nothing to be coded yet."""
    after: StreamState
    """State of the stream after the chunk, complete once the chunk is coded."""
