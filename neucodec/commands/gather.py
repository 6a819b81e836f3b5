"""Hand command-line options that belong together on as one object."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

Command = Callable[..., Any]


def gathered(name: str, make: Callable[..., Any]) -> Callable[[Command], Command]:
    """Have a command get what ``make`` returns as its parameter ``name``.

    ``make``, a dataclass or a function, gets those of the command line's parameters that it has
    parameters for. So an option that ends up in a dataclass is named twice: where click is told of
    it, and where the dataclass says what it means.
    """
    wanted = list(signature(make).parameters)

    def decorate(command: Command) -> Command:
        @wraps(command)
        def gather(*args: Any, **given: Any) -> Any:
            taken = {key: given.pop(key) for key in wanted if key in given}
            return command(*args, **{name: make(**taken)}, **given)

        return gather

    return decorate
