"""A base for objects that hold something open. Imports nothing of neucodec."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

Self = TypeVar("Self", bound="ClosesItself")


class ClosesItself(ABC):
    """A context manager that gives itself and calls its `close` on the way out.

    Exceptions pass through. The class that inherits this has nothing but `close` to write.
    """

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held open; calling it once more does nothing."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
