"""Failures that a user can do something about."""


class NeucodecError(Exception):
    """An expected failure; the message is one clear line: what was given, what is allowed."""


class GivenTypeError(NeucodecError, TypeError):
    """Something of another kind was given than is asked for."""


class GivenValueError(NeucodecError, ValueError):
    """Something was given that is of the right kind, and not possible."""


class GivenIndexError(NeucodecError, IndexError):
    """There is nothing with the number that was given."""


class NcfDamageWarning(UserWarning):
    """What was decoded is not all that was encoded: of some of it there is silence, or nothing."""

    def __init__(self, message: str, spans: list[tuple[float, float]], cut_off: bool) -> None:
        super().__init__(message)
        self.spans = spans
        """Seconds that are silent instead, as (start, end)."""
        self.cut_off = cut_off
        """Whether the end of the file is missing."""


def quoted(text: str, most: int = 40) -> str:
    """Text from outside in quotes, no longer than a line can have it."""
    return repr(text) if len(text) <= most else f"{text[:most]!r}..."
