"""Errors that a user can do something about, and the warning of damage."""


class NeucodecError(Exception):
    """An expected failure. Its message is one line: what was given, and what is allowed."""


class GivenTypeError(NeucodecError, TypeError):
    """Raised where an argument is of a type that cannot be taken."""


class GivenValueError(NeucodecError, ValueError):
    """Raised where an argument has the right type and an impossible value."""


class GivenIndexError(NeucodecError, IndexError):
    """Raised where nothing has the number that was given."""


class GivenFileError(NeucodecError, OSError):
    """Raised where a file cannot be opened."""

    def __str__(self) -> str:
        return str(self.args[0])


class GivenFileNotFoundError(GivenFileError, FileNotFoundError):
    """Raised where there is no such file."""


def file_error(name: str, error: OSError) -> GivenFileError:
    """Return the error of a file that cannot be opened, with the number that the system gave."""
    missing = isinstance(error, FileNotFoundError)
    reason = "there is no such file" if missing else error.strerror or type(error).__name__
    found = (GivenFileNotFoundError if missing else GivenFileError)(f"{name}: {reason}")
    found.errno, found.filename = error.errno, name
    return found


class NcfDamageWarning(UserWarning):
    """Warns that a file is damaged: some of its audio is decoded as silence, or is missing."""

    def __init__(self, message: str, spans: list[tuple[float, float]], cut_off: bool) -> None:
        super().__init__(message)
        self.spans = spans
        """Stretches that are silent instead, as pairs (start, end) in seconds."""
        self.cut_off = cut_off
        """Whether the end of the file is missing."""


def quoted(text: str, max_length: int = 40) -> str:
    """Return a text from outside in quotes, cut after `max_length` characters, for a message."""
    return repr(text) if len(text) <= max_length else f"{text[:max_length]!r}..."
