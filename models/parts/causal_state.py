"""Running a causal network over consecutive chunks of a signal.

A layer needs of the past what the same layer has left of the chunk before, and nothing else. So
chunks may be under way in several threads at once, each a few layers behind the one before it:
whoever comes too early waits. What comes out does not depend on that.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Condition
from types import TracebackType

from torch import Tensor


class Trace:
    """What the layers of a network leave of one chunk for the next, in the order they run."""

    def __init__(self) -> None:
        self._left: list[Tensor] = []
        self._ended = False
        self._change = Condition()

    def leave(self, tensor: Tensor) -> None:
        """Add the next layer's."""
        with self._change:
            self._left.append(tensor)
            self._change.notify_all()

    def take(self, index: int) -> Tensor:
        """What the layer of that number has left; waits for it."""
        with self._change:
            self._change.wait_for(lambda: index < len(self._left) or self._ended)
            if index < len(self._left):
                return self._left[index]
        raise RuntimeError("the chunk before has failed, so this one cannot go on from it")

    def end(self) -> None:
        """Nothing more will come."""
        with self._change:
            self._ended = True
            self._change.notify_all()


@dataclass(frozen=True)
class StreamState:
    """Where a stream stands between two chunks."""

    pending: Tensor
    """What has come in but is not finished: the codec says what."""
    layers: Trace | None = None
    """What each layer remembers; None until the network has started."""


class Carry:
    """One run of a network over a chunk: takes from the trace of the chunk before, leaves its own.

    ``before`` is None for the first chunk; ``last`` says that no chunk follows. Each layer takes
    its own part, then leaves the next one in ``after``. A context: at its end nothing more is
    left.
    """

    def __init__(self, before: Trace | None = None, last: bool = True) -> None:
        self.first = before is None
        self.last = last
        self.after = Trace()
        self._before = before or Trace()
        self._taken = 0

    def take(self) -> Tensor:
        """The calling layer's next tensor from the previous chunk."""
        tensor = self._before.take(self._taken)
        self._taken += 1
        return tensor

    def leave(self, tensor: Tensor) -> None:
        """Keep a tensor for the calling layer's next chunk."""
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
class Step:
    """A chunk's place in its stream: known before it is coded, so that the next can start."""

    ready: Tensor
    """What is to be coded: what was pending, and of the chunk as much as is whole."""
    carry: Carry | None
    """None where there is nothing to be coded yet."""
    after: StreamState
    """Where the stream stands after the chunk; complete once it is coded."""
